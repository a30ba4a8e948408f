// CREATE INDEX CONCURRENTLY from inside a procedure, by a background worker.
//
// The server refuses the statement in functions and procedures. The worker connects as the
// session's role and runs the statement at top level as the given role. The server itself enters a
// security-restricted operation while it evaluates expressions of the index.
#pragma once

#include "server/index_state.hpp"
#include "server/session_lock.hpp"

#include <string>

namespace procrastinate::server
{

struct IndexBuild
{
    Oid role; // need not have LOGIN
    Oid schema;
    const char *table;
    const char *index;
    const char *statement; // at most 2047 bytes
    int lock_timeout;      // milliseconds that each of the statement's lock waits may take
};

// One of the places that the session's role has for background workers in this database. The
// server's max_worker_processes are for all roles: this keeps one role from using them up.
class BuildSlot
{
  public:
    // Takes one of the first `slots` places, to the end of the object. Returns false if other
    // sessions of the role have them all.
    bool try_acquire(int slots);

  private:
    std::optional<SessionLock> lock_;
};

enum class BuildEnd
{
    built,     // or the index existed already
    no_worker, // no free background worker slot (max_worker_processes)
    no_lock    // the worker failed with 40P01 or 55P03
};

struct BuildResult
{
    BuildEnd end;
    std::string error; // of no_lock: the worker's message, and its detail on further lines
};

// Builds the index with search_path set to the schema, and waits for the end. Does nothing if an
// index of that name exists once the worker has locked the table.
//
// Call it without a snapshot, for which the build would wait, and without a lock for which a
// session with a snapshot may wait. While it waits it calls `meanwhile(context, pid)` about ten
// times a second; pid is the worker's, 0 if it is not running.
//
// Throws the worker's error as a ServerError, and 57000 if the worker was ended. If the wait ends
// otherwise (an exception, a cancel, the end of the session), the worker is ended too and may leave
// an invalid index.
BuildResult build_index(const IndexBuild &build, void (*meanwhile)(void *context, int pid),
                        void *context);

} // namespace procrastinate::server
