// Current revision of an installation, as its history and its tables tell it: known, unknown, or in
// the middle of a migration.
#pragma once

#include "chain/step.hpp"
#include "chain/target.hpp"
#include "common/refusal.hpp"
#include "upgrade/history.hpp"

namespace procrastinate::upgrade
{

struct InstallationState
{
    bool has_history = false;     // the table; its rows may all be of other databases
    std::optional<Event> foreign; // the latest one, if they are: this database has written no row
    std::optional<Event> last; // the last event that is not a step; if all are steps, the last step
    std::string recorded; // to_revision of `last`, as it is written there; empty without `last`
    std::optional<chain::Revision> recorded_revision; // what that means, if this version knows it
    chain::CurrentRevision current;            // the recorded one; see upgrade/current_state.hpp
    bool is_by_catalog = false;                // the current revision is not the recorded one
    std::optional<common::Refusal> unreadable; // PM010: the catalog could not be compared with it
    std::optional<chain::StepName>
        under_way;         // last recorded step of a migration that has not ended
    TimestampTz began = 0; // of the migration under way
    TimestampTz since = 0; // end of that step, or the first recorded position in the step after it
    std::optional<std::string> unknown_step; // name of the last row's step, if that is not known

    // True if the last row names a revision or a step that this version does not know.
    bool is_unknown_history() const { return last && (!recorded_revision || unknown_step); }
    bool is_foreign() const { return foreign.has_value(); }
    // A migration was under way in the other database.
    bool is_foreign_step() const { return foreign && foreign->name.starts_with(event::step); }

    void go_by_catalog(chain::Revision revision)
    {
        current = {revision, {}, {}};
        is_by_catalog = true;
    }
};

// Reads the last events of the history. Without events of this database, a schema that has one of
// Procrastinate's tables has no known revision, and any other is at base. Inside an SPI connection
// and under a search_path of the server's own. Throws as visit_history() does, and PM010 after
// 100,000 steps in a row.
InstallationState read_state(const catalog::Installation &installation);

// False if another session has recorded a migration or a step since the state was read: a catalog
// that was read after it may be that of a later revision.
bool is_recorded_still(const catalog::Installation &installation, const InstallationState &state);

// The state of a history that holds this event alone.
InstallationState state_after(const Event &event);

// The current revision. Throws Refusal PM005 if there are tables but no history, PM006 if this
// version does not know the last row's revision or step, and PM009 if the tables are gone or if
// another relation has the name of the jobs table.
chain::Revision require_known(const InstallationState &state,
                              const catalog::Installation &installation);

// Of a state with an unknown history: the refusal PM006, also for a warning.
common::Refusal unknown_history(const InstallationState &state,
                                const catalog::Installation &installation);

// "schema "app" has no history", or only that of another database.
std::string has_no_history(const InstallationState &state,
                           const catalog::Installation &installation);

// Of a state with the history of another database only: the refusal PM005.
common::Refusal foreign_history(const InstallationState &state,
                                const catalog::Installation &installation);

// For its HINT: the call that records what the other database's history says, with a line end.
std::string hint_of_copy(const catalog::Installation &installation);

// Throws Refusal PM012 if a migration is under way: only procrastinate_migrate() can finish it.
void require_finished(const std::optional<chain::StepName> &under_way,
                      const catalog::Installation &installation);

} // namespace procrastinate::upgrade
