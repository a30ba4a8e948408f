// CREATE INDEX CONCURRENTLY, which the server runs outside of functions only: a background worker runs
// it, as the caller's role and at top level.
#pragma once

#include "server/error_boundary.hpp"

#include <string>

namespace procrastinate::server
{

struct IndexBuild
{
    Oid schema;
    const char *table;
    const char *index;
    const char *statement;
};

enum class BuildEnd
{
    built,
    no_worker, // the server has no free slot for one (max_worker_processes)
    no_lock // 40P01, where somebody waits for the table whose snapshot the build waits for; 55P03
};

struct BuildResult
{
    BuildEnd end;
    std::string error; // of the worker that could have no lock: message, and lines of detail
};

// Runs the statement with search_path set to the schema, unless there is an index of that name by then.
// `meanwhile(context, pid)` is called about ten times a second. An error of the worker is thrown as one of
// the server's; leaving otherwise, with the session too, ends the worker, and an invalid index is left. Must
// be called without a snapshot, which the build might wait for, and with no lock that anybody waits for who
// has one.
BuildResult build_index(const IndexBuild &build, void (*meanwhile)(void *context, int pid),
                        void *context);

// In the catalog as it is now.
enum class IndexState
{
    absent,
    elsewhere, // on another table
    invalid,
    valid
};
IndexState index_state(Oid schema, const char *index, const char *table);

// CREATE INDEX CONCURRENTLY lets go of the table an instant before it commits that the index is valid: waits for
// whoever is about to. With the table locked, so that nobody else begins.
void wait_for_builder(Oid schema, const char *index);

} // namespace procrastinate::server
