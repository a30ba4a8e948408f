#include "online/guard.hpp"

#include "chain/refusal.hpp"
#include "migrate/rights.hpp"
#include "server/spi.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Revision;

constexpr const char *sessions_query = R"(
select format('Session %s of role %s%s, %s for %s, calls %s', a.pid, a.usename,
              ' (' || nullif(a.application_name, '') || ')', a.state,
              date_trunc('second', clock_timestamp() - a.state_change),
              substring(a.query from '[[:<:]](' || $1 || ')[[:space:]]*[(]'))
  from pg_stat_activity a
 where a.datname = current_database() and a.pid <> pg_backend_pid()
   and a.backend_type = 'client backend' and a.query ~ ('[[:<:]](' || $1 || ')[[:space:]]*[(]')
 order by a.state_change desc)";

constexpr const char *calls_query = R"(
select p.proname::text, sum(pg_stat_get_function_calls(p.oid))::int8
  from pg_proc p where p.pronamespace = $1 group by 1
having sum(pg_stat_get_function_calls(p.oid)) > 0)";

constexpr const char *workers_table = "procrastinate_workers";

// Procrastinate takes a worker for stalled after 30 seconds.
constexpr std::string_view old_workers_query = R"(
, old as (
    select id, clock_timestamp() - last_heartbeat as age
      from workers
     where id <= $1 and last_heartbeat > clock_timestamp() - interval '30 s')
select format('Worker %s, whose last heartbeat came %s ago, is older than this call''s pre migrations',
              id, date_trunc('second', age))
  from old order by age)";

bool has_function(Revision revision, std::string_view name)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const chain::Fact &fact) {
        return fact.kind == "function" && chain::is_at(fact, revision) &&
               chain::fact_name(fact) == name;
    });
}

std::map<std::string, std::int64_t, std::less<>> calls(const Installation &installation)
{
    std::map<std::string, std::int64_t, std::less<>> counted;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(calls_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        counted.emplace(rows.text(row, 1).value_or(""),
                        DatumGetInt64(rows.datum(row, 2).value_or(0)));
    return counted;
}

std::string workers_of(const Installation &installation)
{
    return "with workers as (select id, last_heartbeat from only " +
           std::string(installation.quoted) + "." + workers_table + ")";
}

// The highest number of a worker; 0 where there is none.
std::int64_t newest_worker(const Installation &installation)
{
    if (!catalog::has_relation(installation, workers_table))
        return 0;
    const std::string query = workers_of(installation) + " select max(id) from workers";
    return DatumGetInt64(spi::read_latest(query.c_str()).datum(0, 1).value_or(0));
}

std::vector<std::string> old_workers(const Installation &installation, std::int64_t newest)
{
    const std::string query = workers_of(installation) + std::string(old_workers_query);
    const std::array parameters{spi::int8_parameter(newest)};
    const spi::Rows rows = spi::read_latest(query.c_str(), parameters);
    std::vector<std::string> found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        found.emplace_back(rows.text(row, 1).value_or(""));
    return found;
}

std::string alternatives(const std::vector<std::string_view> &names)
{
    std::string text;
    for (const std::string_view name : names)
        text.append(text.empty() ? "" : "|").append(name);
    return text;
}

} // namespace

std::vector<std::string_view> dropped_functions(Revision revision)
{
    std::vector<std::string_view> names;
    for (const chain::Fact &fact : chain::facts())
    {
        const std::string_view name = chain::fact_name(fact);
        if (fact.kind == "function" && fact.last == revision - 1 && !has_function(revision, name) &&
            std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    }
    return names;
}

void Guard::begin(const Installation &installation) { calls_ = calls(installation); }

void Guard::require_unused(const Installation &installation, Revision revision)
{
    const chain::Migration &migration = chain::migration(revision);
    if (migration.phase == chain::Phase::pre)
        newest_old_worker_ = newest_worker(installation);
    const std::vector<std::string_view> names = dropped_functions(revision);
    if (migration.phase != chain::Phase::post || names.empty())
        return;
    migrate::Findings findings;
    const std::array parameters{spi::text_parameter(alternatives(names))};
    const spi::Rows rows = spi::read_latest(sessions_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        findings.add(std::string(rows.text(row, 1).value_or("")));
    for (const auto &[name, count] : calls(installation))
    {
        const auto before = calls_.find(name);
        const std::int64_t since = count - (before == calls_.end() ? 0 : before->second);
        if (since > 0 && std::find(names.begin(), names.end(), name) != names.end())
            findings.add("Function " + name + " has been called " + std::to_string(since) +
                         " times since this call began");
    }
    if (newest_old_worker_ > 0)
        findings.add(old_workers(installation, newest_old_worker_));
    if (!findings.any())
        return;
    const std::string call = "CALL procrastinate_migrate('" + std::string(migration.revision) +
                             "', schema => " + std::string(installation.quoted_text);
    throw chain::Refusal{
        chain::sqlstate::still_used,
        "migration " + std::string(migration.revision) + " drops functions of schema \"" +
            std::string(installation.name) + "\" that seem to be in use",
        findings.text(),
        "Deploy the release that this schema is for everywhere, end old workers, and call it "
        "again. If those are no workers, or are another schema's: " +
            call + ", force => true);"};
}

} // namespace procrastinate::online
