#include "online/blockers.hpp"

#include "chain/refusal.hpp"
#include "online/logbook.hpp"
#include "server/spi.hpp"

#include <string>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

// Prepared transactions have no pid. A lock that many hold is told of once a session.
constexpr const char *query = R"(
select coalesce('Session ' || l.pid, 'Prepared transaction ' || coalesce(quote_literal(p.gid), '?'))
       || coalesce(' of role ' || coalesce(a.usename, p.owner), '')
       || coalesce(' (' || nullif(a.application_name, '') || ')', '')
       || coalesce(', ' || a.backend_type || ', ' || a.state, '')
       || coalesce(' for ' || date_trunc('second', clock_timestamp() - coalesce(a.xact_start, p.prepared)), '')
       || ': ' || string_agg(distinct l.mode || ' on ' || coalesce(c.relname, 'the door'), ', ')
       || coalesce('; ' || nullif(left(regexp_replace(a.query, '[[:space:]]+', ' ', 'g'), 80), ''), '')
  from pg_locks l
  left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_locks x on l.pid is null and x.virtualtransaction = l.virtualtransaction
                      and x.locktype = 'transactionid' and x.pid is null
  left join pg_prepared_xacts p on p.transaction = x.transactionid
 where l.granted and l.pid is distinct from pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
   and ((c.relnamespace = $1 and c.relkind = 'r' and c.relname ~ '^procrastinate_')
        or (l.locktype = 'advisory' and l.classid = 1347571556 and l.objid = $1))
 group by l.pid, p.gid, p.owner, p.prepared, a.usename, a.application_name, a.backend_type, a.state, a.xact_start, a.query
 order by min(coalesce(a.xact_start, p.prepared)) nulls last
 limit 5)";

std::string blockers(const catalog::Installation &installation)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(query, parameters);
    std::string text;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        text += (text.empty() ? "" : "\n") + std::string(rows.text(row, 1).value_or(""));
    return text.empty() ? "Whoever was in the way has gone by now." : text;
}

} // namespace

void give_up(const catalog::Installation &installation, const chain::Step &step,
             chain::Revision goal, const Patience &patience)
{
    throw chain::Refusal{
        chain::sqlstate::lock_not_available, label_of(step) + " could not get its locks",
        "It was tried " + std::to_string(patience.failures()) + " times in " +
            std::to_string(static_cast<long>(patience.waited() / 1000)) +
            " s, and no try has left anything behind.\n" + blockers(installation),
        "End what is in the way, or give it more time: CALL procrastinate_migrate('" +
            std::string(chain::name(goal)) + "', schema => " +
            std::string(installation.quoted_text) + ", retry_for => '1 hour');"};
}

} // namespace procrastinate::online
