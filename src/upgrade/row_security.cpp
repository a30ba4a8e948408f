#include "upgrade/row_security.hpp"

#include "chain/facts.hpp"
#include "common/refusal.hpp"

#include <set>

namespace procrastinate::upgrade
{

namespace
{

bool has_policies_for_current_role(const catalog::Installation &installation,
                                   const std::string &table)
{
    const Oid schema = installation.schema;
    return server::call([&table, schema] {
        const Oid oid = get_relname_relid(table.c_str(), schema);
        return OidIsValid(oid) && check_enable_rls(oid, InvalidOid, true) == RLS_ENABLED;
    });
}

// Of any revision; without the history.
std::set<std::string> other_tables()
{
    std::set<std::string> names{catalog::fetch_barrier_table};
    for (const chain::Fact &fact : chain::facts())
        if (fact.kind == chain::Kind::table)
            names.emplace(fact.name);
    return names;
}

} // namespace

void require_no_forced_policies(const catalog::Installation &installation)
{
    int count = 0;
    std::string tables;
    std::string statements;
    const auto look_at = [&](const std::string &name) {
        if (!has_policies_for_current_role(installation, name))
            return;
        const std::string table = installation.quoted + "." + name;
        tables.append(++count == 1 ? "" : ", ").append(table);
        statements.append(count == 1 ? "" : "\n")
            .append("ALTER TABLE " + table + " NO FORCE ROW LEVEL SECURITY;");
    };
    look_at(catalog::history_table);
    for (const std::string &name : other_tables())
        look_at(name);
    if (count > 0)
        throw common::Refusal{common::sqlstate::untrusted_object,
                              std::string("row-level security is forced on ") +
                                  (count == 1 ? "table " : "tables ") + tables,
                              "Policies apply to the owner, too, and may hide rows from a change.",
                              statements};
}

void require_no_forced_policies_on_history(const catalog::Installation &installation)
{
    if (has_policies_for_current_role(installation, catalog::history_table))
        require_no_forced_policies(installation);
}

} // namespace procrastinate::upgrade
