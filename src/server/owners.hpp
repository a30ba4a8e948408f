// Owners of catalog objects, from the system caches.
//
// All functions may ereport(): call them inside call(). They return InvalidOid if there is no such
// object.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

Oid owner_of_relation(Oid relation);
Oid owner_of_function(Oid function);
Oid owner_of_type(Oid type);
Oid owner_of_operator(Oid the_operator);

// The schema's owner; the database's owner if that is pg_database_owner, a role that has this one
// member.
Oid owner_of_schema(Oid schema);

// Returns whether the schema has a function or operator of a role that is neither the current role
// nor a superuser.
bool has_code_of_others(Oid schema);

} // namespace procrastinate::server
