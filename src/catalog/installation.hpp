// An installation: the schema that holds, or will hold, Procrastinate's objects. How it is found by
// the caller's argument or search_path.
#pragma once

#include "server/error_boundary.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace procrastinate::catalog
{

inline constexpr const char *history_table = "procrastinate_schema_history";
// Which exists while columns of the jobs table change, or after an interruption then.
inline constexpr const char *fetch_barrier_table = "procrastinate_fetch_barrier";

struct Installation
{
    Oid schema;
    std::string name;        // as in pg_namespace
    std::string quoted;      // as an identifier
    std::string quoted_text; // as a literal: the argument `schema` of our functions, for hints
};

// The given schema; else the first one in search_path that holds a table procrastinate_jobs, else
// the first that holds a history table, else the current schema. Throws Refusal: 3F000 if there is
// none, 0A000 if it cannot hold an installation (a temporary or system schema, or one called
// "$user").
// A NOTICE if it is the current schema, and another one of the database that the current role may
// look into has an installation.
Installation locate(std::optional<Oid> given);

// The same for a function that returns rows: nothing for a given schema that cannot hold an
// installation, so that a query can call it for each schema of a database.
std::optional<Installation> locate_to_list(std::optional<Oid> given);

// The text of a call whose argument `schema` is the given literal.
using CallText = std::function<std::string(const std::string &quoted_schema)>;

// As locate(), for a change. Throws Refusal 3F000 instead of the NOTICE, also if the current role
// may not look into the other schema. Its HINT has the call with each of the schemas.
Installation locate_to_change(std::optional<Oid> given, const CallText &call);

// Another schema that has an installation, for a message about one that has none.
struct Elsewhere
{
    std::string name;
    std::string quoted_text; // as a literal
    int others = 0;          // further schemas that have one

    // "schema "jobs" holds one", "schema "jobs" and 2 others hold one".
    std::string text() const;

    // A hint; `for_new` is what to run for a new installation.
    std::string hint(std::string_view for_new) const;
};

// Counts only schemas that the current role may look into. Nothing if the installation is there, or
// if no other schema has one.
std::optional<Elsewhere> elsewhere(const Installation &installation);

// True if another schema has an installation, also one that the current role may not look into.
bool has_others(const Installation &installation);

// As locate(), but nothing if search_path yields no schema, or one that cannot hold an
// installation.
std::optional<Installation> locate_if_any(std::optional<Oid> given);

// The words for a message: schema "jobs".
std::string in_schema(const Installation &installation);

// True if the current role has the privilege on the schema ("USAGE", "CREATE"). Throws Refusal
// 3F000 if it has been dropped.
bool has_privilege(const Installation &installation, const char *privilege);

// Throws Refusal 42501 if the current role has no USAGE on the schema, 3F000 if it has been
// dropped.
void require_usage(const Installation &installation);

// Throws Refusal 3F000 if the schema has been dropped; it may have been renamed.
void require_there(const Installation &installation);

// Throws Refusal 3F000 if another session has dropped or renamed the schema: locks go by its OID,
// statements by its name.
void require_same_name(const Installation &installation);

// True if the schema holds a relation of that name.
bool has_relation(const Installation &installation, const char *relation);

} // namespace procrastinate::catalog
