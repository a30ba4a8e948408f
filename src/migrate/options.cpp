#include "migrate/options.hpp"

namespace procrastinate::migrate
{

namespace
{

// The server writes them.
int level = static_cast<int>(VerifyLevel::error);
char *alembic = nullptr;

constexpr config_enum_entry levels[] = {{"off", static_cast<int>(VerifyLevel::off), false},
                                        {"warn", static_cast<int>(VerifyLevel::warn), false},
                                        {"error", static_cast<int>(VerifyLevel::error), false},
                                        {nullptr, 0, false}};

} // namespace

VerifyLevel verify_level() { return static_cast<VerifyLevel>(level); }

std::string_view alembic_table() { return alembic == nullptr ? "" : alembic; }

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
    MarkGUCPrefixReserved("procrastinate_migrate");
}

} // namespace procrastinate::migrate
