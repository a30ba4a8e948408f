#include "online/blockers.hpp"

#include "common/refusal.hpp"
#include "online/fetch_barrier.hpp"
#include "online/index_build.hpp"
#include "server/advisory_lock.hpp"
#include "server/spi.hpp"
#include "sql/blockers.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/settings.hpp"

#include <algorithm>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

// Modes that conflict with the request's, as pg_locks shows them: "procrastinate_jobs ShareLock,
// ...".
std::string conflicts_of(const LockRequest &request)
{
    std::vector<chain::StepLock> locks = request.locks;
    locks.push_back({catalog::history_table, "SHARE ROW EXCLUSIVE"});
    if (request.locks_barrier())
        locks.push_back({fetch_barrier_table, "ACCESS EXCLUSIVE"});
    std::string text;
    for (const chain::StepLock &lock : locks)
        for (const std::string &mode : upgrade::conflicting_modes(lock.mode))
            text.append(text.empty() ? "" : ", ").append(lock.table).append(" ").append(mode);
    return text;
}

std::string tables_of(const LockRequest &request)
{
    std::string tables;
    for (const chain::StepLock &lock : request.locks)
        tables.append(tables.empty() ? "" : ", ").append(lock.table);
    return tables;
}

} // namespace

Blockers blockers_of(const catalog::Installation &installation, const LockRequest &request,
                     double lock_timeout)
{
    const bool has_version_tables = request.is_of_version_tables();
    const std::array parameters{
        spi::oid_parameter(installation.schema),
        spi::text_parameter(conflicts_of(request)),
        spi::text_parameter(has_version_tables ? upgrade::alembic_table() : ""),
        spi::text_parameter(has_version_tables ? upgrade::django_table() : ""),
        spi::boolean_parameter(request.purpose != LockRequest::step),
        spi::int8_parameter(static_cast<std::int64_t>(lock_timeout)),
        spi::text_parameter(tables_of(request)),
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
        found.text = "No session blocks it any more.";
    return found;
}

void give_up(const catalog::Installation &installation, const LockRequest &request,
             const std::string &target, const CallOptions &options, const LockRetry &lock_retry,
             const std::string &blockers)
{
    CallOptions longer = options;
    longer.retry_for = std::max(3'600'000.0, 2 * options.retry_for);
    const bool leaves_index = request.purpose == LockRequest::step &&
                              index_state_of(installation, request.of_step) == IndexState::invalid;
    const std::string left = leaves_index
                                 ? "An invalid index is left, which the next call drops unless "
                                   "another session is building it."
                                 : "No try has changed anything.";
    throw common::Refusal{common::sqlstate::lock_not_available, request.failure(),
                          "It was " + tried(lock_retry.failures()) + " in " +
                              std::to_string(static_cast<long>(lock_retry.waited() / 1000)) +
                              " s. " + left + "\n" + blockers,
                          "End the sessions and prepared transactions that block it, or give it "
                          "more time: " +
                              call_of(installation.quoted_text, target, longer)};
}

} // namespace procrastinate::online
