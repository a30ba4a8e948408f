// What a transaction keeps others from: its locks on tables.
#pragma once

#include "server/postgres.hpp"

#include <string>
#include <vector>

namespace procrastinate::migrate
{

struct HeldLock
{
    Oid table;
    int level; // LOCKMODE, the strongest
};

// Those of this transaction on tables of users, strongest first. Inside an SPI connection and under a
// search_path of the server's own.
std::vector<HeldLock> held_locks();

// "ACCESS EXCLUSIVE on procrastinate_jobs"; nothing where the table is not there (any more). The name
// is qualified where the table is in another schema than that one.
std::string in_words(const HeldLock &lock, Oid schema);

} // namespace procrastinate::migrate
