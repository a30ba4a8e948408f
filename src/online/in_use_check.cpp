#include "online/in_use_check.hpp"

#include "chain/facts.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"
#include "upgrade/history.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Revision;

// The post migration of the channels of version 1: nobody needs those of before from then on.
constexpr Revision last_of_channels = 31;

// $1: the functions' names; $2: when the release's pre migration was applied, as far as anybody knows; $3:
// whether new code listens on other channels.
constexpr const char *sessions_query = R"(
with session as (
    select a.pid, a.backend_start, a.state_change,
           format('Session %s of role %s%s, ', a.pid, a.usename,
                  ' (' || nullif(a.application_name, '') || ')') as words,
           format('%s for %s, calls ', a.state, date_trunc('second', clock_timestamp() - a.state_change))
               || substring(a.query from '[[:<:]](' || $1 || ')[[:space:]]*[(]') as call,
           a.query ~* '^[[:space:]]*listen[[:space:]]+"?procrastinate_(any_)?queue' as listens,
           $3 and a.query !~* '^[^_]*_(any_)?queue_v1' as is_old
      from pg_stat_activity a
     where a.datname = current_database() and a.pid <> pg_backend_pid()
       and a.backend_type = 'client backend')
select words || coalesce(call, case when is_old then 'listens for jobs on a channel of older releases'
                                    else 'has listened for jobs since before the pre migration' end)
  from session
 where call is not null or (listens and (is_old or backend_start < $2))
 order by state_change desc)";

// Clients of this database of whom the caller may not know what they call.
constexpr const char *hidden_query = R"(
select count(*) from pg_stat_activity
 where datname = current_database() and usesysid is not null and backend_type is null)";

// Triggers are called for new code, too.
constexpr const char *calls_query = R"(
select p.proname::text, sum(pg_stat_get_function_calls(p.oid))::int8
  from pg_proc p where p.pronamespace = $1 and p.prorettype <> 'trigger'::regtype group by 1
having sum(pg_stat_get_function_calls(p.oid)) > 0)";

// Sessions tell what they have counted once a second; a worker without work asks every five.
constexpr std::int64_t until_counted = 6'000'000; // microseconds

constexpr const char *workers_table = "procrastinate_workers";
constexpr std::array<server::RawColumn, 2> workers_columns{
    {{"id", INT8OID}, {"last_heartbeat", TIMESTAMPTZOID}}};
// Procrastinate takes a worker for stalled after that.
constexpr std::int64_t longest_without_heartbeat = 30'000'000; // microseconds

bool has_function(Revision revision, std::string_view name)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const chain::Fact &fact) {
        return fact.kind == chain::Kind::function && chain::is_at(fact, revision) &&
               fact.name == name;
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

// Where there are any. Another role may have made a relation of that name.
template <typename Visit> void for_each_worker(const Installation &installation, Visit visit)
{
    const Oid schema = installation.schema;
    const Oid oid = server::call([schema] { return get_relname_relid(workers_table, schema); });
    if (!OidIsValid(oid))
        return;
    const server::RawTable workers = server::scan_raw_table(oid, workers_columns);
    for (std::size_t i = 0; i < workers.count(); ++i)
        visit(DatumGetInt64(workers.row(i).datum(0).value_or(0)),
              DatumGetTimestampTz(workers.row(i).datum(1).value_or(0)));
}

std::vector<std::string> old_workers(const Installation &installation, std::int64_t newest)
{
    std::vector<std::string> found;
    const std::int64_t now = server::now();
    for_each_worker(installation, [&](std::int64_t id, TimestampTz heartbeat) {
        if (id <= newest && now - heartbeat < longest_without_heartbeat)
            found.push_back("Worker " + std::to_string(id) + ", whose last heartbeat came " +
                            std::to_string(std::max<std::int64_t>(now - heartbeat, 0) / 1'000'000) +
                            " s ago, is older than this call's pre migrations");
    });
    return found;
}

// Of the release's pre migration, which comes before the post one.
spi::Parameter applied_at(const Installation &installation, Revision pre)
{
    const upgrade::History history = upgrade::read_history(installation);
    spi::Parameter parameter{TIMESTAMPTZOID, 0, true};
    for (const upgrade::Event &event : history.events)
        if (event.name == upgrade::event::upgrade && event.to == chain::name(pre))
            parameter = {TIMESTAMPTZOID, TimestampTzGetDatum(event.applied_at), false};
    return parameter;
}

std::vector<std::string> sessions(const Installation &installation, Revision post,
                                  const std::string &names)
{
    const std::array parameters{spi::text_parameter(names), applied_at(installation, post - 1),
                                spi::boolean_parameter(post == last_of_channels)};
    const spi::Rows rows = spi::read_latest(sessions_query, parameters);
    std::vector<std::string> found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        found.emplace_back(rows.text(row, 1).value_or(""));
    return found;
}

void tell_hidden_sessions(Revision post)
{
    const std::int64_t count =
        DatumGetInt64(spi::read_latest(hidden_query).datum(0, 1).value_or(0));
    if (count == 0)
        return;
    const std::string role =
        server::call([] { return quote_identifier(GetUserNameFromId(GetUserId(), false)); });
    server::warning("whether functions that migration " + std::string(chain::name(post)) +
                        " drops are in use cannot be seen",
                    "Role " + role + " may not see what " + std::to_string(count) +
                        (count == 1 ? " session of other roles in this database runs."
                                    : " sessions of other roles in this database run."),
                    "Let it see that, before the next time: GRANT pg_read_all_stats TO " + role +
                        ";");
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
        const std::string_view name = fact.name;
        if (fact.kind == chain::Kind::function && fact.last == revision - 1 && !has_function(revision, name) &&
            std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    }
    return names;
}

void InUseCheck::begin(const Installation &installation)
{
    calls_ = calls(installation);
    began_ = server::now();
}

bool InUseCheck::allows(const Installation &installation, Revision revision,
                        const CallOptions &options)
{
    const chain::Migration &migration = chain::migration(revision);
    if (migration.phase == chain::Phase::pre)
        for_each_worker(installation, [this](std::int64_t id, TimestampTz) {
            newest_old_worker_ = std::max(newest_old_worker_, id);
        });
    const std::vector<std::string_view> names = dropped_functions(revision);
    if (migration.phase != chain::Phase::post || names.empty())
        return true;
    common::Findings findings;
    findings.add(sessions(installation, revision, alternatives(names)));
    if (newest_old_worker_ > 0)
        findings.add(old_workers(installation, newest_old_worker_));
    bool is_counted = false;
    for (const auto &[name, count] : calls(installation))
    {
        if (std::find(names.begin(), names.end(), name) == names.end())
            continue;
        is_counted = true;
        const auto before = calls_.find(name);
        const std::int64_t since = count - (before == calls_.end() ? 0 : before->second);
        if (since > 0)
            findings.add("Function " + name + " has been called " + std::to_string(since) +
                         " times since this call began");
    }
    if (!has_told_ && !findings.any())
        tell_hidden_sessions(revision);
    has_told_ = true;
    if (!findings.any())
        return !is_counted || server::now() - began_ > until_counted;
    CallOptions forced = options;
    forced.force = true;
    throw common::Refusal{
        common::sqlstate::still_used,
        "migration " + std::string(migration.revision) + " drops functions of schema \"" +
            std::string(installation.name) + "\" that seem to be in use",
        findings.text(),
        "Deploy the release that this schema is for everywhere, end old workers, and call it "
        "again. If those are no workers, or are another schema's: " +
            call_of(installation, std::string(migration.revision), forced)};
}

} // namespace procrastinate::online
