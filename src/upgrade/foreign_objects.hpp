// The query that finds what of an installation is another role's: the server runs it, and the offline
// script prints it, so that both refuse the same.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

// The names of everything that Procrastinate has had at some revision and that has a name of its own
// in a schema, parted by blanks.
std::string object_names();

// One row of two texts, DETAIL and HINT, both NULL where all is the caller's: objects of these names
// (to a superuser, every superuser's are his), code that their triggers, indexes, constraints, defaults,
// policies, statistics and rules call (a superuser's own is trusted), and triggers' conditions that call
// what may run other code, whosoever it is. `schema` and `names` are expressions of type
// oid and text[].
std::string foreign_objects_sql(std::string_view schema, std::string_view names);

} // namespace procrastinate::upgrade
