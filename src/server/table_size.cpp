#include "server/table_size.hpp"

namespace procrastinate::server
{

std::int64_t table_size(Oid schema, const char *table)
{
    return call([=] {
        const Oid oid = get_relname_relid(table, schema);
        Relation const relation =
            OidIsValid(oid) ? try_relation_open(oid, AccessShareLock) : nullptr;
        if (relation == nullptr)
            return std::int64_t{0};
        const auto blocks = static_cast<std::int64_t>(RelationGetNumberOfBlocks(relation));
        relation_close(relation, AccessShareLock);
        return blocks * BLCKSZ;
    });
}

} // namespace procrastinate::server
