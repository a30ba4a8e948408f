// The role as which an installation is changed: its owner, not the caller.
#pragma once

#include "catalog/installation.hpp"

namespace procrastinate::upgrade
{

// The owner of the jobs table. Without one, the owner of the history table if that is the schema's
// owner or a superuser. Else the schema's owner if the caller may SET ROLE to it, else the caller.
// A schema of pg_database_owner counts as the database owner's.
//
// Throws Refusal 42501 if the caller may not SET ROLE to the owner of the tables, and 3F000 if the
// schema has been dropped.
Oid require_acting_role(const catalog::Installation &installation);

// The same without these checks; the caller if the schema has been dropped.
Oid acting_role(const catalog::Installation &installation);

// For a list: the owner of the tables or of the schema, also if the caller may not act as it.
Oid owner_of(const catalog::Installation &installation);

// For a list: true if require_acting_role() would return a role that owns the tables, or may create
// some.
bool may_change(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
