// Who may change an installation: the one role that owns it.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/installation.hpp"
#include "common/findings.hpp"

namespace procrastinate::upgrade
{

// Throws Refusal 42501 with all that is missing: CREATE and USAGE on the schema, the language of the
// functions, objects and code of another role. What a member of the owning role makes would not be the
// owner's, who could then neither use nor change it. A superuser gets PM010: triggers, defaults and
// policies of the owner would run with his rights.
void require_privileges(const catalog::Installation &installation);

// Only that nothing is another role's: again, once locks keep new triggers off the tables.
void require_no_foreign_objects(const catalog::Installation &installation);

// What differs from a revision.
common::Findings findings_of(std::span<const catalog::Difference> differences);

} // namespace procrastinate::upgrade
