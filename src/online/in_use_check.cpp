#include "online/in_use_check.hpp"

#include "chain/facts.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "online/channels.hpp"
#include "online/query_use.hpp"
#include "server/current_role.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/raw_table_scan.hpp"
#include "server/role_scope.hpp"
#include "server/spi.hpp"
#include "sql/function_calls.hpp"
#include "sql/sessions_in_use.hpp"
#include "upgrade/history.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Revision;

// Sessions report their counts about once a second; a worker that has no job calls a function every
// 5 s.
constexpr std::int64_t until_counted = 6'000'000; // microseconds

constexpr const char *workers_table = "procrastinate_workers";
constexpr std::array<server::RawColumn, 2> workers_columns{
    {{"id", INT8OID}, {"last_heartbeat", TIMESTAMPTZOID}}};
// Procrastinate regards a worker without a heartbeat for that long as stalled.
constexpr std::int64_t longest_without_heartbeat = 30'000'000; // microseconds

constexpr std::size_t most_findings = 20;

bool has_function(Revision revision, std::string_view name)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const chain::Fact &fact) {
        return fact.kind == chain::Kind::function && chain::is_at(fact, revision) &&
               fact.name == name;
    });
}

std::map<std::string, std::int64_t, std::less<>> count_calls(const Installation &installation)
{
    std::map<std::string, std::int64_t, std::less<>> counted;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::function_calls, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        counted.emplace(rows.text(row, 1).value_or(""),
                        DatumGetInt64(rows.datum(row, 2).value_or(0)));
    return counted;
}

// Calls visit(id, last heartbeat) for the rows of procrastinate_workers, newest first, until it
// returns false. Another role may have made the table, so no query reads it.
template <typename Visit> void visit_workers(const Installation &installation, Visit visit)
{
    const Oid schema = installation.schema;
    const Oid oid = server::call([schema] { return get_relname_relid(workers_table, schema); });
    if (!OidIsValid(oid))
        return;
    server::RawScan workers(oid, workers_columns, {1, {}}, server::RawScan::descending);
    server::visit_rows(workers, [&visit](const server::RawRow &row) {
        return visit(DatumGetInt64(row.datum(0).value_or(0)),
                     DatumGetTimestampTz(row.datum(1).value_or(0)));
    });
}

// At most most_findings of them: any role that may register a worker can register many.
std::vector<std::string> old_workers(const Installation &installation, std::int64_t newest)
{
    std::vector<std::string> found;
    const std::int64_t now = server::now();
    visit_workers(installation, [&](std::int64_t id, TimestampTz heartbeat) {
        if (id <= newest && heartbeat > now - longest_without_heartbeat)
            found.push_back(
                "Worker " + std::to_string(id) + ", whose last heartbeat came " +
                std::to_string(std::max<std::int64_t>(now - std::min(heartbeat, now), 0) /
                               1'000'000) +
                " s ago, was registered before this call's pre migrations");
        return found.size() < most_findings;
    });
    return found;
}

// When the release's pre migration was applied; NULL if the history does not tell.
spi::Parameter applied_at(const Installation &installation, Revision pre)
{
    spi::Parameter parameter{TIMESTAMPTZOID, 0, true};
    (void)upgrade::visit_history(
        installation, upgrade::Events::own, upgrade::EventOrder::newest_first,
        [&](const upgrade::Event &event) {
            if (event.name != upgrade::event::upgrade || event.to != chain::name(pre))
                return true;
            parameter = {TIMESTAMPTZOID, TimestampTzGetDatum(event.applied_at), false};
            return false;
        });
    return parameter;
}

struct Sessions
{
    std::vector<std::string> in_use; // a line for each
    int hidden = 0;                  // whose queries the caller may not see
};

// Sessions that seem to use what the post migration drops: those whose last query calls one of the
// functions; and those that have listened for jobs since before the pre migration, or listen on a
// channel of older releases.
Sessions find_sessions(const Installation &installation, Oid owner, Revision post,
                       const std::vector<std::string_view> &functions)
{
    const std::array parameters{
        spi::oid_parameter(installation.schema),
        server::as_role(owner, [&] { return applied_at(installation, post - 1); })};
    const spi::Rows rows = spi::read_latest(sql::sessions_in_use, parameters);
    Sessions found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        server::check_interrupts();
        const std::optional<std::string_view> query = rows.text(row, 3);
        if (!query)
        {
            ++found.hidden;
            continue;
        }
        const QueryUse use = use_in(*query, installation, functions);
        const bool is_old = use.listens && post == end_of_old_channels && !use.listens_to_new;
        const std::string session(rows.text(row, 1).value_or(""));
        if (!use.called.empty())
            found.in_use.push_back(session + std::string(rows.text(row, 2).value_or("")) +
                                   ", calls " + std::string(use.called));
        else if (is_old)
            found.in_use.push_back(session + "listens for jobs on a channel of older releases");
        else if (use.listens && rows.boolean(row, 4))
            found.in_use.push_back(session +
                                   "has listened for jobs since before the pre migration");
    }
    return found;
}

void warn_of_hidden_sessions(Revision post, int count)
{
    if (count == 0)
        return;
    const std::string role = server::quoted_current_role();
    server::warning("could not check whether functions that migration " +
                        std::string(chain::name(post)) + " drops are in use",
                    "Role " + role + " may not see the queries of " + std::to_string(count) +
                        (count == 1 ? " session" : " sessions") +
                        " of other roles that may use the queue.",
                    "Grant it before the next upgrade: GRANT pg_read_all_stats TO " + role + ";");
}

} // namespace

std::vector<std::string_view> dropped_functions(Revision revision)
{
    std::vector<std::string_view> names;
    for (const chain::Fact &fact : chain::facts())
    {
        const std::string_view name = fact.name;
        if (fact.kind == chain::Kind::function && fact.last == revision - 1 &&
            !has_function(revision, name) &&
            std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    }
    return names;
}

void InUseCheck::begin(const Installation &installation)
{
    calls_ = count_calls(installation);
    began_ = server::now();
}

std::vector<std::string> InUseCheck::called_since(const Calls &calls,
                                                  const std::vector<std::string_view> &names) const
{
    const auto count_in = [](const Calls &counted, std::string_view name) -> std::int64_t {
        const auto found = counted.find(name);
        return found == counted.end() ? 0 : found->second;
    };
    std::vector<std::string> found;
    for (const std::string_view name : names)
    {
        const std::int64_t since = count_in(calls, name) - count_in(calls_, name);
        if (since > 0)
            found.push_back("Function " + std::string(name) + " has been called " +
                            std::to_string(since) + " times since this call began");
    }
    return found;
}

Use InUseCheck::check(const Installation &installation, Oid owner, Revision revision,
                      const CallOptions &options)
{
    const chain::Migration &migration = chain::migration(revision);
    if (migration.phase == chain::Phase::pre)
        server::as_role(owner, [&] {
            visit_workers(installation, [this](std::int64_t id, TimestampTz) {
                newest_old_worker_ = std::max(newest_old_worker_, id);
                return false; // the first one is the newest
            });
        });
    const std::vector<std::string_view> names = dropped_functions(revision);
    if (migration.phase != chain::Phase::post || names.empty())
        return Use::none_seen;
    common::Findings findings;
    const Sessions sessions = find_sessions(installation, owner, revision, names);
    findings.add(sessions.in_use);
    if (newest_old_worker_ > 0)
        findings.add(
            server::as_role(owner, [&] { return old_workers(installation, newest_old_worker_); }));
    const Calls calls = count_calls(installation);
    findings.add(called_since(calls, names));
    if (!has_warned_ && !findings.any())
        warn_of_hidden_sessions(revision, sessions.hidden);
    has_warned_ = true;
    if (!findings.any())
    {
        const bool are_counted =
            std::any_of(names.begin(), names.end(),
                        [&](std::string_view name) { return calls.contains(name); });
        return are_counted && server::now() - began_ <= until_counted ? Use::not_counted_yet
                                                                      : Use::none_seen;
    }
    CallOptions forced = options;
    forced.force = true;
    throw common::Refusal{
        common::sqlstate::still_used,
        "migration " + std::string(migration.revision) + " drops functions of schema \"" +
            installation.name + "\" that seem to be in use",
        findings.text(),
        "Deploy the release of this schema everywhere and end the old workers, then call it again. "
        "If the sessions are no workers, or use another schema: " +
            call_of(installation.quoted_text, std::string(migration.revision), forced)};
}

} // namespace procrastinate::online
