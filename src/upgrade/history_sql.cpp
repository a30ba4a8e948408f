#include "upgrade/history_sql.hpp"

namespace procrastinate::upgrade
{

std::string create_history_sql(std::string_view table)
{
    const std::string name(table);
    return "CREATE TABLE " + name +
           " (\n"
           "    id bigint PRIMARY KEY,\n"
           "    event text NOT NULL,\n"
           "    from_revision text NOT NULL,\n"
           "    to_revision text NOT NULL,\n"
           "    applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),\n"
           "    applied_by text NOT NULL DEFAULT current_user,\n"
           "    duration interval NOT NULL,\n"
           "    version text NOT NULL\n"
           ");\n"
           "COMMENT ON TABLE " +
           name +
           " IS 'what procrastinate_migrate did to this schema; the last row tells its revision';\n"
           "GRANT SELECT ON TABLE " +
           name + " TO PUBLIC;\n";
}

std::string append_history_sql(std::string_view table, std::string_view values)
{
    const std::string name(table);
    return "INSERT INTO " + name +
           " (id, event, from_revision, to_revision, duration, version)\n"
           "VALUES ((SELECT coalesce(max(h.id), 0) + 1 FROM ONLY " +
           name + " h), " + std::string(values) + ");\n";
}

} // namespace procrastinate::upgrade
