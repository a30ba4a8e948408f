#include "fleet/migrate_all.hpp"

#include "catalog/installation.hpp"
#include "chain/target.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/session_lock.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/statement_worker.hpp"
#include "upgrade/settings.hpp"

#include <algorithm>
#include <deque>

namespace procrastinate::fleet
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

constexpr int most_failures_told = 20;

// Settings of the session that a worker's call reads.
constexpr std::array settings_of_calls{
    "procrastinate_migrate.verify",
    "procrastinate_migrate.alembic_version",
    "procrastinate_migrate.alembic_ids",
    "procrastinate_migrate.django_migrations",
    "procrastinate_migrate.django_names",
    "procrastinate_migrate.max_wal_rate",
    "procrastinate_migrate.max_replication_lag",
    "procrastinate_migrate.copy_grants",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "default_tablespace",
};

bool is_like(const std::string &name, const std::string &pattern)
{
    return server::call([&] {
        return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
                                                    CStringGetTextDatum(name.c_str()),
                                                    CStringGetTextDatum(pattern.c_str())));
    });
}

std::string name_of(Oid schema)
{
    const char *const name = server::call([schema] { return get_namespace_name(schema); });
    return name == nullptr ? std::string() : name;
}

// An installation that is to be migrated.
struct Task
{
    Installation installation;
    std::string revision; // before, for messages
    std::string call;
};

// A worker that migrates one, with a place of the database for it.
struct RunningTask
{
    Task task;
    std::unique_ptr<server::StatementWorker> worker;
    std::unique_ptr<server::SessionLock> place;
    std::int64_t began;
};

// Nothing if the installation has reached the target.
std::optional<Task> task_of(const ListedInstallation &listed, std::string_view target,
                            const online::CallOptions &call)
{
    // What is not known is the call's to adopt or to refuse.
    if (listed.current && !listed.under_way_since &&
        chain::resolve_target(target, {listed.current}) <= *listed.current)
        return std::nullopt;
    Installation installation = catalog::locate(listed.schema);
    std::string text = online::call_of(installation, std::string(target), call);
    return Task{std::move(installation), listed.revision.empty() ? "base" : listed.revision,
                std::move(text)};
}

class Fleet
{
  public:
    Fleet(std::deque<Task> tasks, const FleetOptions &options)
        : waiting_(std::move(tasks)), options_(options), count_(static_cast<int>(waiting_.size()))
    {
    }

    void run()
    {
        migrate(1, std::min(options_.canary, count_));
        // A canary is there to stop the rest.
        if (failures_.any())
            is_stopped_ = true;
        migrate(options_.workers, count_);
        if (failures_.any())
            refuse();
    }

  private:
    // With so many workers, until so many have been begun.
    void migrate(int workers, int last)
    {
        while (!running_.empty() || (begun_ < last && !is_stopped_))
        {
            while (begun_ < last && !is_stopped_ && static_cast<int>(running_.size()) < workers)
                if (!start())
                    break;
            server::call([] { InvalidateCatalogSnapshot(); });
            server::pause_until_woken(100);
            end_tasks();
        }
    }

    // Returns false if there is no place now.
    bool start()
    {
        std::unique_ptr<server::SessionLock> place = free_place();
        if (place == nullptr)
            return false;
        const Task &task = waiting_.front();
        const Oid role = GetUserId();
        std::unique_ptr<server::StatementWorker> worker = server::StatementWorker::start(
            {role, task.installation.schema, "", "", task.call.c_str(), 0, settings_of_calls});
        if (worker == nullptr)
        {
            if (running_.empty())
                throw common::Refusal{
                    common::sqlstate::no_worker,
                    "there is no background worker to migrate an installation with",
                    "All of the server's max_worker_processes are in use. " + so_far(),
                    "Raise max_worker_processes, or call it again later: it goes on with those "
                    "that are left."};
            return false;
        }
        running_.push_back({waiting_.front(), std::move(worker), std::move(place), server::now()});
        waiting_.pop_front();
        ++begun_;
        return true;
    }

    // Each worker may need another one, to build an index. The server has one of its own.
    static int most_places()
    {
        return std::min(upgrade::max_migrate_workers(),
                        std::max(1, (server::max_background_workers() - 1) / 2));
    }

    static std::unique_ptr<server::SessionLock> free_place()
    {
        for (int slot = 0; slot < most_places(); ++slot)
        {
            auto place = std::make_unique<server::SessionLock>(
                server::LockKey::migrate_slot, static_cast<Oid>(slot + 1), ExclusiveLock);
            if (place->try_acquire())
                return place;
        }
        return nullptr;
    }

    void end_tasks()
    {
        for (const RunningTask &running : running_)
            if (!running.worker->is_running())
                tell_end(running);
        std::erase_if(running_,
                      [](const RunningTask &running) { return !running.worker->is_running(); });
    }

    void tell_end(const RunningTask &running)
    {
        const std::string schema = catalog::in_schema(running.task.installation);
        const int sqlstate = running.worker->sqlstate();
        ++ended_;
        const std::string progress =
            " (" + std::to_string(ended_) + " of " + std::to_string(count_) + ")";
        if (sqlstate == 0)
        {
            server::notice(schema + " is migrated, in " +
                           std::to_string((server::now() - running.began) / 1000) + " ms" +
                           progress);
            return;
        }
        const std::string code = unpack_sql_state(sqlstate);
        server::warning(schema + " could not be migrated" + progress,
                        code + ": " + running.worker->message() +
                            (running.worker->detail().empty() ? "" : "\n") +
                            running.worker->detail(),
                        "To migrate it alone: " + running.task.call);
        failures_.add("Schema \"" + running.task.installation.name + "\": " + code + " " +
                      running.worker->message());
        if (options_.on_error == OnError::stop)
            is_stopped_ = true;
    }

    std::string so_far() const
    {
        return std::to_string(ended_) + " of " + std::to_string(count_) +
               " installations have been migrated.";
    }

    [[noreturn]] void refuse() const
    {
        const int left = count_ - ended_;
        throw common::Refusal{
            common::sqlstate::fleet_failed,
            std::to_string(failures_.count()) + " of " + std::to_string(count_) +
                " installations could not be migrated",
            failures_.text() +
                (left > 0 ? "\n" + std::to_string(left) + " have not been begun." : ""),
            "The call can be repeated: it goes on with those that are left."};
    }

    std::deque<Task> waiting_;
    std::vector<RunningTask> running_;
    FleetOptions options_;
    int count_;
    int begun_ = 0;
    int ended_ = 0;
    bool is_stopped_ = false;
    common::Findings failures_{most_failures_told};
};

std::deque<Task> tasks_of(std::string_view target, const std::vector<std::string> &patterns,
                          const online::CallOptions &call, const FleetOptions &options)
{
    return spi::connected(spi::Mode::may_commit, [&] {
        return server::with_search_path(nullptr, [&] {
            std::deque<Task> tasks;
            int reached = 0;
            for (const ListedInstallation &listed : selected(patterns))
            {
                std::optional<Task> task = task_of(listed, target, call);
                if (!task)
                    ++reached;
                else if (options.dry_run)
                    server::notice(catalog::in_schema(task->installation) +
                                   " would be migrated from " + task->revision + " to " +
                                   std::string(target));
                if (task)
                    tasks.push_back(std::move(*task));
            }
            server::notice(std::to_string(tasks.size()) + " installations to migrate, " +
                           std::to_string(reached) + " have reached the target already");
            return tasks;
        });
    });
}

} // namespace

// What is left of an installation is none.
std::vector<ListedInstallation> selected(const std::vector<std::string> &patterns)
{
    std::vector<ListedInstallation> all = installations();
    std::erase_if(all, [&patterns](const ListedInstallation &one) {
        const std::string name = name_of(one.schema);
        return !one.may_change || one.current == chain::base ||
               std::none_of(patterns.begin(), patterns.end(),
                            [&name](const std::string &pattern) { return is_like(name, pattern); });
    });
    return all;
}

void migrate_all(std::string_view target, const std::vector<std::string> &patterns,
                 const online::CallOptions &call, const FleetOptions &options)
{
    std::deque<Task> tasks = tasks_of(target, patterns, call, options);
    if (options.dry_run)
        return;
    // No snapshot may be left, for which index builds would wait.
    spi::connected(spi::Mode::may_commit, [] { spi::commit(); });
    Fleet(std::move(tasks), options).run();
}

} // namespace procrastinate::fleet
