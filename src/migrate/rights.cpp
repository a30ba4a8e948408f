#include "migrate/rights.hpp"

#include "chain/refusal.hpp"
#include "server/spi.hpp"

namespace procrastinate::migrate
{

namespace
{

namespace spi = server::spi;
using chain::Refusal;

constexpr int most_findings = 5;

std::string identifier(std::string_view name)
{
    const std::string terminated(name);
    return server::call([&terminated] { return quote_identifier(terminated.c_str()); });
}

struct Strangers
{
    Findings findings;
    std::string owner;
    bool are_many = false;  // more than one role, or the caller's own objects among them
    bool is_member = false; // the caller may become the owner
};

Strangers find_strangers(std::span<const catalog::Object> objects)
{
    Strangers strangers;
    bool has_own = false;
    for (const catalog::Object &object : objects)
    {
        if (!catalog::has_owner(object))
            continue;
        if (object.is_callers)
        {
            has_own = has_own || object.kind == "table";
            continue;
        }
        const bool says_kind = object.name.starts_with(object.kind);
        strangers.findings.add((says_kind ? "" : std::string(object.kind) + " ") +
                               std::string(object.name) + " belongs to role " +
                               std::string(object.owner));
        strangers.are_many =
            strangers.are_many || (!strangers.owner.empty() && strangers.owner != object.owner);
        strangers.owner = object.owner;
        strangers.is_member = object.is_member;
    }
    strangers.are_many = strangers.are_many || (has_own && strangers.findings.any());
    return strangers;
}

std::string way_out(const Strangers &strangers)
{
    if (strangers.are_many)
        return "Give all of them to one role first (ALTER TABLE, TYPE, FUNCTION ... OWNER TO ...), "
               "and run it as that role.";
    if (strangers.is_member)
        return "SET ROLE " + identifier(strangers.owner) + ";";
    return "Run it as role " + strangers.owner + ".";
}

} // namespace

void Findings::add(const std::string &finding)
{
    if (++count_ <= most_findings)
        text_.append(text_.empty() ? "" : "\n").append(finding).append(".");
}

std::string Findings::text() const
{
    if (count_ <= most_findings)
        return text_;
    return text_ + "\nAnd " + std::to_string(count_ - most_findings) + " more.";
}

void require_rights(const catalog::Installation &installation,
                    std::span<const catalog::Object> objects)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rights =
        spi::read_latest("SELECT has_schema_privilege($1, 'CREATE'), "
                         "has_schema_privilege($1, 'USAGE'), "
                         "coalesce((SELECT has_language_privilege(oid, 'USAGE') "
                         "FROM pg_language WHERE lanname = 'plpgsql'), false)",
                         parameters);
    const std::string role = server::call([] { return GetUserNameFromId(GetUserId(), false); });
    const std::string schema =
        " the installation in schema \"" + std::string(installation.name) + "\"";

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

    const Strangers strangers = find_strangers(objects);
    if (!missing.any() && !strangers.findings.any())
        return;
    if (!missing.any() && server::call([] { return superuser(); }))
        throw Refusal{
            chain::sqlstate::untrusted_object,
            "superuser \"" + role + "\" will not change" + schema + " for another role",
            strangers.findings.text() +
                "\nCode of its owner would run with a superuser's rights, and new objects "
                "would not be the owner's.",
            way_out(strangers)};
    const bool both = missing.any() && strangers.findings.any();
    throw Refusal{chain::sqlstate::insufficient_privilege,
                  "role \"" + role + "\" may not change" + schema,
                  missing.text() + (both ? "\n" : "") + strangers.findings.text(),
                  strangers.findings.any() ? way_out(strangers) : hint};
}

} // namespace procrastinate::migrate
