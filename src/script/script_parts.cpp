#include "script/script_parts.hpp"

#include "common/template.hpp"
#include "sql/append_history.hpp"
#include "sql/create_history.hpp"
#include "sql/script_check_role.hpp"
#include "sql/script_copy_grants.hpp"
#include "sql/script_lock_history.hpp"
#include "sql/script_remember_grants.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/foreign_objects.hpp"
#include "upgrade/library_version.hpp"
#include "upgrade/settings.hpp"

namespace procrastinate::script
{

namespace
{

using common::substitute;

// Which database has written a row of the history, and which one runs the script.
constexpr std::string_view system_identifier =
    "(SELECT s.system_identifier FROM pg_catalog.pg_control_system() s)";
constexpr std::string_view database_oid =
    "(SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())";

// The schema and the names as the begin of a script has set them.
constexpr std::string_view schema_oid =
    "(SELECT n.oid FROM pg_namespace n"
    " WHERE n.nspname = current_setting('procrastinate_script.schema'))";
constexpr std::string_view names =
    "string_to_array(current_setting('procrastinate_script.names'), ' ')";

} // namespace

std::string script_version() { return std::string(upgrade::library_version) + " (script)"; }

std::string is_own()
{
    return "system_identifier = " + std::string(system_identifier) +
           " AND database_oid = " + std::string(database_oid);
}

std::string append_history(std::string_view table, std::string_view values)
{
    return substitute(sql::append_history, {{"table", table},
                                            {"values", values},
                                            {"system_identifier", system_identifier},
                                            {"database_oid", database_oid}});
}

std::string check_role()
{
    return substitute(
        sql::script_check_role,
        {{"foreign_objects", upgrade::foreign_objects_sql("schema_oid", "names", "0::oid")}});
}

std::string lock_history()
{
    return substitute(
        sql::script_lock_history,
        {{"create_history", substitute(sql::create_history, {{"table", "%1$I.%2$I"}})}});
}

std::string remember_grants()
{
    return upgrade::copies_grants()
               ? substitute(sql::script_remember_grants,
                            {{"remembered_grants",
                              upgrade::remembered_grants_sql(schema_oid, names, "true")}})
               : std::string();
}

std::string copy_grants()
{
    constexpr std::string_view before =
        "nullif(current_setting('procrastinate_script.grants'), '')";
    return upgrade::copies_grants()
               ? substitute(
                     sql::script_copy_grants,
                     {{"copied_grants", upgrade::copied_grants_sql(schema_oid, names, before)}})
               : std::string();
}

} // namespace procrastinate::script
