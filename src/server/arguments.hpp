// The arguments of an entry point, NULL as nothing.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

class Arguments
{
  public:
    explicit Arguments(FunctionCallInfo fcinfo) : fcinfo_(fcinfo) {}

    std::optional<std::string_view> text(int index) const;
    std::optional<Oid> oid(int index) const;
    std::optional<bool> boolean(int index) const;
    // Of an interval; months have 30 days.
    std::optional<double> milliseconds(int index) const;

    // As above where NULL means nothing: refuses it (22004), naming the argument.
    std::string_view required_text(int index, const char *name) const;
    bool required_boolean(int index, const char *name) const;
    double required_milliseconds(int index, const char *name) const;

  private:
    // A function of another version may have fewer.
    bool is_null(int index) const { return index >= fcinfo_->nargs || fcinfo_->args[index].isnull; }
    Datum value(int index) const { return fcinfo_->args[index].value; }

    FunctionCallInfo fcinfo_;
};

// A result of type text.
Datum text_result(std::string_view text);

} // namespace procrastinate::server
