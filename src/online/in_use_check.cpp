#include "online/in_use_check.hpp"

#include "chain/facts.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "online/channels.hpp"
#include "server/current_role.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/raw_table_scan.hpp"
#include "server/role_scope.hpp"
#include "server/spi.hpp"
#include "sql/function_calls.hpp"
#include "sql/hidden_sessions.hpp"
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

bool has_function(Revision revision, std::string_view name)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const chain::Fact &fact) {
        return fact.kind == chain::Kind::function && chain::is_at(fact, revision) &&
               fact.name == name;
    });
}

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

// Calls visit(id, last heartbeat) for each row of procrastinate_workers, if there is such a table.
// Another role may have made it, so no query reads it.
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
                            " s ago, was registered before this call's pre migrations");
    });
    return found;
}

// When the release's pre migration was applied; NULL if the history does not tell.
spi::Parameter applied_at(const Installation &installation, Revision pre)
{
    spi::Parameter parameter{TIMESTAMPTZOID, 0, true};
    (void)upgrade::visit_history(
        installation, upgrade::EventOrder::newest_first, [&](const upgrade::Event &event) {
            if (event.name != upgrade::event::upgrade || event.to != chain::name(pre))
                return true;
            parameter = {TIMESTAMPTZOID, TimestampTzGetDatum(event.applied_at), false};
            return false;
        });
    return parameter;
}

std::vector<std::string> sessions_in_use(const Installation &installation, Revision post,
                                         const std::string &names)
{
    const std::array parameters{spi::text_parameter(names), applied_at(installation, post - 1),
                                spi::boolean_parameter(post == end_of_old_channels)};
    const spi::Rows rows = spi::read_latest(sql::sessions_in_use, parameters);
    std::vector<std::string> found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        found.emplace_back(rows.text(row, 1).value_or(""));
    return found;
}

void warn_of_hidden_sessions(Revision post)
{
    const std::int64_t count =
        DatumGetInt64(spi::read_latest(sql::hidden_sessions).datum(0, 1).value_or(0));
    if (count == 0)
        return;
    const std::string role = server::quoted_current_role();
    server::warning("could not check whether functions that migration " +
                        std::string(chain::name(post)) + " drops are in use",
                    "Role " + role + " may not see the queries of " + std::to_string(count) +
                        (count == 1 ? " session" : " sessions") +
                        " of other roles in this database.",
                    "Grant it before the next upgrade: GRANT pg_read_all_stats TO " + role + ";");
}

std::string alternatives(const std::vector<std::string_view> &names)
{
    std::string text;
    for (const std::string_view name : names)
        text.append(text.empty() ? "" : "|").append(name);
    return text;
}

} // namespace

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
            for_each_worker(installation, [this](std::int64_t id, TimestampTz) {
                newest_old_worker_ = std::max(newest_old_worker_, id);
            });
        });
    const std::vector<std::string_view> names = dropped_functions(revision);
    if (migration.phase != chain::Phase::post || names.empty())
        return Use::none_seen;
    common::Findings findings;
    findings.add(sessions_in_use(installation, revision, alternatives(names)));
    if (newest_old_worker_ > 0)
        findings.add(
            server::as_role(owner, [&] { return old_workers(installation, newest_old_worker_); }));
    const Calls calls = count_calls(installation);
    findings.add(called_since(calls, names));
    if (!has_warned_ && !findings.any())
        warn_of_hidden_sessions(revision);
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
            std::string(installation.name) + "\" that seem to be in use",
        findings.text(),
        "Deploy the release of this schema everywhere and end the old workers, then call it again. "
        "If the sessions are no workers, or use another schema: " +
            call_of(installation, std::string(migration.revision), forced)};
}

} // namespace procrastinate::online
