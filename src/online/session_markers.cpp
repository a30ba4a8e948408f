#include "online/session_markers.hpp"

#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "sql/marked_sessions.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

// It is planned at the first step that closes a barrier: later it runs while interrupts are held.
constinit spi::PlannedQuery query{[] { return std::string(sql::marked_sessions); }};

} // namespace

std::deque<SessionMarker> blocker_markers(const std::vector<pid_t> &pids)
{
    std::deque<SessionMarker> markers;
    for (const pid_t pid : pids)
        markers.emplace_back(server::LockKey::blocker, static_cast<Oid>(pid));
    return markers;
}

void wait_for_running_clients(double milliseconds)
{
    std::vector<VirtualTransactionId> others;
    server::with_search_path(nullptr, [&others] {
        const std::array parameters{
            spi::oid_parameter(server::class_id(server::LockKey::running)),
            spi::oid_parameter(server::class_id(server::LockKey::waiting)),
            spi::oid_parameter(server::class_id(server::LockKey::building))};
        const spi::Rows rows = spi::read_latest(query, parameters);
        for (std::uint64_t row = 0; row < rows.count(); ++row)
            others.push_back(
                {DatumGetInt32(rows.datum(row, 1).value_or(0)),
                 static_cast<LocalTransactionId>(DatumGetInt64(rows.datum(row, 2).value_or(0)))});
    });
    server::wait_for_older_transactions(milliseconds, others);
}

} // namespace procrastinate::online
