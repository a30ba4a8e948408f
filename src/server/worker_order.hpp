// Shared memory between a session and a background worker that runs statements for it.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::server
{

inline constexpr std::size_t worker_statement_size = 2048; // bytes, with the NUL
inline constexpr std::size_t worker_settings_size = 16384; // bytes, with all NULs

enum class WorkerStage : std::uint32_t
{
    begun,  // by the session: there is a statement to run
    failed, // by the worker, which ends
    done,   // by the worker: the statement has run
    over    // by the session: there is no other statement
};

// The order, and the worker's answer. Plain data in a dynamic shared memory segment.
//
// A session may have loaded an older library than its worker loads. A change of this structure
// therefore needs a new name for the worker's function; now it is procrastinate_run_statement_v6().
struct WorkerOrder
{
    // Written by the session.
    Oid database;
    Oid login_role; // of the session; the worker connects as this role
    Oid role;       // the worker acts as this role
    Oid only_owner; // as which alone its CALLs may change installations; InvalidOid: it calls none
    Oid schema;
    char table[NAMEDATALEN]; // of an index build, else empty
    char index[NAMEDATALEN];
    char statement[worker_statement_size];
    // Settings of the session that the worker takes over: name, NUL, value, NUL, ...; ends with an
    // empty name.
    char settings[worker_settings_size];
    char lock_timeout[NAMEDATALEN]; // of the worker, in milliseconds
    bool is_kept; // after a statement the worker waits for the next schema and statement

    // Written by both, after what the other one is to read.
    pg_atomic_uint32 stage;

    // Written by the worker; the texts are its error.
    int sqlstate;
    char message[1024];
    char detail[2048];
    char hint[1024];
    char context[1024];

    bool builds_index() const { return index[0] != '\0'; }

    WorkerStage reached()
    {
        const auto value = static_cast<WorkerStage>(pg_atomic_read_u32(&stage));
        pg_read_barrier();
        return value;
    }
    void reach(WorkerStage next)
    {
        pg_write_barrier();
        pg_atomic_write_u32(&stage, static_cast<std::uint32_t>(next));
    }
};

// Wakes a process of this server, if it still exists.
inline void wake(int pid)
{
    PGPROC *const process = BackendPidGetProc(pid);
    if (process != nullptr)
        SetLatch(&process->procLatch);
}

// Copies a text into an array, cut at the end of a character if it is too long. nullptr counts as
// empty. Inside call(), or in the worker.
template <std::size_t size> void copy_clipped(char (&to)[size], const char *text)
{
    const char *const whole = text == nullptr ? "" : text;
    const int length =
        pg_mbcliplen(whole, static_cast<int>(strlen(whole)), static_cast<int>(size) - 1);
    strlcpy(to, whole, static_cast<std::size_t>(length) + 1);
}

} // namespace procrastinate::server
