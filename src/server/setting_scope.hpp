// Sets configuration parameters for a piece of work, as a function's SET clause does.
//
// Settings that other code has changed in the scope are restored, too, such as by a SET in a user's
// trigger. On error the end of the (sub)transaction restores the old values. A commit in between
// restores them too, so a scope must not extend over one.
#pragma once

#include "server/error_boundary.hpp"
#include "server/run_and_close.hpp"

namespace procrastinate::server
{

// Opens a scope. Returns its level, for close_settings().
int open_settings();
// Sets a parameter in the current scope, as the current role may.
void set(const char *setting, const char *value);
// Sets a parameter that normally only a superuser may set. Only for values that are harmless.
void set_as_server(const char *setting, const char *value);
// Restores the values from before the scope.
void close_settings(int level);

// Runs `body` in a scope.
template <typename Body> auto restoring_settings(Body &&body) -> std::invoke_result_t<Body &>
{
    const int level = open_settings();
    return run_and_close(body, [level] { close_settings(level); });
}

// Runs `body` with search_path set to the schema, which is quoted as an identifier, and pg_temp
// last. nullptr: pg_catalog and pg_temp only, so that no other role can provide an object. A
// backslash in a query means itself, whatever the session has set.
template <typename Body>
auto with_search_path(const char *quoted_schema, Body &&body) -> std::invoke_result_t<Body &>
{
    return restoring_settings([&] {
        const char *const path = call([quoted_schema] {
            return quoted_schema == nullptr ? "pg_catalog, pg_temp"
                                            : psprintf("%s, pg_temp", quoted_schema);
        });
        set("search_path", path);
        set("standard_conforming_strings", "on");
        return body();
    });
}

} // namespace procrastinate::server
