// The setting procrastinate_migrate.verify: what becomes of differences that are found before a change.
#pragma once

namespace procrastinate::migrate
{

enum class VerifyLevel
{
    off,  // nothing is looked for but names that are taken
    warn, // all that is found is a warning
    error // what would break is an error, the rest a warning
};

VerifyLevel verify_level();

// For _PG_init. May ereport.
void define_verify_setting();

} // namespace procrastinate::migrate
