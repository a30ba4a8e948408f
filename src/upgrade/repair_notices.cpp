#include "upgrade/repair_notices.hpp"

#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "server/messages.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/precheck.hpp"

#include <set>

namespace procrastinate::upgrade
{

namespace
{

using catalog::Difference;
using catalog::Installation;
using chain::Revision;

// The calls that go back to before the first of the migrations, run them, and record the revision
// again: the objects of later migrations are there. A revision that was not recorded before is
// recorded only if the schema matches it, since a migration may have failed.
std::string calls_to_run(const Installation &installation, const std::set<Revision> &left_to,
                         Revision revision, const InstallationState &state)
{
    const std::string schema = "schema => " + installation.quoted_text + ");";
    std::string calls;
    Revision recorded = revision;
    const auto record = [&](Revision needed) {
        const bool is_checked = needed == revision && state.recorded_revision != revision;
        if (recorded != needed)
            calls += "SELECT " + common::own_function("procrastinate_stamp") + "('" +
                     std::string(chain::name(needed)) + "', " +
                     (is_checked ? "" : "verify => false, ") + schema + "\n";
        recorded = needed;
    };
    for (const Revision migration : left_to)
    {
        record(migration - 1);
        calls += "CALL " + common::own_function("procrastinate_migrate") + "('" +
                 std::string(chain::name(migration)) + "', " + schema + "\n";
        recorded = migration;
    }
    record(revision);
    calls.pop_back();
    return calls;
}

// What to do about differences that are left to migrations.
std::string advice_for_left(const Installation &installation, const InstallationState &state,
                            std::span<const catalog::CatalogObject> structure,
                            const std::set<Revision> &left_to, const RepairPlan &plan)
{
    const Revision first = *left_to.begin();
    if (!plan.repairs.empty())
        return "When the other differences are repaired, see what to do about these: " +
               repair_call(installation, plan.revision) + ");";
    if (!can_migrate(structure, first - 1, first))
        return "Migration " + std::string(chain::name(first)) +
               " cannot run as the schema is. To see its differences from " +
               std::string(chain::name(first - 1)) + ": " + check_call(installation, first - 1);
    return "If no process with older code runs:\n" +
           calls_to_run(installation, left_to, plan.revision, state);
}

} // namespace

void warn_if_left(const Installation &installation, const InstallationState &state,
                  std::span<const catalog::CatalogObject> structure,
                  std::span<const Difference> differences, const RepairPlan &plan)
{
    std::set<Revision> left_to;
    common::Findings findings;
    for (const Difference &one : differences)
        if (one.left_to != chain::base)
        {
            left_to.insert(one.left_to);
            findings.add(common::capitalized(catalog::in_words(one)));
        }
    if (left_to.empty())
        return;
    std::string migrations;
    for (const Revision migration : left_to)
        migrations.append(migrations.empty() ? "" : " and ").append(chain::name(migration));
    server::warning(
        "some differences of " + catalog::in_schema(installation) + " can be removed only by " +
            (left_to.size() == 1 ? "migration " : "migrations ") + migrations,
        findings.text() + "\nCode of a release before " + (left_to.size() == 1 ? "it" : "them") +
            " may still run: objects are there that " +
            (left_to.size() == 1 ? "the migration drops or replaces."
                                 : "the migrations drop or replace."),
        advice_for_left(installation, state, structure, left_to, plan));
}

void warn_if_without_repair(const Installation &installation,
                            std::span<const Difference> differences, const RepairPlan &plan)
{
    common::Findings findings;
    for (const Difference &one : differences)
    {
        const bool is_repaired =
            std::any_of(plan.repairs.begin(), plan.repairs.end(), [&one](const Repair &repair) {
                return repair.difference.kind == one.kind && repair.difference.object == one.object;
            });
        if (one.severity == catalog::Severity::error && one.is_of_revision &&
            one.left_to == chain::base && !is_repaired)
            findings.add(common::capitalized(catalog::in_words(one)));
    }
    if (findings.any())
        server::warning("some differences of " + catalog::in_schema(installation) +
                            " have no repair",
                        findings.text(), "To see them: " + check_call(installation, plan.revision));
}

void notice_how_to_run(const Installation &installation, std::string_view target,
                       const RepairPlan &plan)
{
    if (plan.repairs.empty() || plan.revision == chain::base)
        return;
    server::notice("to run these statements: " +
                   repair_call(installation,
                               target == "current" ? std::nullopt : std::optional(plan.revision)) +
                   ", dry_run => false);");
}

} // namespace procrastinate::upgrade
