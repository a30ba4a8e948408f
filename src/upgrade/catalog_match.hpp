// Revision that the catalog shows, for stamp and adopt: required to be exact, or to be the one that
// is recorded; and other tools' records that contradict it.
#pragma once

#include "catalog/installation.hpp"
#include "catalog/structure.hpp"
#include "upgrade/installation_state.hpp"

namespace procrastinate::upgrade
{

// The revision that the schema matches without a difference; base if it has no object of
// Procrastinate's, and its history does not say otherwise. Throws Refusal PM009 with the nearest
// revision and the differences from it if there is none. Inside an SPI connection and under a
// search_path of the server's own, as all of these.
chain::Revision require_exact_match(const catalog::Installation &installation,
                                    const InstallationState &state);

// Throws Refusal PM009 with the differences if the schema does not match the revision.
void require_match(const catalog::Installation &installation, chain::Revision revision);

// The recorded revision. If the catalog matches another one exactly, that one, with a NOTICE. For
// tables without a history the revision that the catalog is nearest to, with a NOTICE; no revision
// if it matches none. With an unknown history the state as it is.
chain::CurrentRevision recorded_or_nearest(const catalog::Installation &installation,
                                           const InstallationState &state,
                                           std::span<const catalog::CatalogObject> structure);

// WARNING if Alembic or Django has recorded another revision, with the commands that correct that.
void warn_of_external_versions(const catalog::Installation &installation, chain::Revision revision);

} // namespace procrastinate::upgrade
