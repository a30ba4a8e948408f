// Privileges and ownership that a change needs. Everything here is about the current role, which is
// the installation's owner (upgrade/acting_role.hpp).
#pragma once

#include "catalog/installation.hpp"

namespace procrastinate::upgrade
{

// Throws Refusal 42501 with everything that is missing: CREATE and USAGE on the schema, USAGE on
// the language plpgsql. Inside an SPI connection and under a search_path of the server's own.
void require_schema_privileges(const catalog::Installation &installation);

// The same, and require_no_foreign_objects(), in one refusal.
void require_privileges(const catalog::Installation &installation);

// Throws Refusal 42501 if an object of the installation belongs to another role, if code of another
// role that is no superuser runs when rows of its tables change, or if such a role has objects as
// below. To be called again once the tables are locked: from then on no session can add a trigger
// to them.
void require_no_foreign_objects(const catalog::Installation &installation);

// Code of other roles that runs when rows of a table outside the installation change, as a DETAIL;
// empty if there is none. The table is locked as above.
std::string foreign_code_of(Oid table);

// The same for a part that no lock can keep out, cheap enough for each transaction: functions and
// operators of other roles in the schema that have the name of one of the server's.
void require_no_shadowing_objects(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
