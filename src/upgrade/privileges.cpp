#include "upgrade/privileges.hpp"

#include "catalog/named_objects.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "server/current_role.hpp"
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

ForeignObjects find_foreign_objects(const catalog::Installation &installation)
{
    if (!catalog::holds_known_names(installation))
        return {};
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::text_parameter(object_names())};
    const spi::Rows rows =
        spi::read_latest(foreign_objects_sql("$1", "string_to_array($2, ' ')").c_str(), parameters);
    return {std::string(rows.text(0, 1).value_or("")), std::string(rows.text(0, 2).value_or(""))};
}

std::string may_not_change(const char *kind_of_role, const catalog::Installation &installation)
{
    return std::string(kind_of_role) + " \"" + server::current_role() +
           "\" may not change the installation in " + catalog::in_schema(installation);
}

[[noreturn]] void refuse_superuser(const catalog::Installation &installation,
                                   const ForeignObjects &foreign)
{
    throw Refusal{common::sqlstate::untrusted_object,
                  may_not_change("superuser", installation) + ", which has objects of another role",
                  foreign.detail + "\nCode of other roles would run with a superuser's rights, and "
                                   "new objects would belong to the superuser.",
                  foreign.hint};
}

} // namespace

void require_privileges(const catalog::Installation &installation)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rights = spi::read_latest(sql::privileges, parameters);
    Findings missing;
    std::string hint;
    for (const auto &[column, privilege] : {std::pair(1, "CREATE"), std::pair(2, "USAGE")})
        if (!rights.boolean(0, column))
        {
            missing.add(std::string(privilege) + " on schema " + installation.quoted +
                        " is missing");
            hint = std::string("GRANT CREATE, USAGE ON SCHEMA ") + installation.quoted + " TO " +
                   server::quoted_current_role() + ";";
        }
    if (!rights.boolean(0, 3))
    {
        missing.add("USAGE on language plpgsql is missing");
        hint += (hint.empty() ? "" : "\n") +
                ("GRANT USAGE ON LANGUAGE plpgsql TO " + server::quoted_current_role()) + ";";
    }
    if (!missing.any())
        return require_no_foreign_objects(installation);

    const ForeignObjects foreign = find_foreign_objects(installation);
    throw Refusal{common::sqlstate::insufficient_privilege, may_not_change("role", installation),
                  missing.text() + (foreign.detail.empty() ? "" : "\n") + foreign.detail,
                  foreign.detail.empty() ? hint : foreign.hint};
}

void require_no_foreign_objects(const catalog::Installation &installation)
{
    const ForeignObjects foreign = find_foreign_objects(installation);
    if (foreign.detail.empty())
        return;
    if (server::call([] { return superuser(); }))
        refuse_superuser(installation, foreign);
    throw Refusal{common::sqlstate::insufficient_privilege, may_not_change("role", installation),
                  foreign.detail, foreign.hint};
}

} // namespace procrastinate::upgrade
