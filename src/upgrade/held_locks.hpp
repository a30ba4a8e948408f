// Table locks of the current transaction, for the report of a dry run.
#pragma once

#include "server/postgres.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

struct HeldLock
{
    Oid relation;
    int mode; // LOCKMODE, 1 to 8: the strongest that is held
};

// The relations that this transaction has locked, strongest mode first. Inside an SPI connection
// and under a search_path of the server's own.
std::vector<HeldLock> held_locks();

// "ACCESS EXCLUSIVE on procrastinate_jobs"; empty if the relation is no table, no longer exists, or
// is in pg_catalog. The name is qualified if the table is in another schema than `schema`.
std::string display_text(const HeldLock &lock, Oid schema);

} // namespace procrastinate::upgrade
