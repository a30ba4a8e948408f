#include "online/under_way.hpp"

#include "catalog/installation.hpp"
#include "common/refusal.hpp"
#include "online/session_markers.hpp"
#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"
#include "upgrade/installation_state.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr const char *query = R"(
select n.oid, c.oid,
       exists (select from pg_locks l join pg_database d on d.oid = l.database
                      left join pg_stat_activity a on a.pid = l.pid
                      left join pg_class j on j.relnamespace = n.oid and j.relname = 'procrastinate_jobs'
                where l.locktype = 'advisory' and l.objsubid = 2 and l.classid = $1
                  and l.objid = n.oid and d.datname = current_database()
                  and (j.oid is null or pg_has_role(a.usesysid, j.relowner, 'MEMBER')))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relname = 'procrastinate_schema_history' and c.relkind = 'r'
   and has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
 order by n.nspname)";

// Of what anybody may have written. A day of batches is seventeen thousand.
constexpr std::size_t most_rows = 100'000;

struct Candidate
{
    Oid schema;
    Oid history;
    bool is_at_work; // somebody
};

std::vector<Candidate> schemas_with_history()
{
    std::vector<Candidate> schemas;
    const std::array parameters{spi::oid_parameter(server::class_id(server::LockKey::running))};
    const spi::Rows rows = spi::read_latest(query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        schemas.push_back({DatumGetObjectId(rows.datum(row, 1).value_or(0)),
                           DatumGetObjectId(rows.datum(row, 2).value_or(0)), rows.boolean(row, 3)});
    return schemas;
}

// The step that a call begins with, once it has looked at the tables.
std::optional<UnderWay> about_to_set_out(Oid schema, const upgrade::InstallationState &state)
{
    const std::optional<chain::Revision> current = state.current.revision;
    if (!current || *current == chain::head() || state.is_unknown_history())
        return std::nullopt;
    const chain::Step first = *current == chain::base ? chain::whole_step(*current + 1)
                                                      : chain::steps(*current + 1).front();
    return UnderWay{schema, first, {}, {}};
}

std::optional<UnderWay> under_way(const Candidate &candidate)
{
    const Oid schema = candidate.schema;
    const catalog::Installation installation = catalog::locate(schema);
    // As while it is dropped, or another one stands in its place.
    if (!server::try_lock_table(candidate.history) ||
        server::call([=] { return get_relname_relid(catalog::history_table, schema); }) !=
            candidate.history)
        return std::nullopt;
    const upgrade::History history = upgrade::read_history(installation, most_rows);
    const upgrade::InstallationState state = upgrade::state_of(installation, history);
    if (!state.under_way)
        return candidate.is_at_work ? about_to_set_out(schema, state) : std::nullopt;
    const auto steps = chain::steps(state.under_way->revision);
    const auto next = static_cast<std::size_t>(state.under_way->number);
    if (next >= steps.size())
        return std::nullopt;
    return UnderWay{schema, steps[next], state.since, state.under_way->position};
}

} // namespace

std::vector<UnderWay> all_under_way()
{
    std::vector<UnderWay> found;
    for (const Candidate &candidate : schemas_with_history())
        try
        {
            if (const std::optional<UnderWay> one = under_way(candidate))
                found.push_back(*one);
        }
        catch (const common::Refusal &)
        {
            // What only has the history's name may be anybody's, and tells nothing about the others.
        }
    return found;
}

} // namespace procrastinate::online
