#include "upgrade/readiness.hpp"

#include "catalog/structure.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/completion.hpp"
#include "upgrade/leftovers.hpp"
#include "upgrade/precheck.hpp"
#include "upgrade/precheck_constraints.hpp"
#include "upgrade/precheck_deferred.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/settings.hpp"
#include "upgrade/unknown_objects.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::in_schema;
using common::Findings;
using common::Refusal;
namespace sqlstate = common::sqlstate;

constexpr int most_findings = 50;

// What the checks of an upgrade found.
struct Obstacles
{
    NamesTaken names_taken;
    PrecheckResult precheck;
    std::string moved_on; // what to do if the catalog shows later migrations
};

Obstacles find_obstacles(const catalog::Installation &installation, chain::Revision current,
                         chain::Revision target)
{
    Obstacles found;
    if (verify_level() == VerifyLevel::off)
    {
        found.names_taken = names_taken(installation, {}, current, target);
        return found;
    }
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    // Reading the structure has locked the tables. Objects that another role put in their place
    // before show now, and none can follow.
    require_no_foreign_objects(installation);
    const auto objects = server::span_of(structure);
    found.names_taken = names_taken(installation, objects, current, target);
    found.precheck = run_precheck(installation, objects, current, target);
    if (!found.names_taken.findings.empty() || !found.precheck.drift.empty())
        found.moved_on = advice_for_moved_on(installation, objects, current);
    return found;
}

std::string hint_for(const catalog::Installation &installation, const Obstacles &found)
{
    const bool are_names_taken = !found.names_taken.findings.empty();
    const std::string schema(installation.quoted_text);
    std::string hint;
    const auto add = [&hint](const std::string &line) {
        hint.append(hint.empty() ? "" : "\n").append(line);
    };
    if (!found.moved_on.empty())
        add(found.moved_on);
    else if (!found.precheck.drift.empty())
        add("To see the differences: SELECT * FROM " + common::own_function("procrastinate_check") +
            "(schema => " + schema + ");");
    if (found.moved_on.empty() && !found.precheck.drift.empty() && found.precheck.can_repair)
        add("To repair what can be repaired: " + repair_call(installation) +
            ", dry_run => false);");
    if (!found.precheck.unknown.empty())
        add(advice_for_unknown_objects());
    if (found.moved_on.empty() && are_names_taken)
        add("To see which revision the schema is nearest to: SELECT * FROM " +
            common::own_function("procrastinate_detect") + "(" + schema +
            ");\nTo see how it differs from " +
            std::string(chain::name(found.names_taken.first_maker)) + ": " +
            check_call(installation, found.names_taken.first_maker) +
            advice_on_rest(found.names_taken.first_maker));
    if (found.moved_on.empty() && found.names_taken.can_be_moved)
        add("Move objects that are not Procrastinate's to another schema.");
    if (!found.precheck.dependents.empty())
        add("Drop the dependent objects. After the upgrade create those again whose columns and "
            "functions still exist.");
    if (!found.precheck.rows.empty())
        add("Change or delete the rows that the migrations would fail at.");
    if (!are_names_taken)
        add("To upgrade in spite of these findings: SET procrastinate_migrate.verify = 'warn';");
    return hint;
}

void require_none(const Obstacles &found, const catalog::Installation &installation,
                  chain::Revision current, chain::Revision target)
{
    const bool is_strict = verify_level() == VerifyLevel::error;
    Findings findings(most_findings);
    findings.add(found.precheck.drift);
    findings.add(found.precheck.unknown);
    findings.add(found.names_taken.findings);
    findings.add(found.precheck.dependents);
    findings.add(found.precheck.rows);
    if (!is_strict)
        findings.add(found.precheck.doubts);
    if (!found.names_taken.findings.empty() || (found.precheck.any() && is_strict))
        throw Refusal{sqlstate::catalog_contradicts,
                      in_schema(installation) + " is not ready for the migrations up to " +
                          std::string(chain::name(target)),
                      findings.text(), hint_for(installation, found)};
    Findings doubts(most_findings);
    doubts.add(found.precheck.doubts);
    const Findings &warned = is_strict ? doubts : findings;
    if (warned.any())
        server::warning(in_schema(installation) + " has problems that may make the upgrade from " +
                            std::string(chain::name(current)) + " to " +
                            std::string(chain::name(target)) + " fail",
                        warned.text(),
                        "To see the differences: SELECT * FROM " +
                            common::own_function("procrastinate_check") + "(schema => " +
                            installation.quoted_text + ");");
}

} // namespace

void require_ready(const catalog::Installation &installation, chain::Revision current,
                   chain::Revision target)
{
    require_syncable(target);
    require_no_deferred_triggers(installation, written_tables(current, target));
    if (current == chain::base)
    {
        if (const NamesTaken taken = names_taken(installation, {}, current, target);
            !taken.findings.empty())
            throw leftovers(installation, taken);
        require_no_unknown_objects(installation);
    }
    else
        require_none(find_obstacles(installation, current, target), installation, current, target);
}

void require_no_refused_rows(const catalog::Installation &installation, chain::Revision current,
                             chain::Revision target)
{
    if (verify_level() == VerifyLevel::off)
        return;
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    Obstacles found;
    found.precheck.rows =
        find_refused_rows(installation, server::span_of(structure), current, target);
    require_none(found, installation, current, target);
}

} // namespace procrastinate::upgrade
