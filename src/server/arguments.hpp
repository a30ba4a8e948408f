// Reads the arguments of an SQL-callable function.
#pragma once

#include "server/error_boundary.hpp"

#include <string>
#include <vector>

namespace procrastinate::server
{

// Indexes begin at 0. NULL is returned as std::nullopt. Texts live as long as the call.
class Arguments
{
  public:
    explicit Arguments(FunctionCallInfo fcinfo) : fcinfo_(fcinfo) {}

    std::optional<std::string_view> text(int index) const;
    std::optional<Oid> oid(int index) const;
    std::optional<std::string_view> name(int index) const;
    std::optional<bool> boolean(int index) const;
    // The length of an interval, or of a text that is one; a month counts as 30 days.
    std::optional<double> milliseconds(int index) const;

    // The type that the caller gives, for an argument of a polymorphic type. InvalidOid if the
    // caller does not tell (the protocol's function call).
    Oid type(int index) const;

    // The same for arguments that must not be NULL: throws Refusal 22004 with the argument's name.
    std::string_view required_text(int index, const char *name) const;
    std::vector<std::string> required_texts(int index, const char *name) const; // of a text[]
    int required_integer(int index, const char *name) const;
    bool required_boolean(int index, const char *name) const;
    double required_milliseconds(int index, const char *name) const;

    // An older version of the extension may have declared the function with fewer arguments.
    bool is_null(int index) const { return index >= fcinfo_->nargs || fcinfo_->args[index].isnull; }

  private:
    Datum value(int index) const { return fcinfo_->args[index].value; }

    FunctionCallInfo fcinfo_;
};

// A result of type text, in the current memory context.
Datum text_result(std::string_view text);

} // namespace procrastinate::server
