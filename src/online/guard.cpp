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

void Guard::require_unused(const Installation &installation, Revision revision) const
{
    const chain::Migration &migration = chain::migration(revision);
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
