#include "online/session_markers.hpp"

#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

// Planned at the first step that shuts a barrier, before interrupts are held.
constinit spi::PlannedQuery query{R"(
select split_part(virtualtransaction, '/', 1)::int4, split_part(virtualtransaction, '/', 2)::int8
  from pg_locks where locktype = 'advisory' and classid in ($1, $2)
   and database = (select oid from pg_database where datname = current_database()))"};

} // namespace

std::deque<SessionMarker> problems(const std::vector<pid_t> &pids)
{
    std::deque<SessionMarker> shown;
    for (const pid_t pid : pids)
        shown.emplace_back(server::LockKey::blocker, static_cast<Oid>(pid));
    return shown;
}

void wait_for_clients(double milliseconds)
{
    std::vector<VirtualTransactionId> others;
    server::with_search_path(nullptr, [&others] {
        const std::array parameters{spi::oid_parameter(server::class_id(server::LockKey::running)),
                                    spi::oid_parameter(server::class_id(server::LockKey::waiting))};
        const spi::Rows rows = spi::read_latest(query, parameters);
        for (std::uint64_t row = 0; row < rows.count(); ++row)
            others.push_back(
                {DatumGetInt32(rows.datum(row, 1).value_or(0)),
                 static_cast<LocalTransactionId>(DatumGetInt64(rows.datum(row, 2).value_or(0)))});
    });
    server::wait_for_older_transactions(milliseconds, others);
}

} // namespace procrastinate::online
