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

// The recorded revision. If the catalog matches another one exactly, that one, with a NOTICE. With
// an unknown history the state as it is.
chain::CurrentRevision recorded_or_exact(const catalog::Installation &installation,
                                         const InstallationState &state,
                                         std::span<const catalog::CatalogObject> structure);

// The same; for tables without a history that match no revision exactly the nearest one, with a
// NOTICE that names others that are as near. No revision without tables.
chain::CurrentRevision recorded_or_nearest(const catalog::Installation &installation,
                                           const InstallationState &state,
                                           std::span<const catalog::CatalogObject> structure);

// NOTICE that tables without a history of this database are nearest to these revisions.
void notice_nearest(const catalog::Installation &installation, const InstallationState &state,
                    std::span<const catalog::RevisionMatch> nearest);

// "0037 and 0038"
std::string names_of(std::span<const catalog::RevisionMatch> matches);

// What to do about a schema whose catalog shows more migrations than are recorded. Empty if it
// shows none.
std::string advice_for_moved_on(const catalog::Installation &installation,
                                std::span<const catalog::CatalogObject> structure,
                                chain::Revision recorded);

// What to do about a schema without a history that is nearest to a revision, if it holds objects of
// later migrations, so that none can go on from there. Empty if it holds none.
std::string advice_for_later_objects(const catalog::Installation &installation,
                                     std::span<const catalog::CatalogObject> structure,
                                     chain::Revision nearest);

// The call of procrastinate_repair() that repairs the schema to a revision, by default to the
// current one, without the semicolon and the parenthesis at its end.
std::string repair_call(const catalog::Installation &installation,
                        std::optional<chain::Revision> revision = {});

// The call of procrastinate_check() that lists the differences from a revision.
std::string check_call(const catalog::Installation &installation, chain::Revision revision);

// WARNING if Alembic or Django has recorded another revision, with the commands that correct that.
// `told` has tables to leave out, qualified and quoted.
void warn_of_external_versions(const catalog::Installation &installation, chain::Revision revision,
                               std::span<const std::string> told = {});

} // namespace procrastinate::upgrade
