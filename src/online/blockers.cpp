#include "online/blockers.hpp"

#include "common/refusal.hpp"
#include "online/fetch_barrier.hpp"
#include "online/index_build.hpp"
#include "online/step_log.hpp"
#include "server/advisory_lock.hpp"
#include "server/spi.hpp"
#include "sql/blockers.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/settings.hpp"

#include <algorithm>
#include <string>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

bool is_index_left(const catalog::Installation &installation, const chain::Step &step)
{
    if (step.number == 0)
        return false;
    // As it is written: where it asks in another way, it looks like another kind.
    const chain::Step written =
        chain::steps(step.revision).at(static_cast<std::size_t>(step.number) - 1);
    return written.kind == chain::StepKind::concurrent &&
           server::index_state(installation.schema, std::string(written.index()).c_str(),
                               std::string(written.indexed()).c_str()) ==
               server::IndexState::invalid;
}

// Others' locks that keep the step waiting, as pg_locks names them: "procrastinate_jobs ShareLock, …".
std::string conflicts_of(const chain::Step &step)
{
    std::vector<chain::StepLock> locks = step.all_locks();
    locks.push_back({catalog::history_table, "SHARE ROW EXCLUSIVE"});
    std::string text;
    for (const chain::StepLock &lock : locks)
        for (const std::string &mode : upgrade::conflicting_modes(lock.mode))
            text.append(text.empty() ? "" : ", ").append(lock.table).append(" ").append(mode);
    return text;
}

} // namespace

Blockers blockers(const catalog::Installation &installation, const chain::Step &step,
                  double lock_timeout)
{
    const bool is_last = step.number == step.count; // other tools' tables are kept in step with it
    const std::string conflicts = conflicts_of(step);
    std::string tables;
    for (const chain::StepLock &lock : step.all_locks())
        tables.append(tables.empty() ? "" : ", ").append(lock.table);
    const std::array parameters{
        spi::oid_parameter(installation.schema),
        spi::text_parameter(conflicts),
        spi::boolean_parameter(step.barrier == chain::Step::close),
        spi::text_parameter(is_last ? upgrade::alembic_table() : ""),
        spi::text_parameter(is_last ? upgrade::django_table() : ""),
        spi::boolean_parameter(step.number == 0),
        spi::int8_parameter(static_cast<std::int64_t>(lock_timeout)),
        spi::text_parameter(tables),
        spi::oid_parameter(server::class_id(server::LockKey::fetch_barrier)),
        spi::oid_parameter(server::class_id(server::LockKey::installation))};
    const spi::Rows rows = spi::read_latest(sql::blockers, parameters);
    Blockers found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        found.text += (row == 0 ? "" : "\n") + std::string(rows.text(row, 1).value_or(""));
        const pid_t pid = DatumGetInt32(rows.datum(row, 2).value_or(0));
        if (rows.boolean(row, 3) &&
            std::find(found.pids.begin(), found.pids.end(), pid) == found.pids.end())
            found.pids.push_back(pid);
    }
    if (found.text.empty())
        found.text = "Whoever was in the way has gone by now.";
    return found;
}

void give_up(const catalog::Installation &installation, const chain::Step &step,
             const std::string &target, const CallOptions &options, const LockRetry &lock_retry,
             const std::string &blockers)
{
    CallOptions patient = options;
    patient.retry_for = std::max(3'600'000.0, 2 * options.retry_for);
    throw common::Refusal{
        common::sqlstate::lock_not_available, label_of(step) + " could not get its locks",
        "It was tried " +
            (lock_retry.failures() == 1 ? "once"
                                        : std::to_string(lock_retry.failures()) + " times") +
            " in " + std::to_string(static_cast<long>(lock_retry.waited() / 1000)) + " s, and " +
            (is_index_left(installation, step)
                 ? "an invalid index is there, which the next call drops if nobody is building it"
                 : "no try has left anything behind") +
            ".\n" + blockers,
        "End what is in the way, or give it more time: " + call_of(installation, target, patient)};
}

} // namespace procrastinate::online
