// Shared memory between a session and the background worker that builds an index for it.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::server
{

inline constexpr std::size_t build_statement_size = 2048; // bytes, with the NUL

// Settings of the session that the worker takes over.
inline constexpr std::array build_settings{
    "maintenance_work_mem", "max_parallel_maintenance_workers", "default_tablespace"};

enum class BuildStage
{
    begun,
    failed,
    done
};

// The order, and the worker's answer. Plain data in a dynamic shared memory segment.
//
// A session may have loaded an older library than its worker loads. A change of this structure
// therefore needs a new name for the worker's function; now it is procrastinate_build_index_v2().
struct BuildOrder
{
    // Written by the session.
    Oid database;
    Oid login_role; // of the session; the worker connects as this role
    Oid role;       // the worker acts as this role
    Oid schema;
    char table[NAMEDATALEN];
    char index[NAMEDATALEN];
    char statement[build_statement_size];
    char settings[build_settings.size()][NAMEDATALEN];
    char lock_timeout[NAMEDATALEN]; // of the worker, in milliseconds

    // Written by the worker; the texts are its error.
    BuildStage stage;
    int sqlstate;
    char message[1024];
    char detail[2048];
    char hint[1024];
    char context[1024];
};

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
