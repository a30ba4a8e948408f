#include "upgrade/unlocked_state.hpp"

#include "common/refusal.hpp"
#include "server/raw_table_scan.hpp"

namespace procrastinate::upgrade
{

std::optional<InstallationState> read_unlocked_state(Oid schema, Oid history)
{
    const std::vector<Oid> locked = server::try_lock_table(history);
    if (locked.empty())
        return std::nullopt;
    std::optional<InstallationState> state;
    try
    {
        if (server::call([schema] { return get_relname_relid(catalog::history_table, schema); }) ==
            history)
            state = read_state(catalog::locate(schema));
    }
    catch (const common::Refusal &)
    {
        server::unlock(locked);
        throw;
    }
    server::unlock(locked);
    return state;
}

} // namespace procrastinate::upgrade
