#include "upgrade/held_locks.hpp"

#include "server/spi.hpp"
#include "sql/held_locks.hpp"
#include "upgrade/lock_modes.hpp"

namespace procrastinate::upgrade
{

namespace spi = server::spi;

std::vector<HeldLock> held_locks()
{
    const spi::Rows rows = spi::read_latest(sql::held_locks);
    std::vector<HeldLock> locks;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        locks.push_back({DatumGetObjectId(rows.datum(row, 1).value_or(0)),
                         DatumGetInt32(rows.datum(row, 2).value_or(0))});
    return locks;
}

std::string display_text(const HeldLock &lock, Oid schema)
{
    const char *const name = server::call([&lock, schema]() -> const char * {
        const char *const table = get_rel_name(lock.relation);
        const Oid at = get_rel_namespace(lock.relation);
        const char kind = get_rel_relkind(lock.relation);
        if (table == nullptr || at == PG_CATALOG_NAMESPACE ||
            (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE))
            return nullptr;
        return quote_qualified_identifier(at == schema ? nullptr : get_namespace_name(at), table);
    });
    if (name == nullptr)
        return {};
    return std::string(lock_modes.at(static_cast<std::size_t>(lock.mode) - 1)) + " on " + name;
}

} // namespace procrastinate::upgrade
