// Statements that run at top level in a background worker: the server refuses some of them in
// functions and procedures, and a session can have several workers at a time.
#pragma once

#include "server/error_boundary.hpp"

#include <memory>
#include <string>

namespace procrastinate::server
{

enum class WorkerUse
{
    once,
    kept // for run_next()
};

// The worker connects as the session's role, acts as `role`, with search_path set to the schema.
struct WorkerStatement
{
    Oid role;       // need not have LOGIN
    Oid only_owner; // as which alone its CALLs may change installations; InvalidOid: it calls none
    Oid schema;
    const char *table;                     // of an index build, which locks it first; else ""
    const char *index;                     // the worker does nothing if it exists then
    const char *text;                      // at most 2047 bytes
    int lock_timeout;                      // milliseconds that each lock wait may take; 0: no limit
    std::span<const char *const> settings; // names of settings that it takes over
    WorkerUse use;
};

class StatementWorker
{
  public:
    // Starts a worker. Null if the server has no free one (max_worker_processes), or this session
    // has as many as it can end. The worker is ended with the object, and with the session.
    static std::unique_ptr<StatementWorker> start(const WorkerStatement &statement);
    ~StatementWorker();
    StatementWorker(const StatementWorker &) = delete;
    StatementWorker &operator=(const StatementWorker &) = delete;

    // Runs another statement in the same session, as the same role. Only for a kept worker whose
    // last statement has run without an error. Returns false if the worker has ended meanwhile.
    bool run_next(Oid schema, const char *text);

    bool is_running() const; // a statement
    int pid() const;         // 0 if it has not started yet, or has ended

    // Once it does not run: 0 if the statement has run, else the SQLSTATE of its error as
    // MAKE_SQLSTATE encodes it; 57P01 if the worker was ended from outside.
    int sqlstate() const;
    std::string message() const;
    std::string detail() const;
    // Throws the worker's error.
    void raise_error() const;

  private:
    StatementWorker(dsm_segment *segment, BackgroundWorkerHandle *handle)
        : segment_(segment), handle_(handle)
    {
    }

    dsm_segment *segment_;
    BackgroundWorkerHandle *handle_;
};

// In such a worker the only role as which it may change an installation, else InvalidOid.
Oid only_acting_role();

// True in such a worker, and in any other background worker.
bool is_background_worker();

// The server's setting max_worker_processes.
int max_background_workers();

} // namespace procrastinate::server
