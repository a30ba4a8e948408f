#include "upgrade/privileges.hpp"

#include "catalog/named_objects.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "server/current_role.hpp"
#include "server/owners.hpp"
#include "server/spi.hpp"
#include "sql/privileges.hpp"
#include "upgrade/foreign_objects.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using common::Findings;
using common::Refusal;

// What belongs to other roles, and the way out; empty if nothing does.
struct ForeignObjects
{
    std::string detail;
    std::string hint;
};

constinit spi::PlannedQuery shadowing_query{
    [] { return "SELECT EXISTS (" + shadowing_objects_sql("$1") + ")"; }};
constinit spi::PlannedQuery foreign_objects_query{
    [] { return foreign_objects_sql("$1", "(SELECT string_to_array($2, ' '))::text[]", "$3"); }};
constinit spi::PlannedQuery privileges_query{[] { return std::string(sql::privileges); }};

bool has_shadowing_objects(const catalog::Installation &installation)
{
    const Oid schema = installation.schema;
    if (!server::call([schema] { return server::has_code_of_others(schema); }))
        return false;
    const std::array parameters{spi::oid_parameter(schema)};
    return spi::read_latest(shadowing_query, parameters).boolean(0, 1);
}

ForeignObjects find_foreign_objects(Oid schema, Oid table)
{
    const std::array parameters{spi::oid_parameter(schema), spi::text_parameter(object_names()),
                                spi::oid_parameter(table)};
    const spi::Rows rows = spi::read_latest(foreign_objects_query, parameters);
    return {std::string(rows.text(0, 1).value_or("")), std::string(rows.text(0, 2).value_or(""))};
}

ForeignObjects find_foreign_objects(const catalog::Installation &installation)
{
    if (!catalog::holds_known_names(installation.schema) && !has_shadowing_objects(installation))
        return {};
    return find_foreign_objects(installation.schema, InvalidOid);
}

std::string may_not_change(const catalog::Installation &installation)
{
    return "role \"" + server::current_role() + "\" may not change the installation in " +
           catalog::in_schema(installation);
}

// What is missing, and the statements that grant it.
struct Missing
{
    Findings findings;
    std::string hint;
};

Missing missing_privileges(const catalog::Installation &installation)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rights = spi::read_latest(privileges_query, parameters);
    Missing missing;
    for (const auto &[column, privilege] : {std::pair(1, "CREATE"), std::pair(2, "USAGE")})
        if (!rights.boolean(0, column))
        {
            missing.findings.add(std::string(privilege) + " on schema " + installation.quoted +
                                 " is missing");
            missing.hint = std::string("GRANT CREATE, USAGE ON SCHEMA ") + installation.quoted +
                           " TO " + server::quoted_current_role() + ";";
        }
    if (!rights.boolean(0, 3))
    {
        missing.findings.add("USAGE on language plpgsql is missing");
        missing.hint += (missing.hint.empty() ? "" : "\n") +
                        ("GRANT USAGE ON LANGUAGE plpgsql TO " + server::quoted_current_role()) +
                        ";";
    }
    return missing;
}

void refuse_missing(const catalog::Installation &installation, const Missing &missing,
                    const ForeignObjects &foreign)
{
    if (!missing.findings.any() && foreign.detail.empty())
        return;
    std::string detail = missing.findings.text();
    if (!detail.empty() && !foreign.detail.empty())
        detail += "\n";
    throw Refusal{common::sqlstate::insufficient_privilege, may_not_change(installation),
                  detail + foreign.detail, foreign.detail.empty() ? missing.hint : foreign.hint};
}

} // namespace

void require_schema_privileges(const catalog::Installation &installation)
{
    if (!catalog::has_privilege(installation, "CREATE") ||
        !catalog::has_privilege(installation, "USAGE"))
        refuse_missing(installation, missing_privileges(installation), ForeignObjects());
}

void require_privileges(const catalog::Installation &installation)
{
    refuse_missing(installation, missing_privileges(installation),
                   find_foreign_objects(installation));
}

void require_no_foreign_objects(const catalog::Installation &installation)
{
    refuse_missing(installation, Missing(), find_foreign_objects(installation));
}

std::string foreign_code_of(Oid table) { return find_foreign_objects(InvalidOid, table).detail; }

void require_no_shadowing_objects(const catalog::Installation &installation)
{
    if (has_shadowing_objects(installation))
        require_no_foreign_objects(installation);
}

} // namespace procrastinate::upgrade
