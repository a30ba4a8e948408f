// An installation of Procrastinate: a schema that holds, or shall hold, its objects.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::catalog
{

inline constexpr const char *history_table = "procrastinate_schema_history";

// The texts live in the memory context that was current when the installation was located.
struct Installation
{
    Oid schema;
    std::string_view name;   // as in pg_namespace
    const char *quoted;      // as an identifier
    const char *quoted_text; // quoted, then as a literal: what regnamespace reads, for hints
};

// The schema given; else the first one in search_path that holds procrastinate_jobs, else the first
// that holds a history, else the current schema. Throws Refusal 3F000 where there is none.
Installation locate(std::optional<Oid> given);

// As above, but nothing where search_path names no schema at all, or one that cannot hold any.
std::optional<Installation> locate_if_any(std::optional<Oid> given);

// For messages: schema "jobs".
std::string in_schema(const Installation &installation);

// Whether the caller has USAGE on the schema. Throws Refusal 3F000 where it has been dropped.
bool may_use(const Installation &installation);

// Throws Refusal 42501 where the caller may not use the schema.
void require_usage(const Installation &installation);

// Throws Refusal 3F000 where the schema has been dropped; under a new name it is there.
void require_there(const Installation &installation);

// The schema is locked by its OID and worked on by its name: throws Refusal 3F000 where another
// session's ALTER SCHEMA … RENAME has parted the two.
void require_same_name(const Installation &installation);

// Whether the schema holds a relation of that name.
bool has_relation(const Installation &installation, const char *relation);

} // namespace procrastinate::catalog
