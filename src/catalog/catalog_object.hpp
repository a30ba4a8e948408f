// An object that the server's catalog holds, with the parts of its definition, its owner, and what
// keeps it from working. Plain data without a server.
#pragma once

#include "chain/facts.hpp"

#include <cstdint>

namespace procrastinate::catalog
{

enum class Flaw
{
    none,
    invalid,     // an index whose concurrent build failed
    unvalidated, // a constraint added NOT VALID
    disabled,    // a trigger, or the triggers of a foreign key
    broken,      // a function that fails on this version of the server
    required,    // a column that every INSERT has to name
    instead,     // a rule that replaces a statement
    unknown      // a name of Procrastinate's that no revision has
};

// "invalid", "unvalidated" ... as the catalog query and users spell it; empty for none.
std::string_view name_of(Flaw flaw);

// The flaw of that name; none for any other word.
Flaw flaw_named(std::string_view name);

// What the settings of a function (ALTER FUNCTION ... SET) mean for it.
enum class Settings
{
    none,
    other_schema, // among them a search_path that does not find the installation
    others
};

struct CatalogObject : chain::Definition
{
    // Of a function: md5 of its text, of the text with LF instead of CR LF, and of the text as
    // chain::FunctionBody::stripped_md5 has it. Empty for a long text.
    std::string_view body = {};
    std::string_view lf_body = {};
    std::string_view stripped_body = {};
    Settings kind_of_settings = Settings::none; // of a function
    Flaw flaw = Flaw::none;
    std::string_view owner = {}; // a role; empty for an object that has no owner of its own
    // How pg_depend refers to it: the OID of the catalog, of the object, the number of the column.
    std::uint32_t class_id = 0;
    std::uint32_t object_id = 0;
    std::int32_t sub_id = 0;
};

} // namespace procrastinate::catalog
