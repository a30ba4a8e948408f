// Two deployers at once: a change holds a lock on its installation to the end of its transaction.
#pragma once

#include "catalog/installation.hpp"

namespace procrastinate::migrate
{

// An advisory lock with two keys: this one and the schema's OID. The offline script takes the same.
inline constexpr std::int32_t lock_class = 0x50524F43; // "PROC"

// Waits for whoever holds it, honouring cancel, statement_timeout and lock_timeout.
void lock(const catalog::Installation &installation);

} // namespace procrastinate::migrate
