#include "online/fetch_barrier.hpp"

#include "online/lock_timeout_scope.hpp"
#include "server/messages.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/sql_text.hpp"

#include <vector>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

// A long body is fetched while there is a snapshot.
constexpr const char *fetches_query = R"(
select pg_get_functiondef(p.oid), p.prosrc || '', p.oid::regprocedure::text
  from pg_proc p join pg_type t on t.oid = p.prorettype join pg_class c on c.oid = t.typrelid
  join pg_language l on l.oid = p.prolang
  join pg_roles o on o.oid = p.proowner join pg_roles me on me.rolname = current_user
 where p.pronamespace = $1 and c.relnamespace = $1 and c.relname = 'procrastinate_jobs'
   and not p.proretset and (o.oid = me.oid or (o.rolsuper and me.rolsuper)) and l.lanname = 'plpgsql' and p.proname ~ '^procrastinate_fetch_job'
 order by p.proname)";

// Around a body, which is a block of PL/pgSQL and may stand within another; the schema's OID stands
// between the first two, and as bits, as pg_locks has it, behind them. Any role can have an advisory lock, but
// only one that could change the table shuts the barrier with it; where nobody has it any more, it is tried for
// again.
constexpr std::string_view before_oid = "\nDECLARE\n"
                                        "    barrier CONSTANT integer := ";
constexpr std::string_view after_oid =
    ";\n"
    "    is_closed_by_owner boolean;\n"
    "BEGIN\n"
    "    -- While columns of procrastinate_jobs change there is no job for anybody.\n"
    "    WHILE NOT pg_catalog.pg_try_advisory_xact_lock_shared(1347571556, barrier) LOOP\n"
    "        is_closed_by_owner := (\n"
    "            SELECT pg_catalog.bool_or(coalesce(pg_catalog.pg_has_role(a.usesysid, c.relowner, "
    "'MEMBER'), false))\n"
    "            FROM pg_catalog.pg_lock_status() AS l\n"
    "            JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) l.database\n"
    "            LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) "
    "l.objid\n"
    "                AND c.relname OPERATOR(pg_catalog.=) 'procrastinate_jobs'\n"
    "            LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS a ON a.pid "
    "OPERATOR(pg_catalog.=) l.pid\n"
    "            WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'\n"
    "                AND l.classid OPERATOR(pg_catalog.=) 1347571556\n"
    "                AND l.objid OPERATOR(pg_catalog.=) (barrier::bigint OPERATOR(pg_catalog.&) "
    "4294967295)::pg_catalog.oid\n"
    "                AND l.objsubid OPERATOR(pg_catalog.=) 2\n"
    "                AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'\n"
    "                AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()\n"
    "        );\n"
    "        IF is_closed_by_owner THEN\n"
    "            RETURN NULL;\n"
    "        END IF;\n"
    "        EXIT WHEN NOT is_closed_by_owner;\n"
    "    END LOOP;\n";
constexpr std::string_view closing = "\nEND;\n";
static_assert(static_cast<std::int32_t>(server::LockKey::fetch_barrier) == 1347571556);

std::string opening(const Installation &installation)
{
    return std::string(before_oid) +
           std::to_string(static_cast<std::int32_t>(installation.schema)) + std::string(after_oid);
}

// The body behind a barrier; the whole where there is none. The barrier may be of a schema with another OID,
// from before a dump.
std::string_view body_without_barrier(std::string_view body)
{
    if (!body.starts_with(before_oid) || !body.ends_with(closing))
        return body;
    std::string_view inner = body.substr(before_oid.size());
    inner.remove_prefix(std::min(inner.find_first_not_of("-0123456789"), inner.size()));
    if (!inner.starts_with(after_oid))
        return body;
    inner.remove_prefix(after_oid.size());
    inner.remove_suffix(closing.size());
    return inner;
}

// Whether a body ends with the end of its block, and has no option, which could not stand within.
bool is_block(std::string_view body)
{
    const std::size_t first = upgrade::leading_blank(body);
    const std::size_t last = body.find_last_not_of(" \t\r\n");
    if (first == body.size() || body[first] == '#' || last < first)
        return false;
    std::string_view text = body.substr(first, last - first + 1);
    constexpr std::string_view end = "END;";
    return text.size() > end.size() &&
           std::equal(end.begin(), end.end(), text.end() - end.size(), [](char left, char right) {
               return left == (right & ~0x20) || left == right;
           });
}

struct Fetch
{
    std::string definition;
    std::string body;
    std::string name;
};

std::vector<Fetch> fetches(const Installation &installation)
{
    std::vector<Fetch> found;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(fetches_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        found.push_back({std::string(rows.text(row, 1).value_or("")),
                         std::string(rows.text(row, 2).value_or("")),
                         std::string(rows.text(row, 3).value_or(""))});
    return found;
}

// pg_get_functiondef() quotes the body as it is, between dollars that do not occur in it; nor do they in
// what is put around it.
void replace_body(const Fetch &fetch, std::string_view body)
{
    std::string definition = fetch.definition;
    definition.replace(definition.rfind(fetch.body), fetch.body.size(), body);
    spi::execute(definition.c_str());
}

} // namespace

void install_fetch_barrier(const Installation &installation)
{
    const std::string before = opening(installation);
    for (const Fetch &fetch : fetches(installation))
    {
        if (fetch.body.starts_with(before))
            continue;
        if (!is_block(fetch.body))
            server::warning("function " + fetch.name + " is not one of Procrastinate's",
                            "It cannot be kept from returning rows while columns change: a call "
                            "that is in flight then may fail with SQLSTATE 42804.",
                            {});
        else
            replace_body(fetch, before + std::string(body_without_barrier(fetch.body)) +
                                    std::string(closing));
    }
}

bool reinstall_fetch_barrier(const Installation &installation)
{
    const std::string before = opening(installation);
    const std::vector<Fetch> all = fetches(installation);
    if (std::none_of(all.begin(), all.end(), [&before](const Fetch &fetch) {
            return !fetch.body.starts_with(before) &&
                   body_without_barrier(fetch.body) != fetch.body;
        }))
        return false;
    upgrade::set_script_settings();
    install_fetch_barrier(installation);
    return true;
}

void remove_fetch_barrier(const Installation &installation)
{
    for (const Fetch &fetch : fetches(installation))
        if (const std::string_view body = body_without_barrier(fetch.body); body != fetch.body)
            replace_body(fetch, body);
}

void notify_workers(const Installation &installation, chain::Revision revision)
{
    // Each queue by a step in the index of their names, not by a look at every job.
    const std::string jobs = std::string(installation.quoted) + ".procrastinate_jobs";
    const std::string statement = "with recursive queue(name) as ("
                                  " (select min(queue_name) from " +
                                  jobs + ") union all select (select min(j.queue_name) from " +
                                  jobs +
                                  " j where j.queue_name > q.name) from queue q"
                                  " where q.name is not null)"
                                  " select pg_notify($1 || '#' || name, $2) from queue"
                                  " where octet_length($1 || '#' || name) < 64"
                                  " union all select pg_notify($3, $2)";
    const auto notify = [&statement](std::string_view queue, std::string_view any,
                                     std::string_view payload) {
        const std::array parameters{spi::text_parameter(queue), spi::text_parameter(payload),
                                    spi::text_parameter(any)};
        spi::execute(statement.c_str(), parameters);
    };
    server::set("row_security", "on"); // what a policy hides is nobody's work
    if (revision < 31)
        notify("procrastinate_queue", "procrastinate_any_queue", "procrastinate_migrate");
    if (revision >= 30)
        notify("procrastinate_queue_v1", "procrastinate_any_queue_v1",
               R"({"type": "job_inserted", "job_id": 0})");
}

void notify_turned_away_workers(const Installation &installation, chain::Revision revision,
                                double lock_timeout)
{
    (void)server::attempt([&] {
        with_lock_timeout(lock_timeout, [&] {
            server::with_search_path(nullptr, [&] {
                upgrade::lock_to_read_jobs(installation);
                notify_workers(installation, revision);
            });
        });
    });
}

FetchBarrier::FetchBarrier(const Installation &installation)
    : lock_(server::LockKey::fetch_barrier, installation.schema)
{
}

bool FetchBarrier::try_close()
{
    return server::attempt([this] { lock_.acquire(); });
}

} // namespace procrastinate::online
