#include "upgrade/copied_grants.hpp"

#include "catalog/grants.hpp"
#include "common/template.hpp"
#include "server/messages.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "sql/copied_grants.hpp"
#include "sql/is_settable.hpp"
#include "sql/remembered_grants.hpp"
#include "upgrade/foreign_objects.hpp"
#include "upgrade/settings.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;

constexpr std::string_view schema_parameter = "$1";
constexpr std::string_view names_parameter = "string_to_array($2, ' ')";

constinit spi::PlannedQuery remembered_query{
    [] { return remembered_grants_sql(schema_parameter, names_parameter, "$3"); }};
constinit spi::PlannedQuery copied_query{
    [] { return copied_grants_sql(schema_parameter, names_parameter, "$3", RunBy::library); }};

} // namespace

std::string is_settable_sql(std::string_view name, RunBy run_by)
{
    const std::string granted = "has_parameter_privilege(" + std::string(name) + ", 'SET')";
    std::string text = common::substitute(
        sql::is_settable,
        {{"name", name},
         {"has_privilege",
          run_by == RunBy::library
              ? granted
              : "(select r.rolsuper from pg_roles r where r.rolname = current_user)"}});
    while (text.ends_with('\n'))
        text.pop_back();
    return text;
}

CopiedGrants::CopiedGrants(const catalog::Installation &installation, Copied copied)
    : installation_(installation)
{
    if (!copies_grants())
        return;
    server::with_search_path(nullptr, [&] {
        const std::array parameters{spi::oid_parameter(installation.schema),
                                    spi::text_parameter(object_names()),
                                    spi::boolean_parameter(copied == Copied::grants_and_settings)};
        before_ = spi::read_latest(remembered_query, parameters).text(0, 1).value_or("");
    });
}

void CopiedGrants::copy() const
{
    if (before_.empty())
        return;
    server::with_search_path(nullptr, [&] {
        const std::array parameters{spi::oid_parameter(installation_.schema),
                                    spi::text_parameter(object_names()),
                                    spi::text_parameter(before_)};
        const spi::Rows rows = spi::read_latest(copied_query, parameters);
        for (std::uint64_t row = 0; row < rows.count(); ++row)
        {
            const std::string statement(rows.text(row, 1).value_or(""));
            const std::optional<std::string_view> warning = rows.text(row, 2);
            if (warning)
                server::warning(*warning, "Only a superuser can set it.", statement + ";");
            else
                server::restoring_settings([&] { spi::execute(statement.c_str()); });
        }
    });
}

std::string remembered_grants_sql(std::string_view schema, std::string_view names,
                                  std::string_view with_settings)
{
    return common::substitute(sql::remembered_grants,
                              {{"objects", catalog::granted_objects_sql(schema, names)},
                               {"with_settings", with_settings}});
}

std::string copied_grants_sql(std::string_view schema, std::string_view names,
                              std::string_view before, RunBy run_by)
{
    return common::substitute(sql::copied_grants,
                              {{"objects", catalog::granted_objects_sql(schema, names)},
                               {"schema", schema},
                               {"before", before},
                               {"is_settable", is_settable_sql("v.name", run_by)}});
}

} // namespace procrastinate::upgrade
