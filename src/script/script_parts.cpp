#include "script/script_parts.hpp"

#include "common/template.hpp"
#include "script/catalog_check.hpp"
#include "sql/append_history.hpp"
#include "sql/create_history.hpp"
#include "sql/script_adopt.hpp"
#include "sql/script_check_role.hpp"
#include "sql/script_copy_grants.hpp"
#include "sql/script_follow_catalog.hpp"
#include "sql/script_lock_history.hpp"
#include "sql/script_remember_grants.hpp"
#include "sql/script_warn_of_timeouts.hpp"
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

// The history for format(): the schema, and the table in it.
constexpr std::string_view for_format = "%1$I.%2$I";

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
        {{"create_history", substitute(sql::create_history, {{"table", for_format}})}});
}

std::string record_revision()
{
    return append_history(for_format, "%3$L, 'base', %4$L, '0', '" + script_version() + "'");
}

std::string follow_catalog(std::string_view recorded)
{
    return substitute(sql::script_follow_catalog,
                      {{"recorded", recorded}, {"record", record_revision()}});
}

std::string adopt()
{
    constexpr std::string_view create = "CREATE TABLE ";
    std::string create_history = substitute(sql::create_history, {{"table", for_format}});
    create_history.insert(create_history.find(create) + create.size(), "IF NOT EXISTS ");
    return substitute(sql::script_adopt,
                      {{"create_history", create_history}, {"record", record_revision()}});
}

std::string set_check(std::string_view set)
{
    return std::string(set) + " procrastinate_script.catalog_check = $procrastinate_check$\n" +
           catalog_check("current_setting('procrastinate_script.schema')", std::nullopt) +
           "$procrastinate_check$;\n";
}

std::string warn_of_timeouts(std::string_view settings)
{
    return substitute(sql::script_warn_of_timeouts, {{"settings", settings}});
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
               ? substitute(sql::script_copy_grants,
                            {{"copied_grants", upgrade::copied_grants_sql(schema_oid, names, before,
                                                                          upgrade::RunBy::script)}})
               : std::string();
}

} // namespace procrastinate::script
