#include "server/catalog_changes.hpp"

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

namespace
{

constinit std::uint64_t changes = 0;

// Constraints, triggers, indexes, columns and rules change their table, too.
void register_callbacks()
{
    static constinit bool is_registered = false;
    if (is_registered)
        return;
    CacheRegisterRelcacheCallback([](Datum, Oid) { ++changes; }, 0);
    for (const int cache : {ENUMOID, NAMESPACEOID, PROCOID, SEQRELID, TYPEOID})
        CacheRegisterSyscacheCallback(
            cache, [](Datum, auto, std::uint32_t) { ++changes; }, 0);
    is_registered = true;
}

} // namespace

std::uint64_t catalog_changes()
{
    return call([] {
        register_callbacks();
        AcceptInvalidationMessages();
        return changes;
    });
}

} // namespace procrastinate::server
