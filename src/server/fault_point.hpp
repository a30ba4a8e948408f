// Named points at which a process stands still, for tests that end it there. They are in the library
// only when it is built with -DPROCRASTINATE_FAULT_POINTS, as the suite `faults` does.
#pragma once

#include "server/postgres.hpp"

#include <string>

namespace procrastinate::server
{

#ifdef PROCRASTINATE_FAULT_POINTS

// The setting procrastinate_migrate.fault_point names the point.
void define_fault_points();

// Where the setting is "<where> <what>": shows that in pg_stat_activity.application_name, and waits to
// be ended. The server's own error then leaves it: inside call(), or in a worker's own code. Where
// interrupts are held it goes on instead, and says so in the server's log.
void fault_point(const char *where, const char *what);

// The same for C++.
void fault_point(const char *where, const std::string &what);

#else

inline void define_fault_points() {}
inline void fault_point(const char * /*where*/, const char * /*what*/) {}
inline void fault_point(const char * /*where*/, const std::string & /*what*/) {}

#endif

} // namespace procrastinate::server
