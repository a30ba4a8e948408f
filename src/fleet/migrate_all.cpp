#include "fleet/migrate_all.hpp"

#include "catalog/installation.hpp"
#include "chain/target.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "fleet/name_patterns.hpp"
#include "server/messages.hpp"
#include "server/session_lock.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/statement_worker.hpp"
#include "sql/session_settings.hpp"
#include "upgrade/acting_role.hpp"
#include "upgrade/change.hpp"
#include "upgrade/settings.hpp"

#include <algorithm>
#include <array>

namespace procrastinate::fleet
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

// What a worker's call reads of the session's settings.
constexpr const char *settings_of_calls =
    "procrastinate_migrate.verify,procrastinate_migrate.alembic_version,"
    "procrastinate_migrate.alembic_ids,procrastinate_migrate.django_migrations,"
    "procrastinate_migrate.django_names,procrastinate_migrate.max_wal_rate,"
    "procrastinate_migrate.max_replication_lag,"
    "procrastinate_migrate.min_concurrent_build_size,procrastinate_migrate.copy_grants,"
    "maintenance_work_mem,max_parallel_maintenance_workers,default_tablespace";

std::string name_of(Oid schema)
{
    const char *const name = server::call([schema] { return get_namespace_name(schema); });
    return name == nullptr ? std::string() : name;
}

// Names. A worker gets the defaults of the database and of its role by itself: as values of a
// session they would look like a choice of the caller, who does not trust each owner of a database.
std::vector<std::string> settings_to_take_over()
{
    const std::array parameters{spi::text_parameter(settings_of_calls)};
    const spi::Rows rows = spi::read_latest(sql::session_settings, parameters);
    std::vector<std::string> names;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        names.emplace_back(rows.text(row, 1).value_or(""));
    return names;
}

// A worker for installations of one owner, with a place for it.
struct Worker
{
    Oid owner;
    std::unique_ptr<server::StatementWorker> process;
    std::unique_ptr<server::SessionLock> place;
};

// What the workers of a call have in common.
struct Workers
{
    // Those whose last migration has succeeded. A new session would have to load the library and to
    // plan its queries, which takes longer than to migrate an installation with few jobs. But a
    // worker takes only installations of the same owner, whose triggers may leave something in the
    // session. It refuses one that has another owner by then.
    std::vector<Worker> idle;
    std::vector<std::string> settings; // names of those that they take over
};

class WorkerRun : public RunningWork
{
  public:
    WorkerRun(Worker worker, std::shared_ptr<Workers> workers)
        : worker_(std::move(worker)), workers_(std::move(workers))
    {
    }

    ~WorkerRun() override
    {
        if (!worker_.process->is_running() && worker_.process->sqlstate() == 0)
            workers_->idle.push_back(std::move(worker_));
    }

    bool is_running() override { return worker_.process->is_running(); }

    std::optional<Failure> failure() const override
    {
        const int sqlstate = worker_.process->sqlstate();
        if (sqlstate == 0)
            return std::nullopt;
        return Failure{unpack_sql_state(sqlstate), worker_.process->message(),
                       worker_.process->detail()};
    }

  private:
    Worker worker_;
    std::shared_ptr<Workers> workers_;
};

// Each worker may need another one, to build an index. The server has one of its own.
int most_places()
{
    return std::min(upgrade::max_migrate_workers(),
                    std::max(1, (server::max_background_workers() - 1) / 2));
}

// One of those that the session's role has in this database: no other role can take all. Null if
// all are taken.
std::unique_ptr<server::SessionLock> free_place()
{
    for (int slot = 0; slot < most_places(); ++slot)
    {
        auto place = std::make_unique<server::SessionLock>(
            server::slot_tag(server::LockKey::migrate_slot, GetSessionUserId(), slot),
            ExclusiveLock);
        if (place->try_acquire_once())
            return place;
    }
    return nullptr;
}

// An idle worker of the owner that has begun with the call. Ends idle workers of others, whose
// places are wanted.
std::optional<Worker> next_of_idle_worker(std::vector<Worker> &idle, Oid owner, Oid schema,
                                          const std::string &call)
{
    while (!idle.empty())
    {
        Worker worker = std::move(idle.back());
        idle.pop_back();
        if (worker.owner == owner && worker.process->run_next(schema, call.c_str()))
            return worker;
    }
    return std::nullopt;
}

// Null if there is no place, or no worker, but the end of one that runs gives one back.
std::unique_ptr<RunningWork> start_worker(const std::shared_ptr<Workers> &workers, Oid owner,
                                          Oid schema, const std::string &call, std::size_t running)
{
    if (std::optional<Worker> worker = next_of_idle_worker(workers->idle, owner, schema, call))
        return std::make_unique<WorkerRun>(std::move(*worker), workers);
    std::unique_ptr<server::SessionLock> place = free_place();
    if (place == nullptr)
        return nullptr;
    const Oid role = GetUserId();
    std::vector<const char *> settings;
    for (const std::string &name : workers->settings)
        settings.push_back(name.c_str());
    std::unique_ptr<server::StatementWorker> process = server::StatementWorker::start(
        {role, owner, schema, "", "", call.c_str(), 0, settings, server::WorkerUse::kept});
    if (process != nullptr)
        return std::make_unique<WorkerRun>(Worker{owner, std::move(process), std::move(place)},
                                           workers);
    if (running == 0)
        throw common::Refusal{
            common::sqlstate::no_worker,
            "there is no background worker to migrate an installation with",
            "All of the server's max_worker_processes are in use.",
            "Raise max_worker_processes, or call it again later: it goes on with those that are "
            "left."};
    return nullptr;
}

// Nothing if the installation has reached the target.
std::optional<Work> work_of(const ListedInstallation &listed, std::string_view target,
                            const online::CallOptions &call,
                            const std::shared_ptr<Workers> &workers)
{
    // What is not known is the call's to adopt or to refuse.
    if (listed.current && !listed.under_way_since &&
        chain::resolve_target(target, {listed.current}) <= *listed.current)
        return std::nullopt;
    const Installation installation = catalog::locate(listed.schema);
    const auto text = [&](online::Literals literals) {
        return online::call_of(installation.quoted_text, std::string(target), call, literals);
    };
    return Work{
        catalog::in_schema(installation), text(online::Literals::plain),
        [workers, installation, statement = text(online::Literals::typed)](std::size_t running) {
            // Not the listed owner: it may have changed long ago.
            return start_worker(workers, upgrade::acting_role(installation), installation.schema,
                                statement, running);
        }};
}

std::deque<Work> works_of(std::string_view target, const std::vector<std::string> &patterns,
                          const online::CallOptions &call, const FleetOptions &options)
{
    return spi::connected(spi::Mode::may_commit, [&] {
        return server::with_search_path(nullptr, [&] {
            std::deque<Work> works;
            const auto workers = std::make_shared<Workers>();
            workers->idle.reserve(static_cast<std::size_t>(options.workers)); // for a destructor
            workers->settings = settings_to_take_over();
            int reached = 0;
            for (const ListedInstallation &listed : selected(patterns))
            {
                std::optional<Work> work = work_of(listed, target, call, workers);
                if (!work)
                {
                    ++reached;
                    continue;
                }
                if (options.dry_run)
                    server::notice(work->name + " would be migrated" +
                                   (listed.revision.empty() ? ", without a history,"
                                                            : " from " + listed.revision) +
                                   " to " + std::string(target));
                works.push_back(std::move(*work));
            }
            if (works.empty() && reached == 0)
                server::warning("no installation that you may change fits the argument \"schemas\"",
                                {}, see_all_installations());
            server::notice(std::to_string(works.size()) +
                           (works.size() == 1 ? " installation" : " installations") +
                           " to migrate, " + std::to_string(reached) +
                           " have reached the target already");
            return works;
        });
    });
}

} // namespace

std::string see_all_installations()
{
    return "To see all: SELECT * FROM " + common::own_function("procrastinate_installations") + ";";
}

// What is left of an installation is none.
std::vector<ListedInstallation> selected(const std::vector<std::string> &patterns)
{
    std::vector<ListedInstallation> all = installations();
    std::erase_if(all, [&patterns](const ListedInstallation &one) {
        const std::string name = name_of(one.schema);
        return !one.may_change || one.current == chain::base || !fits_one(name, patterns);
    });
    return all;
}

void migrate_all(std::string_view target, const std::vector<std::string> &patterns,
                 const online::CallOptions &call, const FleetOptions &options)
{
    // A worker would not be read-only, and on a standby it would begin after a promotion.
    if (!options.dry_run)
        upgrade::require_writable("procrastinate_migrate_all()");
    std::deque<Work> works = works_of(target, patterns, call, options);
    if (options.dry_run)
        return;
    run_all("installations", std::move(works), options);
}

} // namespace procrastinate::fleet
