// Whether an index exists and is valid, and the wait for a concurrent build that is about to
// commit.
#pragma once

#include "common/index_state.hpp"
#include "server/error_boundary.hpp"

namespace procrastinate::server
{

using common::IndexState;

// The state of the index of this name in the schema, for a table of the same schema. Reads the
// catalog as it is now, whatever the snapshot of the transaction. Takes no lock on the index.
IndexState index_state(Oid schema, const char *index, const char *table);

// The same for code that may ereport() already: inside call(), or in a background worker.
IndexState read_index_state(Oid schema, const char *index, const char *table);

// Waits until no other transaction has an uncommitted change of the index's pg_index row.
//
// CREATE INDEX CONCURRENTLY releases its lock on the table shortly before it commits that the index
// is valid. Call this with the table locked, so that no other build can start. Raises the server's
// 55P03 after lock_timeout. No effect if there is no such index.
void wait_for_builder(Oid schema, const char *index);

} // namespace procrastinate::server
