// The jobs table of an installation: whether it is an ordinary table, and where it is if it was
// renamed or moved.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

enum class JobsTable
{
    none,
    table, // partitioned, too: then it is the installation's all the same, though not usable
    other_relation
};

// What has the name procrastinate_jobs in the schema.
JobsTable jobs_table_of(const catalog::Installation &installation);

// Of another relation: a clause for a message, "procrastinate_jobs is a view". It lives for ever.
std::string_view why_no_jobs_table(const catalog::Installation &installation);

// Throws Refusal PM009 if a view or another relation that is no table has the name of the jobs
// table. The HINT renames it, or names the schema that has an installation. Inside an SPI
// connection and under a search_path of the server's own.
void require_no_other_relation(const catalog::Installation &installation);

// True if the schema has a table of a name that Procrastinate's tables have had at some revision.
bool has_tables(const catalog::Installation &installation);

// Throws Refusal PM009 if a table is not there because it was renamed or moved, or if the jobs
// table is that of another schema's installation. The HINT has the statements that put it back.
// Inside an SPI connection and under a search_path of the server's own.
void require_not_moved(const catalog::Installation &installation);

// The same as a WARNING. Returns whether there was one: nothing else can be repaired then.
bool warn_if_moved(const catalog::Installation &installation);

// Throws Refusal PM009 if one of Procrastinate's tables is partitioned or a foreign table.
void require_not_partitioned(const catalog::Installation &installation);

// Throws Refusal PM009 as those above, if the jobs table is that of another schema's installation,
// and if the history says `current` but the schema has no jobs table.
void require_tables(const catalog::Installation &installation, chain::Revision current);

} // namespace procrastinate::upgrade
