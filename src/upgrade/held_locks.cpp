#include "upgrade/held_locks.hpp"

#include "server/spi.hpp"
#include "upgrade/lock_modes.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;

constexpr const char *query = R"(
select l.relation,
       max(array_position(array['AccessShareLock', 'RowShareLock', 'RowExclusiveLock',
                                'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                'ExclusiveLock', 'AccessExclusiveLock'], l.mode))
  from pg_locks l
 where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.granted and l.mode <> 'SIReadLock'
   and l.database = (select oid from pg_database where datname = current_database())
 group by l.relation
 order by 2 desc, 1)";

} // namespace

std::vector<HeldLock> held_locks()
{
    const spi::Rows rows = spi::read_latest(query);
    std::vector<HeldLock> locks;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        locks.push_back({DatumGetObjectId(rows.datum(row, 1).value_or(0)),
                         DatumGetInt32(rows.datum(row, 2).value_or(0))});
    return locks;
}

std::string in_words(const HeldLock &lock, Oid schema)
{
    const char *const name = server::call([&lock, schema]() -> const char * {
        const char *const table = get_rel_name(lock.table);
        const Oid at = get_rel_namespace(lock.table);
        const char kind = get_rel_relkind(lock.table);
        if (table == nullptr || at == PG_CATALOG_NAMESPACE ||
            (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE))
            return nullptr;
        return quote_qualified_identifier(at == schema ? nullptr : get_namespace_name(at), table);
    });
    if (name == nullptr)
        return {};
    return std::string(lock_modes.at(static_cast<std::size_t>(lock.level) - 1)) + " on " + name;
}

} // namespace procrastinate::upgrade
