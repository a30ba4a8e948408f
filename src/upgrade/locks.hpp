// Locks that a change holds until its transaction ends: the installation's advisory lock against
// other changes, the schema's name against ALTER SCHEMA, and table locks against clients.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "server/advisory_lock.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

enum class WaitNotice
{
    raised, // names the session waited for
    none    // the caller raises its own
};

// Takes the installation's advisory lock, exclusive. Waits for the session that holds it, as long
// as lock_timeout and statement_timeout allow. Throws Refusal 3F000 if the schema was renamed or
// dropped meanwhile. Inside an SPI connection and under a search_path of the server's own.
void lock_installation(const catalog::Installation &installation, WaitNotice notice);

// The session that holds one of the extension's advisory locks of the installation, for a message:
// "session 4711 of role app". Inside an SPI connection and under a search_path of the server's own.
std::string lock_holder(const catalog::Installation &installation, server::LockKey key);

// Locks the history, if there is one, in SHARE ROW EXCLUSIVE mode. To be called before the history
// is read for a change: from then on it keeps its name, and no other session writes to it. Throws
// Refusal 42501 if it belongs to another role than the current one, PM010 if row-level security is
// forced on it.
void lock_history(const catalog::Installation &installation);

// Locks the schema against being renamed or dropped: statements use its name, the advisory lock
// uses its OID. Throws Refusal 3F000 as above.
void lock_schema_name(const catalog::Installation &installation);

// Tables that a change writes.
enum class Tables
{
    history,         // SHARE ROW EXCLUSIVE on the history
    history_and_jobs // and ACCESS EXCLUSIVE on the jobs table
};

// What the migrations after `current`, up to `target`, need locked before the first of them.
Tables tables_of(chain::Revision current, chain::Revision target);

// Locks those of the tables that exist, and the tables that inherit from them. From then on no
// session can add a trigger or put another table in their place. Then refuses objects and code of
// other roles on them (42501). The jobs table gets its strongest lock at once: a later
// statement that needs a stronger lock than an earlier one holds would deadlock with a worker that
// waits for the table in between.
void lock_tables(const catalog::Installation &installation, Tables tables);

// Locks the tables of a step in the modes and the order that it names, then the history. Refuses as
// above. Throws the server's error 42P01 if a table that the step needs has been dropped.
void lock_tables(const catalog::Installation &installation, std::span<const chain::StepLock> locks);

// Takes ACCESS SHARE on the jobs table and locks the schema's name, to read jobs between two
// transactions of a procedure. Refuses as above.
void lock_to_read_jobs(const catalog::Installation &installation);

// The lock modes that conflict with `mode` ("SHARE"), as pg_locks names them ("RowExclusiveLock").
std::vector<std::string> conflicting_modes(std::string_view mode);

} // namespace procrastinate::upgrade
