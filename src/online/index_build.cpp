#include "online/index_build.hpp"

#include "common/refusal.hpp"
#include "online/step_log.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/locks.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr std::string_view concurrently = "CONCURRENTLY ";

// Of the worker, which has a row of its own once it has the lock of its table; whom it waits for, as far as the
// caller may know. Prepared transactions have no pid.
constexpr const char *progress_query = R"(
select case when p.pid is null then 'waiting for the lock of its table' else coalesce(p.phase, 'building') end
       || case when p.phase ~ '^waiting' then ''
               else coalesce(', ' || 100 * p.blocks_done / nullif(p.blocks_total, 0) || '%',
                             ', ' || 100 * p.tuples_done / nullif(p.tuples_total, 0) || '%, ' || p.tuples_done || ' rows',
                             '') end
       || coalesce(', for ' || string_agg(
              case when b.pid = 0 then coalesce(t.names, 'a prepared transaction')
                   else 'session ' || b.pid || coalesce(' of role ' || a.usename, '')
                        || coalesce(' since ' || date_trunc('second', a.xact_start)::text, '') end, ', '), '')
  from pg_stat_activity w
  left join pg_stat_progress_create_index p on p.pid = w.pid
  left join lateral (select distinct unnest(pg_blocking_pids(w.pid))) as b(pid) on true
  left join pg_stat_activity a on a.pid = b.pid
  left join lateral (
           select string_agg(distinct format('prepared transaction %L of role %s since %s', x.gid, x.owner,
                                             date_trunc('second', x.prepared)), ', ') as names
             from pg_prepared_xacts x join pg_locks i on i.transactionid = x.transaction and i.pid is null
                  join pg_locks l on l.virtualtransaction = i.virtualtransaction and l.pid is null
            where b.pid = 0 and l.mode not in ('AccessShareLock', 'RowShareLock') and x.database = w.datname
              and l.relation = (select oid from pg_class where relnamespace = $2 and relname = $3)) t on true
 where w.pid = $1 and (p.pid is not null or b.pid is not null)
 group by p.pid, p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total)";

constexpr const char *builder_query = R"(
select string_agg(coalesce('session ' || l.pid, 'a prepared transaction') || coalesce(' of role ' || a.usename, ''), ', ')
  from pg_locks l join pg_database d on d.oid = l.database left join pg_stat_activity a on a.pid = l.pid
 where d.datname = current_database() and l.locktype = 'advisory' and l.objsubid = 2 and l.granted
   and l.classid = $2 and l.objid = $1)";

struct Watch
{
    const catalog::Installation &installation;
    const chain::Step &step;
    ProgressReport &progress;
};

// In a connection of its own, whose memory goes with it. A query takes a snapshot, which a commit gives back
// before the build can come to wait for it.
void look(Watch &watch, int pid)
{
    if (pid == 0 || !watch.progress.is_due())
        return;
    const std::string phase = spi::connected(spi::Mode::may_commit, [&] {
        return server::with_search_path(nullptr, [&] {
            const std::array parameters{spi::int4_parameter(pid),
                                        spi::oid_parameter(watch.installation.schema),
                                        spi::text_parameter(watch.step.indexed())};
            const spi::Rows rows = spi::read_latest(progress_query, parameters);
            return std::string(rows.count() == 0 ? "" : rows.text(0, 1).value_or(""));
        });
    });
    spi::commit();
    if (!phase.empty())
        watch.progress.tell(watch.step, phase);
}

[[noreturn]] void refuse_name(const catalog::Installation &installation, chain::Revision revision,
                              const std::string &index)
{
    throw common::Refusal{common::sqlstate::catalog_contradicts,
                          "relation \"" + index + "\" is in the way of migration " +
                              std::string(chain::name(revision)),
                          "The migration is about to build an index of that name.",
                          "Rename it: ALTER INDEX " + std::string(installation.quoted) + "." +
                              index + " RENAME TO own_index;"};
}

} // namespace

void require_free_names(const catalog::Installation &installation, chain::Revision revision)
{
    const std::vector<std::string> ahead = chain::built_ahead(revision);
    for (const chain::Step &step : chain::steps(revision))
    {
        if (step.kind != chain::StepKind::concurrent)
            continue;
        const std::string index(step.index());
        if (std::find(ahead.begin(), ahead.end(), index) != ahead.end() ||
            !catalog::has_relation(installation, index.c_str()))
            continue;
        refuse_name(installation, revision, index);
    }
}

server::IndexState state_of_build(const catalog::Installation &installation,
                                  const chain::Step &step)
{
    const std::string index(step.index());
    const std::string table(step.indexed());
    const server::IndexState state =
        server::index_state(installation.schema, index.c_str(), table.c_str());
    if (state == server::IndexState::elsewhere)
        refuse_name(installation, step.revision, index);
    return state;
}

std::optional<chain::Step> skipped_invalid_index(const catalog::Installation &installation,
                                                 const chain::Step &step,
                                                 const upgrade::UpgradePath &path)
{
    if (!path.under_way)
        return std::nullopt;
    for (const chain::Step &one : chain::steps(step.revision))
        if (one.number > path.under_way->number && one.number < step.number &&
            one.kind == chain::StepKind::concurrent &&
            server::index_state(installation.schema, std::string(one.index()).c_str(),
                                std::string(one.indexed()).c_str()) == server::IndexState::invalid)
            return one;
    return std::nullopt;
}

void drop_invalid_index(const catalog::Installation &installation, const chain::Step &step)
{
    // One that somebody else is building looks the same: he is waited for where no client has to wait behind.
    const std::string index(step.index());
    for (const std::string_view mode : {"SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"})
    {
        const std::array lock{chain::StepLock{step.indexed(), mode}};
        server::with_search_path(nullptr, [&] { upgrade::lock_tables(installation, lock); });
        server::wait_for_builder(installation.schema, index.c_str());
    }
    // Somebody else's build may have come to its end by now.
    if (state_of_build(installation, step) != server::IndexState::invalid)
        return;
    const std::string statement = "DROP INDEX " + index;
    server::with_search_path(installation.quoted, [&] {
        server::with_context(label_of(step), [&] { spi::execute(statement.c_str()); });
    });
}

std::string plain_build(const chain::Step &step)
{
    std::string statement(step.sql);
    statement.erase(statement.find(concurrently), concurrently.size());
    return statement;
}

void tell_other_build(const catalog::Installation &installation, const chain::Step &step,
                      ProgressReport &progress)
{
    if (progress.is_due())
    {
        const std::string who = server::with_search_path(nullptr, [&] {
            const std::array parameters{
                spi::oid_parameter(installation.schema),
                spi::oid_parameter(server::class_id(server::LockKey::index_build))};
            const spi::Rows rows = spi::read_latest(builder_query, parameters);
            return std::string(rows.text(0, 1).value_or("another session"));
        });
        progress.tell(step, "waiting for " + who + ", which has the lock of builds here");
    }
    spi::commit();
}

std::optional<std::string> build_concurrently(const catalog::Installation &installation,
                                              const chain::Step &step, const std::string &instead,
                                              ProgressReport &progress)
{
    // Lets go of the installation's lock and of any snapshot: the build might wait for those who have
    // one and wait for that lock.
    spi::commit();
    const std::string table(step.indexed());
    const std::string index(step.index());
    const std::string statement(step.sql);
    progress.show_nobody(); // its worker is looked at now
    Watch watch{installation, step, progress};
    server::BuildResult result = server::with_context(label_of(step), [&] {
        return server::build_index(
            {installation.schema, table.c_str(), index.c_str(), statement.c_str()},
            [](void *context, int pid) { look(*static_cast<Watch *>(context), pid); }, &watch);
    });
    if (result.end == server::BuildEnd::no_worker)
        throw common::Refusal{
            common::sqlstate::no_worker, "there is no background worker to build an index with",
            "All of the server's max_worker_processes are in use.",
            "Raise max_worker_processes, or let writers wait while indexes are built: " + instead};
    if (result.end == server::BuildEnd::no_lock)
        return std::move(result.error);
    return std::nullopt;
}

} // namespace procrastinate::online
