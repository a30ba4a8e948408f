// Locks a schema against rename and drop.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Prevents rename and drop of the schema to the end of the transaction. Returns false if the schema
// does not exist.
//
// Takes an ACCESS SHARE lock on the schema and a FOR KEY SHARE lock on its pg_namespace row: some
// server versions lock the schema for a rename, others only update the row. Waits for another
// session's rename, up to lock_timeout. The row lock is a write, which a read-only transaction does
// not allow.
bool lock_schema_name(Oid schema);

} // namespace procrastinate::server
