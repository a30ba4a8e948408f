// Privileges and ownership that a change needs. An installation belongs to one role; that role
// changes it.
#pragma once

#include "catalog/installation.hpp"

namespace procrastinate::upgrade
{

// Throws Refusal 42501 with everything that is missing: CREATE and USAGE on the schema, USAGE on
// the language plpgsql, and objects or code of other roles. A member of the owning role is refused
// too, as objects that the member creates would not belong to the owner, who could neither use nor
// change them. A superuser gets PM010: triggers, defaults and policies of the owner would run with
// the superuser's rights. Inside an SPI connection and under a search_path of the server's own.
void require_privileges(const catalog::Installation &installation);

// The part about objects and code of other roles. To be called again once the tables are locked:
// from then on no session can add a trigger to them.
void require_no_foreign_objects(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
