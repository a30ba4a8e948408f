// Current revision of an installation: the history's, unless the catalog says otherwise.
//
// Rows of the history may be of another database, and other tools change a schema, too. Where the
// catalog does not match the recorded revision, and matches another one without a difference, the
// other one is the current revision. Where it matches none, the recorded one is.
#pragma once

#include "catalog/catalog_object.hpp"
#include "upgrade/installation_state.hpp"

namespace procrastinate::upgrade
{

// What to do if the objects of the tables cannot be compared now.
enum class WhileLocked
{
    waits,        // for the lock; throws Refusal PM010 if there are too many, or too large ones
    skips_catalog // the history counts: another session is changing the schema
};

// read_state(), compared with the catalog; the locks of the comparison end with it. No comparison
// in the middle of a migration, and where the functions of the schema alone rule out each other
// revision. A revision whose jobs table is gone, or replaced by a view, is not known (PM009).
// Throws as read_state().
InstallationState read_current_state(const catalog::Installation &installation,
                                     WhileLocked while_locked = WhileLocked::skips_catalog);

// The same for a caller that relies on the revision: throws Refusal PM010 if the catalog cannot be
// compared for another reason than a lock.
InstallationState read_compared_state(const catalog::Installation &installation);

// The same for a state that has been read.
InstallationState compare_with_catalog(InstallationState state,
                                       const catalog::Installation &installation,
                                       WhileLocked while_locked);

// The revision that the objects of the schema match without a difference, if they do not match the
// recorded one. Nothing in the middle of a migration, and if an object belongs to another role than
// the jobs table.
std::optional<chain::Revision>
contradicting_revision(const InstallationState &state,
                       std::span<const catalog::CatalogObject> structure);

// Takes that revision for the current one, unless a migration has been recorded since the state was
// read: then reads the state again.
void go_by_catalog(InstallationState &state, const catalog::Installation &installation,
                   chain::Revision by_catalog);

// "schema "app" has no history; its catalog is that of 0038", or that its history says otherwise.
std::string by_catalog_text(const InstallationState &state,
                            const catalog::Installation &installation, chain::Revision by_catalog);

// A NOTICE if the current revision is the catalog's.
void notice_if_by_catalog(const InstallationState &state,
                          const catalog::Installation &installation);

} // namespace procrastinate::upgrade
