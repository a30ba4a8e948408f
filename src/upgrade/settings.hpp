// Settings of the extension: the configuration parameters procrastinate_migrate.*
#pragma once

#include "chain/external_ids.hpp"
#include "server/postgres.hpp"

namespace procrastinate::upgrade
{

// procrastinate_migrate.verify: what happens with differences that are found before an upgrade.
enum class VerifyLevel
{
    off,  // only names that are taken are looked for
    warn, // every finding is a WARNING
    error // a finding that a migration would fail at is an error, any other a WARNING
};

VerifyLevel verify_level();

// procrastinate_migrate.alembic_version: Alembic's version table, with its schema; empty: none.
std::string_view alembic_table();

// procrastinate_migrate.alembic_ids: which ids of that table are this chain's.
chain::AlembicIds alembic_ids();

// procrastinate_migrate.django_migrations: Django's migrations table, with its schema; empty: none.
std::string_view django_table();

// procrastinate_migrate.django_names: names of Django's migrations of the app "procrastinate".
std::string_view django_names();

// procrastinate_migrate.max_wal_rate: kilobytes of WAL per second that batches may write; 0: no
// limit.
int max_wal_rate();

// procrastinate_migrate.max_replication_lag: kilobytes of WAL that a replica may have to apply
// before the next batch waits; negative: no limit.
int max_replication_lag();

// procrastinate_migrate.min_concurrent_build_size: kilobytes that a table must have for a
// concurrent index build. Writers of smaller tables wait for a plain build, for milliseconds.
int min_concurrent_build_size();

// procrastinate_migrate.max_build_workers: how many indexes the session's role may build at the
// same time in the database. A superuser can set it, or a role that has been granted SET on it.
int max_build_workers();

// procrastinate_migrate.max_migrate_workers: how many installations the session's role may migrate
// at the same time in the database by procrastinate_migrate_all().
int max_migrate_workers();

// procrastinate_migrate.copy_grants: whether a migration gives the objects that it creates the
// privileges and settings of those that they succeed.
bool copies_grants();

// Defines all of them, for _PG_init. May ereport.
void define_settings();

} // namespace procrastinate::upgrade
