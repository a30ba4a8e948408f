// The settings procrastinate_migrate.*
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::upgrade
{

// procrastinate_migrate.verify: what becomes of differences that are found before a change.
enum class VerifyLevel
{
    off,  // nothing is looked for but names that are taken
    warn, // all that is found is a warning
    error // what would break is an error, the rest a warning
};

VerifyLevel verify_level();

// procrastinate_migrate.alembic_version: the table, with its schema, in which Alembic's revision is
// kept in step; empty: none is.
std::string_view alembic_table();

// procrastinate_migrate.alembic_ids: 0001 to 0038, not procrastinate_0000 to procrastinate_0037.
bool are_alembic_ids_plain();

// procrastinate_migrate.django_migrations: the table, with its schema, in which Django's are.
std::string_view django_table();

// procrastinate_migrate.django_names: the names that Django's migrations of the app "procrastinate" have.
std::string_view django_names();

// procrastinate_migrate.max_wal_rate: kilobytes a second that batches may write; 0: as they come.
int max_wal_rate();

// procrastinate_migrate.max_replication_lag: kilobytes that a replica may be behind before the next batch
// waits; negative: as many as there are.
int max_replication_lag();

// For _PG_init. May ereport.
void define_options();

} // namespace procrastinate::upgrade
