// The library as the server sees it.
#include "migrate/options.hpp"
#include "server/postgres.hpp"

extern "C"
{
// Before PostgreSQL 16 PGDLLEXPORT is empty, and everything else here is hidden.
__attribute__((visibility("default"))) const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);
PG_MODULE_MAGIC;

__attribute__((visibility("default"))) void _PG_init(void);
void _PG_init(void) { procrastinate::migrate::define_options(); }
}
