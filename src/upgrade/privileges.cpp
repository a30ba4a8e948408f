#include "upgrade/privileges.hpp"

#include "catalog/named_objects.hpp"
#include "common/refusal.hpp"
#include "server/spi.hpp"
#include "upgrade/foreign_objects.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using common::Findings;
using common::Refusal;

std::string identifier(std::string_view name)
{
    const std::string terminated(name);
    return server::call([&terminated] { return quote_identifier(terminated.c_str()); });
}

// What is another role's, and the way out; empty where all is the caller's.
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

std::string callers_name()
{
    return server::call([] { return GetUserNameFromId(GetUserId(), false); });
}

std::string the_installation(const catalog::Installation &installation)
{
    return "the installation in schema \"" + std::string(installation.name) + "\"";
}

[[noreturn]] void refuse_superuser(const catalog::Installation &installation,
                                   const ForeignObjects &foreign)
{
    throw Refusal{
        common::sqlstate::untrusted_object,
        "superuser \"" + callers_name() + "\" will not change " + the_installation(installation) +
            " with objects of another role",
        foreign.detail +
            "\nWhat others have put there would run with a superuser's rights, and new objects "
            "would not be the owner's.",
        foreign.hint};
}

} // namespace

Findings findings_of(std::span<const catalog::Difference> differences)
{
    Findings findings;
    for (const catalog::Difference &one : differences)
        if (one.is_of_revision)
            findings.add(common::capitalized(catalog::in_words(one)));
    return findings;
}

void require_privileges(const catalog::Installation &installation)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rights =
        spi::read_latest("SELECT has_schema_privilege($1, 'CREATE'), "
                         "has_schema_privilege($1, 'USAGE'), "
                         "coalesce((SELECT has_language_privilege(oid, 'USAGE') "
                         "FROM pg_language WHERE lanname = 'plpgsql'), false)",
                         parameters);
    const std::string role = callers_name();
    Findings missing;
    std::string hint;
    for (const auto &[column, privilege] : {std::pair(1, "CREATE"), std::pair(2, "USAGE")})
        if (!rights.boolean(0, column))
        {
            missing.add(std::string(privilege) + " on schema " + installation.quoted +
                        " is missing");
            hint = std::string("GRANT CREATE, USAGE ON SCHEMA ") + installation.quoted + " TO " +
                   identifier(role) + ";";
        }
    if (!rights.boolean(0, 3))
    {
        missing.add("USAGE on language plpgsql is missing");
        hint += (hint.empty() ? "" : "\n") +
                ("GRANT USAGE ON LANGUAGE plpgsql TO " + identifier(role)) + ";";
    }
    if (!missing.any())
        return require_no_foreign_objects(installation);

    const ForeignObjects foreign = find_foreign_objects(installation);
    throw Refusal{common::sqlstate::insufficient_privilege,
                  "role \"" + role + "\" may not change " + the_installation(installation),
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
    throw Refusal{common::sqlstate::insufficient_privilege,
                  "role \"" + callers_name() + "\" may not change " +
                      the_installation(installation),
                  foreign.detail, foreign.hint};
}

} // namespace procrastinate::upgrade
