// Fault points: named places at which a process waits, so that a test can end it there.
//
// They exist only if the library is built with -DPROCRASTINATE_FAULT_POINTS, as the test suite
// `faults` does.
#pragma once

#include "server/postgres.hpp"

#include <string>

namespace procrastinate::server
{

#ifdef PROCRASTINATE_FAULT_POINTS

// Defines the setting procrastinate_migrate.fault_point, which names the point.
void define_fault_points();

// Waits to be cancelled or terminated if the setting is "<where> <what>", and shows that text as
// application_name in pg_stat_activity. Inside call(), or in a background worker: the cancel is an
// ereport(). If interrupts are held, the process writes to the server log and goes on.
void fault_point(const char *where, const char *what);

// The same outside call(). Throws ServerError.
void fault_point(const char *where, const std::string &what);

#else

inline void define_fault_points() {}
inline void fault_point(const char * /*where*/, const char * /*what*/) {}
inline void fault_point(const char * /*where*/, const std::string & /*what*/) {}

#endif

} // namespace procrastinate::server
