// Upgrade in one transaction: the migrations from the current revision to the target, or the schema
// of head directly; and the dry run of it.
#include "upgrade/upgrade.hpp"

#include "chain/facts.hpp"
#include "chain/step.hpp"
#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "server/timeouts.hpp"
#include "sql/drop_index.hpp"
#include "upgrade/change.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/held_locks.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/readiness.hpp"
#include "upgrade/row_security.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/timeouts.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Revision;
using common::Refusal;

// True if this transaction has added the label, so that it cannot use it yet.
bool is_uncommitted(const Installation &installation, const chain::AddedLabel &added)
{
    const Oid schema = installation.schema;
    const std::string type_name(added.type);
    const std::string label_name(added.label);
    return server::call([&] {
        const Oid type =
            GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(type_name.c_str()),
                            ObjectIdGetDatum(schema));
        const Oid label = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
                                          CStringGetDatum(label_name.c_str()));
        return OidIsValid(label) && EnumUncommitted(label);
    });
}

// The label that keeps this transaction from reaching the target because it has added it before.
const chain::AddedLabel *uncommitted_label(const Installation &installation, Revision current,
                                           Revision target)
{
    const chain::AddedLabel *first = nullptr;
    for (const chain::AddedLabel &label : chain::added_labels())
        if (label.added_by <= current && current < label.used_by && label.used_by <= target &&
            (first == nullptr || label.used_by < first->used_by) &&
            is_uncommitted(installation, label))
            first = &label;
    return first;
}

void require_one_transaction(const Installation &installation, Revision current, Revision target)
{
    const chain::AddedLabel *const uncommitted = uncommitted_label(installation, current, target);
    const chain::AddedLabel *const label =
        uncommitted != nullptr
            ? uncommitted
            : chain::label_needing_commit(current, target, chain::CreatedTypes::complete);
    if (label == nullptr)
        return;
    const Revision reachable = label->used_by - 1;
    const auto call = [&installation](std::string_view verb, std::string_view function,
                                      Revision to) {
        return std::string(verb) + " " + common::own_function(function) + "('" +
               std::string(chain::name(to)) + "', schema => " + installation.quoted_text + ");";
    };
    throw Refusal{common::sqlstate::needs_commit,
                  "one transaction cannot upgrade from " + std::string(chain::name(current)) +
                      " to " + std::string(chain::name(target)),
                  "Migration " + std::string(chain::name(label->added_by)) + " adds label \"" +
                      std::string(label->label) + "\" to enum type " + std::string(label->type) +
                      ", migration " + std::string(chain::name(label->used_by)) +
                      " uses it, and PostgreSQL allows that only after a commit.",
                  uncommitted != nullptr
                      ? "COMMIT;\n" + call("SELECT", "procrastinate_upgrade", target)
                      : call("CALL", "procrastinate_migrate", target) +
                            "\nOr, in two transactions:\n" +
                            call("SELECT", "procrastinate_upgrade", reachable) + "\n" +
                            call("SELECT", "procrastinate_upgrade", target)};
}

// One migration and its row in the history.
void run_migration(const Installation &installation, const chain::Migration &migration,
                   EnumTypes enum_types)
{
    const Revision from = migration.number - 1;
    notice_begin(migration);
    const TimestampTz started = server::now();
    const CopiedGrants grants(installation);
    run_script(migration.sql, migration_label(migration), enum_types);
    server::with_context("privileges after " + migration_label(migration), [&] { grants.copy(); });
    server::with_context("history of " + migration_label(migration), [&] {
        record_change(installation, event::upgrade, from, migration.number, started);
    });
    notice_end(migration, started);
}

// Indexes that an interrupted procrastinate_migrate() has built ahead of this migration.
void drop_built_ahead(const Installation &installation, Revision revision)
{
    for (const std::string &index : chain::built_ahead(revision))
        if (catalog::has_relation(installation, index.c_str()))
            spi::execute(common::substitute(sql::drop_index, {{"index", index}}).c_str());
}

void run_chain(const Installation &installation, Revision current, Revision target)
{
    const EnumTypes enum_types = EnumTypes::complete(current, target);
    for (Revision revision = current + 1; revision <= target; ++revision)
    {
        drop_built_ahead(installation, revision);
        run_migration(installation, chain::migration(revision), enum_types);
    }
}

void begin_migrations(const Installation &installation, const UpgradePath &path)
{
    server::with_context("before " + migration_label(chain::migration(path.current + 1)), [&] {
        warn_of_timeouts(installation, path, Transactions::one);
        lock_tables(installation, tables_of(path.current, path.target));
    });
}

// Everything before the first write: checks and locks. Checks nothing if the target is reached.
UpgradePath prepare(const Change &change, const Installation &installation, std::string_view target)
{
    const UpgradePath path = change.read_path(target);
    if (path.reached_target())
        return path;
    require_one_transaction(installation, path.current, path.target);
    const bool is_new = !path.has_history && path.current == chain::base;
    change.prepare(is_new ? Isolation::any : Isolation::read_committed);
    require_no_forced_policies(installation);
    require_ready(installation, path.current, path.target);
    begin_migrations(installation, path);
    return path;
}

void run_migrations(const Installation &installation, const UpgradePath &path)
{
    if (path.is_direct())
    {
        tell_of_installation();
        return install_directly(installation, path);
    }
    set_script_settings();
    if (!path.has_history)
        create_history(installation);
    run_chain(installation, path.current, path.target);
}

// Inside an SPI connection.
UpgradePath run(const Installation &installation, std::string_view target)
{
    Change change(installation, "procrastinate_upgrade()");
    VersionTableWarnings warnings;
    server::with_search_path(nullptr, [&change] { change.enter(); });
    return change.as_owner([&] {
        const UpgradePath path = server::with_search_path(
            nullptr, [&] { return prepare(change, installation, target); });
        if (path.reached_target())
            notice_nothing_to_do(installation, path.current, path.target, target);
        else
            server::with_search_path(installation.quoted.c_str(),
                                     [&] { run_migrations(installation, path); });
        warnings.raise(installation, path.reached());
        return path;
    });
}

std::vector<HeldLock> locks_now()
{
    return server::with_search_path(nullptr, [] { return held_locks(); });
}

// The tables whose locks are stronger now than before, a line each.
std::string new_locks(const std::vector<HeldLock> &now, const std::vector<HeldLock> &before,
                      Oid schema)
{
    std::string text;
    for (const HeldLock &lock : now)
    {
        const bool was_held =
            std::any_of(before.begin(), before.end(), [&lock](const HeldLock &held) {
                return held.relation == lock.relation && held.mode >= lock.mode;
            });
        const std::string line = was_held ? std::string() : display_text(lock, schema);
        if (!line.empty())
            text += "\n" + line;
    }
    return text;
}

// Runs `body` in an SPI connection. If statement_timeout ends it, the error says that nothing of
// the upgrade is left. `options` are arguments of procrastinate_upgrade() after the schema.
template <typename Body>
Revision explaining_timeout(const Installation &installation, std::string_view target,
                            std::string_view options, Body &&body)
{
    return server::explaining_statement_timeout(
        [&] { return spi::connected(body); },
        [&]() -> server::Explanation {
            return {"The upgrade is one transaction, which has been rolled back.",
                    "SELECT " + common::own_function("procrastinate_upgrade") + "(" +
                        common::quoted_literal(target) + ", schema => " + installation.quoted_text +
                        std::string(options) + ");"};
        });
}

} // namespace

void tell_of_installation()
{
    const Revision head = chain::head();
    server::notice("Installing " + display_name(head) + " directly, instead of " +
                   std::to_string(head) + " migrations");
}

void install_directly(const Installation &installation, const UpgradePath &path)
{
    set_script_settings();
    if (!path.has_history)
        create_history(installation);
    const Revision head = chain::head();
    const TimestampTz started = server::now();
    // The schema is not on the search_path: no operator or function in it can be picked.
    server::with_search_path(nullptr, [&] {
        run_script(chain::head_script(installation.quoted),
                   "schema of " + display_name(head) + " (head.sql)");
    });
    record_change(installation, event::install, chain::base, head, started);
    server::notice(std::string(chain::name(head)) + " took " + time_since(started));
}

Revision upgrade(const Installation &installation, std::string_view target)
{
    return explaining_timeout(installation, target, "",
                              [&] { return run(installation, target).reached(); });
}

Revision dry_run(const Installation &installation, std::string_view target)
{
    return explaining_timeout(installation, target, ", dry_run => true", [&] {
        const TimestampTz started = server::now();
        const std::vector<HeldLock> before = locks_now();
        std::vector<HeldLock> locks;
        const UpgradePath path = server::undone([&] {
            const UpgradePath done = run(installation, target);
            locks = locks_now();
            return done;
        });
        if (path.reached_target())
            return path.reached();
        const std::string held = new_locks(locks, before, installation.schema);
        server::notice("the upgrade took " + time_since(started) + " and has been rolled back",
                       held.empty()
                           ? "The upgrade locked no existing table."
                           : "Locks that it would hold until the transaction ends:" + held);
        return path.target;
    });
}

} // namespace procrastinate::upgrade
