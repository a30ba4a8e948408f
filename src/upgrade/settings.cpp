#include "upgrade/settings.hpp"

#include "server/fault_point.hpp"

namespace procrastinate::upgrade
{

namespace
{

// The server writes to these.
int verify = static_cast<int>(VerifyLevel::error);
char *alembic_version = nullptr;
int ids_in_alembic = static_cast<int>(chain::AlembicIds::found);
char *django_migrations = nullptr;
char *names_in_django = nullptr;
int wal_rate = 64 * 1024;
int replication_lag = 128 * 1024;
int concurrent_build_size = 1024;
int build_workers = 2;
int migrate_workers = 4;
bool copy_grants = true;

constexpr config_enum_entry verify_levels[] = {
    {"off", static_cast<int>(VerifyLevel::off), false},
    {"warn", static_cast<int>(VerifyLevel::warn), false},
    {"error", static_cast<int>(VerifyLevel::error), false},
    {nullptr, 0, false}};

constexpr config_enum_entry kinds_of_ids[] = {
    {"auto", static_cast<int>(chain::AlembicIds::found), false},
    {"zero_based", static_cast<int>(chain::AlembicIds::zero_based), false},
    {"plain", static_cast<int>(chain::AlembicIds::plain), false},
    {nullptr, 0, false}};

std::string_view text_of(const char *value) { return value == nullptr ? "" : value; }

void define_text(const char *name, const char *summary, const char *description, char **value)
{
    DefineCustomStringVariable(name, summary, description, value, "", PGC_USERSET, 0, nullptr,
                               nullptr, nullptr);
}

void define_enum(const char *name, const char *summary, const char *description, int *value,
                 const config_enum_entry *values)
{
    DefineCustomEnumVariable(name, summary, description, value, *value, values, PGC_USERSET, 0,
                             nullptr, nullptr, nullptr);
}

void define_kilobytes(const char *name, const char *summary, const char *description, int *value,
                      int least)
{
    DefineCustomIntVariable(name, summary, description, value, *value, least, INT_MAX, PGC_USERSET,
                            GUC_UNIT_KB, nullptr, nullptr, nullptr);
}

} // namespace

VerifyLevel verify_level() { return static_cast<VerifyLevel>(verify); }

std::string_view alembic_table() { return text_of(alembic_version); }

chain::AlembicIds alembic_ids() { return static_cast<chain::AlembicIds>(ids_in_alembic); }

std::string_view django_table() { return text_of(django_migrations); }

std::string_view django_names() { return text_of(names_in_django); }

int max_wal_rate() { return wal_rate; }

int max_replication_lag() { return replication_lag; }

int min_concurrent_build_size() { return concurrent_build_size; }

int max_build_workers() { return build_workers; }

int max_migrate_workers() { return migrate_workers; }

bool copies_grants() { return copy_grants; }

void define_settings()
{
    define_enum("procrastinate_migrate.verify",
                "Sets what happens with differences that are found before an upgrade.",
                "\"error\" refuses to upgrade if a migration would fail, and warns of other "
                "differences; \"warn\" only warns; \"off\" does not check. The same for objects of "
                "Procrastinate's names that no known revision has.",
                &verify, verify_levels);
    define_text("procrastinate_migrate.alembic_version",
                "Sets Alembic's version table, with its schema, that each change also updates.",
                "The row of this chain is updated in the same transaction; rows of other branches "
                "are not. The table must belong to the installation's owner or to a superuser, and "
                "have no code of others.",
                &alembic_version);
    define_enum("procrastinate_migrate.alembic_ids",
                "Sets which ids of Alembic's table are this chain's.",
                "\"auto\" recognises them by their form; \"plain\" are the revisions, as 0001; "
                "\"zero_based\" are procrastinate_0000 for revision 0001 and so on.",
                &ids_in_alembic, kinds_of_ids);
    define_text(
        "procrastinate_migrate.django_migrations",
        "Sets Django's migrations table, with its schema, that each change also updates.",
        "Rows of the app \"procrastinate\" are added in the same transaction; rows of other "
        "apps are not touched. The table must belong to the installation's owner or to a "
        "superuser, and have no code of others.",
        &django_migrations);
    define_text("procrastinate_migrate.django_names",
                "Sets the names of Django's migrations of the app \"procrastinate\".",
                "The output of \"manage.py showmigrations procrastinate\", or the names separated "
                "by blanks.",
                &names_in_django);
    define_kilobytes("procrastinate_migrate.max_wal_rate",
                     "Sets how much WAL batches of row updates may write in a second.",
                     "procrastinate_migrate() pauses between batches to stay below it; 0 is no "
                     "limit.",
                     &wal_rate, 0);
    define_kilobytes(
        "procrastinate_migrate.max_replication_lag",
        "Sets how much WAL a replica may have left to apply before the next batch waits.",
        "-1 is no limit.", &replication_lag, -1);
    define_kilobytes("procrastinate_migrate.min_concurrent_build_size",
                     "Sets the size of a table from which on its indexes are built concurrently.",
                     "procrastinate_migrate() builds those of smaller tables without a background "
                     "worker, while writers wait for milliseconds; 0 builds all concurrently.",
                     &concurrent_build_size, 0);
    DefineCustomIntVariable(
        "procrastinate_migrate.max_build_workers",
        "Sets how many indexes a role may build at the same time in a database.",
        "Each concurrent index build of procrastinate_migrate() is a background worker, one of "
        "max_worker_processes. A call without a free one tries again until retry_for is over.",
        &build_workers, build_workers, 1, 1000, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "procrastinate_migrate.max_migrate_workers",
        "Sets how many installations a role may migrate at the same time in a database.",
        "All calls of procrastinate_migrate_all() by a role share these background workers, at "
        "most half of max_worker_processes: each may need another one to build an index.",
        &migrate_workers, migrate_workers, 1, 32, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable(
        "procrastinate_migrate.copy_grants",
        "Sets whether new objects get the privileges of those that they succeed.",
        "Functions that a migration creates or replaces also keep their SET clauses. It also "
        "decides what a script of procrastinate_sql() contains.",
        &copy_grants, copy_grants, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    server::define_fault_points();
    MarkGUCPrefixReserved("procrastinate_migrate");
}

} // namespace procrastinate::upgrade
