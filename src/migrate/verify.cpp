#include "migrate/verify.hpp"

#include "server/postgres.hpp"

namespace procrastinate::migrate
{

namespace
{

int level = static_cast<int>(VerifyLevel::error); // the server writes it

constexpr config_enum_entry levels[] = {{"off", static_cast<int>(VerifyLevel::off), false},
                                        {"warn", static_cast<int>(VerifyLevel::warn), false},
                                        {"error", static_cast<int>(VerifyLevel::error), false},
                                        {nullptr, 0, false}};

} // namespace

VerifyLevel verify_level() { return static_cast<VerifyLevel>(level); }

void define_verify_setting()
{
    DefineCustomEnumVariable(
        "procrastinate_migrate.verify",
        "What becomes of differences from the recorded revision, and of what the migrations to "
        "come would fail at.",
        "They are looked for before the first change: \"error\" refuses what would break and warns "
        "of the rest, \"warn\" only warns, \"off\" does not look.",
        &level, level, levels, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("procrastinate_migrate");
}

} // namespace procrastinate::migrate
