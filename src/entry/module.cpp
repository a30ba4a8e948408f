// Module magic and _PG_init.
#include "server/postgres.hpp"
#include "upgrade/settings.hpp"

extern "C"
{
// Before PostgreSQL 16 PGDLLEXPORT is empty, and everything else here is hidden.
__attribute__((visibility("default"))) const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);
PG_MODULE_MAGIC;

__attribute__((visibility("default"))) void _PG_init(void);
void _PG_init(void) { procrastinate::upgrade::define_settings(); }
}
