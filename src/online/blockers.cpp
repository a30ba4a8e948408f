#include "online/blockers.hpp"

#include "common/refusal.hpp"
#include "online/fetch_barrier.hpp"
#include "online/index_build.hpp"
#include "online/step_log.hpp"
#include "server/spi.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/settings.hpp"

#include <algorithm>
#include <string>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

static_assert(fetch_barrier_lock == 1347571556 && upgrade::installation_lock == 1347571523);
// $1: the schema; $2: what conflicts; $3: whether the barrier does; $4, $5: other tools' tables; $6: whether who
// changes the schema's own row does, as to rename it; $7: milliseconds for which a lock was waited; $8: the step's
// tables. Kind 1 is in the way, 2 may have rows that are. Who has the lock of the installation is in the way of
// any step. Prepared transactions have no pid. A lock that many hold is told of once a session.
constexpr const char *query = R"(
with recursive family as (
    select c.oid, c.relname from pg_class c
     where c.relnamespace = $1 and c.relkind = 'r' and c.relname ~ '^procrastinate_'
    union
    select i.inhrelid, f.relname from family f join pg_inherits i on i.inhparent = f.oid
), held as (
    select l.pid, l.virtualtransaction, l.mode,
           coalesce(c.relname, case l.classid when 1347571556 then 'the fetch barrier' when 1347571523 then 'the installation'
                               else 'the schema' end) as what,
           case when case when f.oid is not null then f.relname || ' ' || l.mode = any (string_to_array($2, ', '))
                          when l.classid = 1347571556 then $3
                          when l.locktype = 'transactionid' or l.classid = 'pg_namespace'::regclass then $6
                          else l.mode not in ('AccessShareLock', 'RowShareLock', 'SIReadLock') end then 1
                when f.relname = any (string_to_array($8, ', ')) and l.mode not in ('AccessShareLock', 'SIReadLock') then 2
                else 3 end as kind
      from pg_locks l left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
           left join family f on f.oid = c.oid
     where l.granted and l.pid is distinct from pg_backend_pid()
       and coalesce(l.database, (select oid from pg_database where datname = current_database()))
           = (select oid from pg_database where datname = current_database())
       and (f.oid is not null
            or c.oid in (to_regclass(nullif($4, '')), to_regclass(nullif($5, '')))
            or ($6 and l.locktype = 'transactionid' and l.transactionid = (select xmax from pg_namespace where oid = $1))
            or ($6 and l.locktype = 'object' and l.classid = 'pg_namespace'::regclass and l.objid = $1
                and l.mode = 'AccessExclusiveLock')
            or (l.locktype = 'advisory' and l.classid in (1347571556, 1347571523) and l.objid = $1)))
select coalesce('Session ' || l.pid, 'Prepared transaction ' || coalesce(quote_literal(p.gid), '?'))
       || coalesce(' of role ' || coalesce(a.usename, p.owner), '')
       || coalesce(' (' || nullif(a.application_name, '') || ')', '')
       || coalesce(', ' || a.backend_type || ', ' || a.state, '')
       || coalesce(' for ' || date_trunc('second', clock_timestamp() - coalesce(a.xact_start, p.prepared)), '')
       || ': ' || string_agg(distinct l.mode || ' on ' || l.what, ', ')
       || coalesce('; ' || nullif(left(regexp_replace(a.query, '[[:space:]]+', ' ', 'g'), 80), ''), ''),
       coalesce(l.pid, 0),
       min(l.kind) < 3
       and coalesce(coalesce(a.xact_start, p.prepared) < clock_timestamp() - $7 * interval '1 millisecond', true)
  from held l
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_locks x on l.pid is null and x.virtualtransaction = l.virtualtransaction
                      and x.locktype = 'transactionid' and x.pid is null
  left join pg_prepared_xacts p on p.transaction = x.transactionid
 where l.kind = (select min(kind) from held)
 group by l.pid, p.gid, p.owner, p.prepared, a.usename, a.application_name, a.backend_type, a.state, a.xact_start, a.query
 order by min(coalesce(a.xact_start, p.prepared)) nulls last
 limit 5)";

bool is_index_left(const catalog::Installation &installation, const chain::Step &step)
{
    if (step.number == 0)
        return false;
    // As it is written: where it asks in another way, it looks like another kind.
    const chain::Step written =
        chain::steps(step.revision).at(static_cast<std::size_t>(step.number) - 1);
    return written.kind == chain::StepKind::concurrent &&
           server::index_state(installation.schema, std::string(written.index()).c_str(),
                               std::string(written.indexed()).c_str()) ==
               server::IndexState::invalid;
}

// Others' locks that keep the step waiting, as pg_locks names them: "procrastinate_jobs ShareLock, …".
std::string conflicts_of(const chain::Step &step)
{
    std::vector<chain::StepLock> locks = step.all_locks();
    locks.push_back({catalog::history_table, "SHARE ROW EXCLUSIVE"});
    std::string text;
    for (const chain::StepLock &lock : locks)
        for (const std::string &mode : upgrade::conflicting_modes(lock.mode))
            text.append(text.empty() ? "" : ", ").append(lock.table).append(" ").append(mode);
    return text;
}

} // namespace

Blockers blockers(const catalog::Installation &installation, const chain::Step &step,
                  double lock_timeout)
{
    const bool is_last = step.number == step.count; // other tools' tables are kept in step with it
    const std::string conflicts = conflicts_of(step);
    std::string tables;
    for (const chain::StepLock &lock : step.all_locks())
        tables.append(tables.empty() ? "" : ", ").append(lock.table);
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::text_parameter(conflicts),
                                spi::boolean_parameter(step.barrier == chain::Step::close),
                                spi::text_parameter(is_last ? upgrade::alembic_table() : ""),
                                spi::text_parameter(is_last ? upgrade::django_table() : ""),
                                spi::boolean_parameter(step.number == 0),
                                spi::int8_parameter(static_cast<std::int64_t>(lock_timeout)),
                                spi::text_parameter(tables)};
    const spi::Rows rows = spi::read_latest(query, parameters);
    Blockers found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        found.text += (row == 0 ? "" : "\n") + std::string(rows.text(row, 1).value_or(""));
        const pid_t pid = DatumGetInt32(rows.datum(row, 2).value_or(0));
        if (rows.boolean(row, 3) &&
            std::find(found.pids.begin(), found.pids.end(), pid) == found.pids.end())
            found.pids.push_back(pid);
    }
    if (found.text.empty())
        found.text = "Whoever was in the way has gone by now.";
    return found;
}

void give_up(const catalog::Installation &installation, const chain::Step &step,
             const std::string &target, const CallOptions &options, const LockRetry &lock_retry,
             const std::string &blockers)
{
    CallOptions patient = options;
    patient.retry_for = std::max(3'600'000.0, 2 * options.retry_for);
    throw common::Refusal{
        common::sqlstate::lock_not_available, label_of(step) + " could not get its locks",
        "It was tried " +
            (lock_retry.failures() == 1 ? "once"
                                        : std::to_string(lock_retry.failures()) + " times") +
            " in " + std::to_string(static_cast<long>(lock_retry.waited() / 1000)) + " s, and " +
            (is_index_left(installation, step)
                 ? "an invalid index is there, which the next call drops if nobody is building it"
                 : "no try has left anything behind") +
            ".\n" + blockers,
        "End what is in the way, or give it more time: " + call_of(installation, target, patient)};
}

} // namespace procrastinate::online
