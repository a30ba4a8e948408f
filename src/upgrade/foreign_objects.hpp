// Query for objects and code of other roles in an installation: the library runs it, and the
// offline script contains it, so that both refuse the same.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

// Names of everything that Procrastinate has had at some revision and that has a name of its own in
// a schema (tables, types, functions, indexes, sequences), separated by blanks. A function's name
// also with the types of its arguments, without blanks: "procrastinate_finish_job(bigint,boolean)".
std::string object_names();

// The query, which returns one row of two texts, DETAIL and HINT, both NULL if nothing was found.
// `schema`, `names` and `table` are expressions of type oid, text[] and oid.
// src/sql/foreign_objects.sql says what counts.
std::string foreign_objects_sql(std::string_view schema, std::string_view names,
                                std::string_view table);

// The part of it that finds functions and operators of other roles which hide the server's
// (src/sql/shadowing_objects.sql). Returns a row for each.
std::string shadowing_objects_sql(std::string_view schema);

} // namespace procrastinate::upgrade
