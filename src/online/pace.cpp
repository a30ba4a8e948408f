#include "online/pace.hpp"

#include "migrate/options.hpp"
#include "server/settings.hpp"
#include "server/spi.hpp"
#include "server/waiting.hpp"
#include "server/wal.hpp"

namespace procrastinate::online
{

namespace
{

constexpr double share_of_others = 0.25; // of the time that a batch took
constexpr std::uint64_t kilobyte = 1024;
constexpr double most_saved = 1000; // milliseconds in which no WAL was written

} // namespace

void Pace::begin()
{
    began_ = server::now();
    wal_ = server::wal_written();
}

bool Pace::rest(double milliseconds)
{
    double pause = milliseconds * share_of_others;
    if (const int rate = migrate::max_wal_rate(); rate > 0)
    {
        const double written =
            static_cast<double>(server::wal_written() - wal_) / static_cast<double>(kilobyte);
        const double spent = static_cast<double>(server::now() - began_) / 1000;
        const double owed = 1000 * written / rate - spent;
        if (owed < -most_saved)
            began_ += static_cast<std::int64_t>(1000 * (-owed - most_saved));
        pause = std::max(pause, owed);
    }
    server::pause(pause);
    const int most = migrate::max_replication_lag();
    return most < 0 ||
           server::replication_lag().bytes <= static_cast<std::uint64_t>(most) * kilobyte;
}

std::string Pace::slowest_replica()
{
    return server::with_search_path(nullptr, [] {
        const std::array sender{server::spi::int8_parameter(server::replication_lag().sender)};
        const server::spi::Rows rows = server::spi::read_latest(
            "select format('replica \"%s\" (PID %s)', application_name, pid)"
            " from pg_stat_activity where pid = $1",
            sender);
        return std::string(rows.count() == 0 ? "a replica" : rows.text(0, 1).value_or("a replica"));
    });
}

} // namespace procrastinate::online
