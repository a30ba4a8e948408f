// What a change holds to the end of its transaction: a lock on the installation, for two deployers at
// once, and locks on its tables, for everybody else.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

// Waits for whoever holds it, honouring cancel, statement_timeout and lock_timeout. Throws Refusal
// 3F000 where the schema was renamed meanwhile.
void lock(const catalog::Installation &installation);

// It is locked by its OID and worked on by its name: once there is something to do, nobody can rename
// or drop the schema any more. Throws as above.
void lock_schema_name(const catalog::Installation &installation);

enum class Tables
{
    history,         // a row will be appended
    history_and_jobs // and jobs will be changed
};

// What the steps from `current` to `target` need locked before the first of them.
Tables tables_of(chain::Revision current, chain::Revision target);

// Locks tables that are there already, with those that inherit from them, so that nobody can add a trigger or
// put another table in their place, and refuses what another role has put there by now (42501, PM010). The
// jobs get the strongest lock at once: a step that wants more of a lock than an earlier one holds would
// deadlock with a worker that waits in between.
void lock_tables(const catalog::Installation &installation, Tables tables);

// For jobs that are only read, which no trigger sees, and for the schema's name: between two transactions of a
// procedure. Refuses as above.
void lock_to_read_jobs(const catalog::Installation &installation);

// The same for a step: these, in their order, and the history. Throws the server's error where one is gone.
void lock_tables(const catalog::Installation &installation, std::span<const chain::StepLock> locks);

// The modes of a table's lock that keep one of that mode ("SHARE") waiting, as pg_locks names them.
std::vector<std::string> conflicting_modes(std::string_view mode);

} // namespace procrastinate::upgrade
