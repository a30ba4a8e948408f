#include "upgrade/settings.hpp"

#include "server/fault_point.hpp"

namespace procrastinate::upgrade
{

namespace
{

// The server writes them.
int level = static_cast<int>(VerifyLevel::error);
char *alembic = nullptr;
int alembic_ids = 0;
char *django = nullptr;
char *names_of_django = nullptr;
int wal_rate = 64 * 1024;
int lag = 128 * 1024;

constexpr config_enum_entry levels[] = {{"off", static_cast<int>(VerifyLevel::off), false},
                                        {"warn", static_cast<int>(VerifyLevel::warn), false},
                                        {"error", static_cast<int>(VerifyLevel::error), false},
                                        {nullptr, 0, false}};

constexpr config_enum_entry kinds_of_ids[] = {
    {"zero_based", 0, false}, {"plain", 1, false}, {nullptr, 0, false}};

} // namespace

VerifyLevel verify_level() { return static_cast<VerifyLevel>(level); }

std::string_view alembic_table() { return alembic == nullptr ? "" : alembic; }

bool are_alembic_ids_plain() { return alembic_ids == 1; }

std::string_view django_table() { return django == nullptr ? "" : django; }

int max_wal_rate() { return wal_rate; }

int max_replication_lag() { return lag; }

std::string_view django_names() { return names_of_django == nullptr ? "" : names_of_django; }

void define_options()
{
    DefineCustomEnumVariable(
        "procrastinate_migrate.verify",
        "What becomes of differences from the recorded revision, and of what the migrations to "
        "come would fail at.",
        "They are looked for before the first change: \"error\" refuses what would break and warns "
        "of the rest, \"warn\" only warns, \"off\" does not look.",
        &level, level, levels, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "procrastinate_migrate.alembic_version",
        "Table of Alembic's, with its schema, that each change keeps in step.",
        "Its row of this chain is changed in the same transaction, rows of other branches are not.",
        &alembic, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable(
        "procrastinate_migrate.alembic_ids", "Ids of this chain in that table.",
        "\"zero_based\" are procrastinate_0000 to procrastinate_0037, "
        "\"plain\" are 0001 to 0038.",
        &alembic_ids, 0, kinds_of_ids, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "procrastinate_migrate.django_migrations",
        "Table of Django's, with its schema, that each change keeps in step.",
        "Rows of the app \"procrastinate\" are added in the same transaction, rows of other apps "
        "are not touched.",
        &django, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "procrastinate_migrate.django_names",
        "Names of Django's migrations of the app \"procrastinate\".",
        "What \"manage.py showmigrations procrastinate\" prints, or the names parted by blanks.",
        &names_of_django, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "procrastinate_migrate.max_wal_rate", "WAL a second that batches of rows may write.",
        "procrastinate_migrate() pauses between them so long; 0 is no limit.", &wal_rate, wal_rate,
        0, INT_MAX, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("procrastinate_migrate.max_replication_lag",
                            "WAL that a replica may have to apply before the next batch waits.",
                            "-1 is no limit.", &lag, lag, -1, INT_MAX, PGC_USERSET, GUC_UNIT_KB,
                            nullptr, nullptr, nullptr);
    server::define_fault_points();
    MarkGUCPrefixReserved("procrastinate_migrate");
}

} // namespace procrastinate::upgrade
