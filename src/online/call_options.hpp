// What a caller of procrastinate_migrate() may ask for, and how a hint says so.
#pragma once

#include "catalog/installation.hpp"

#include <string>

namespace procrastinate::online
{

// With the defaults of the SQL procedure.
struct CallOptions
{
    double lock_timeout = 100;  // milliseconds that a lock is waited for at a time
    double retry_for = 600'000; // milliseconds after which what cannot have its locks is given up
    bool concurrently = true;   // indexes are built by a background worker
    bool force = false;         // post migrations are not held up by who still calls what they drop
};

// "CALL procrastinate_migrate('0038', schema => 'public', force => true);", with what is not the default.
std::string call_of(const catalog::Installation &installation, const std::string &target,
                    const CallOptions &options);

} // namespace procrastinate::online
