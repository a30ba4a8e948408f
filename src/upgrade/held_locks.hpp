// What a transaction keeps others from: its locks on tables.
#pragma once

#include "server/postgres.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

struct HeldLock
{
    Oid table;
    int level; // LOCKMODE, the strongest
};

// Those of this transaction, strongest first; of more than tables. Inside an SPI connection and under a
// search_path of the server's own.
std::vector<HeldLock> held_locks();

// "ACCESS EXCLUSIVE on procrastinate_jobs"; nothing where it is no table of users that is there. The name
// is qualified where the table is in another schema than that one.
std::string in_words(const HeldLock &lock, Oid schema);

} // namespace procrastinate::upgrade
