// Settings that hold for a piece of work and are as before afterwards, as with a function's SET
// clause; on error the end of the (sub)transaction puts them back.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

int open_settings();
void set(const char *setting, const char *value);
// One that takes a superuser, where the value could do no harm whoever asked for it.
void set_as_server(const char *setting, const char *value);
void close_settings(int level);

// search_path names the server's own catalog and nothing that another role could write to; with a
// schema (quoted as an identifier) that one too. The session's temporary schema comes last always.
template <typename Body>
auto with_search_path(const char *quoted_schema, Body &&body) -> std::invoke_result_t<Body &>
{
    const int level = open_settings();
    const char *const path = call([quoted_schema] {
        return quoted_schema == nullptr ? "pg_catalog, pg_temp"
                                        : psprintf("%s, pg_temp", quoted_schema);
    });
    set("search_path", path);
    if constexpr (std::is_void_v<std::invoke_result_t<Body &>>)
    {
        body();
        close_settings(level);
    }
    else
    {
        auto result = body();
        close_settings(level);
        return result;
    }
}

} // namespace procrastinate::server
