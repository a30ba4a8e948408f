#include "online/under_way.hpp"

#include "catalog/installation.hpp"
#include "chain/refusal.hpp"
#include "migrate/history.hpp"
#include "server/spi.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr const char *query = R"(
select n.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relname = 'procrastinate_schema_history' and c.relkind = 'r'
   and has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
 order by n.nspname)";

std::vector<Oid> schemas_with_history()
{
    std::vector<Oid> schemas;
    const spi::Rows rows = spi::read_latest(query);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        schemas.push_back(DatumGetObjectId(rows.datum(row, 1).value_or(0)));
    return schemas;
}

std::optional<UnderWay> under_way(Oid schema)
{
    server::ContextResource memory;
    const catalog::Installation installation = catalog::locate(schema);
    const migrate::History history = migrate::read_history(installation, memory);
    const migrate::State state = migrate::state_of(installation, history);
    if (!state.under_way)
        return std::nullopt;
    const auto steps = chain::steps(state.under_way->revision);
    const auto next = static_cast<std::size_t>(state.under_way->number);
    if (next >= steps.size())
        return std::nullopt;
    UnderWay one{
        schema, steps[next], DatumGetTimestampTz(history.events.back().applied_at), {}, {}};
    if (state.under_way->total > 0)
    {
        one.done = state.under_way->done;
        one.total = state.under_way->total;
    }
    return one;
}

} // namespace

std::vector<UnderWay> all_under_way()
{
    std::vector<UnderWay> found;
    for (const Oid schema : schemas_with_history())
        try
        {
            if (const std::optional<UnderWay> one = under_way(schema))
                found.push_back(*one);
        }
        catch (const chain::Refusal &)
        {
            // What only has the history's name may be anybody's, and tells nothing about the others.
        }
    return found;
}

} // namespace procrastinate::online
