#include "upgrade/change.hpp"

#include "catalog/extension.hpp"
#include "common/refusal.hpp"
#include "server/current_role.hpp"
#include "server/setting_scope.hpp"
#include "server/statement_worker.hpp"
#include "upgrade/acting_role.hpp"
#include "upgrade/adoption.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/library_version.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

using common::Refusal;
namespace sqlstate = common::sqlstate;

void require_same_version()
{
    const std::string installed = catalog::installed_version();
    if (installed == library_version)
        return;
    throw Refusal{sqlstate::version_mismatch,
                  "library procrastinate_migrate is version " + std::string(library_version) +
                      ", but the extension in this database is " +
                      (installed.empty() ? "not installed" : "version " + installed),
                  "A change needs both to have the same version.",
                  "If the extension was updated just now, start a new session; else run "
                  "ALTER EXTENSION procrastinate_migrate UPDATE;"};
}

void require_read_committed()
{
    if (!IsolationUsesXactSnapshot())
        return;
    throw Refusal{
        sqlstate::active_transaction,
        "a migration cannot run at isolation level repeatable read or serializable",
        "It would not see jobs that other sessions have written since the transaction began, and "
        "would leave them unchanged.",
        "SET default_transaction_isolation TO 'read committed';\nOr, for one transaction: "
        "BEGIN ISOLATION LEVEL READ COMMITTED;"};
}

// Whether the catalog has to decide: no row of this database says the revision, or the last one is
// wrong.
bool is_to_adopt(const InstallationState &state)
{
    return state.is_by_catalog || (!state.last && !state.current.revision);
}

// Whether the target is still to be reached, as far as the history tells.
bool has_work(const InstallationState &state, std::string_view target)
{
    return !state.current.revision ||
           *state.current.revision < chain::resolve_target(target, state.current);
}

// Code of the one role may have left something in the session that the other one would run, such as
// a function compiled with a search_path of its own.
common::Refusal other_owner(const catalog::Installation &installation, Oid before, Oid now)
{
    return {common::sqlstate::rows_unchanged,
            catalog::in_schema(installation) + " belongs to role " + server::role_name(now) +
                " now, and no longer to role " + server::role_name(before),
            "A call, and a worker of procrastinate_migrate_all(), acts as one role only.",
            "Call it again in a new session."};
}

} // namespace

void require_writable(const char *command)
{
    server::call([command] { PreventCommandIfReadOnly(command); });
}

void Change::enter()
{
    require_writable(command_);
    require_same_version();
    // Before the lock, so that no other role can keep changes out by it.
    {
        const server::RoleScope scope(require_acting_role(installation_)); // reads the catalog only
        require_schema_privileges(installation_);
    }
    lock_installation(installation_,
                      unfinished_ == Unfinished::continued ? WaitNotice::none : WaitNotice::raised);
    // Another session may have given the installation to another role meanwhile.
    const Oid owner = require_acting_role(installation_);
    const Oid before = OidIsValid(owner_) ? owner_ : server::only_acting_role();
    if (OidIsValid(before) && owner != before)
        throw other_owner(installation_, before, owner);
    owner_ = owner;
}

InstallationState Change::read_state() const
{
    lock_history(installation_);
    InstallationState state = upgrade::read_state(installation_);
    if (state.is_unknown_history())
        throw unknown_history(state, installation_);
    if (unfinished_ == Unfinished::refused)
        require_finished(state.under_way, installation_);
    return state;
}

UpgradePath Change::read_path(std::string_view target,
                              std::optional<chain::Revision> resolved) const
{
    lock_history(installation_);
    InstallationState state = upgrade::read_state(installation_);
    if (!resolved)
    {
        // The comparison may wait for other sessions. A call without work writes nothing.
        if (has_work(state, target))
            lock_schema_name(installation_);
        state = compare_with_catalog(std::move(state), installation_, WhileLocked::waits);
    }
    if (is_to_adopt(state))
    {
        (void)adopt(*this, installation_, state);
        state = upgrade::read_state(installation_);
    }
    const UpgradePath path = plan_upgrade_path(installation_, state, target, resolved);
    if (unfinished_ == Unfinished::refused && !path.reached_target())
        require_finished(path.under_way, installation_);
    return path;
}

void Change::prepare(Isolation isolation, Privileges privileges) const
{
    if (isolation == Isolation::read_committed)
        require_read_committed();
    lock_schema_name(installation_);
    if (privileges == Privileges::required)
        require_privileges(installation_);
}

void record_change(const catalog::Installation &installation, std::string_view event,
                   chain::Revision from, chain::Revision to, TimestampTz started)
{
    server::with_search_path(nullptr, [&] {
        // No lock keeps another role from creating some after the change has begun.
        require_no_shadowing_objects(installation);
        append_history(installation, event, from, to, started);
        if (from != to)
        {
            sync_version_tables(installation, from, to);
            const std::string payload = std::string(chain::name(to)) + " " + installation.name;
            server::call([&payload] { Async_Notify("procrastinate_schema", payload.c_str()); });
        }
        catalog::require_same_name(installation);
    });
}

} // namespace procrastinate::upgrade
