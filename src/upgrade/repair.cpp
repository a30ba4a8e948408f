// Repair of an installation: the statements that remove differences from its revision, in an order
// in which they can run.
#include "catalog/grants.hpp"
#include "catalog/repair_statements.hpp"

#include "catalog/base_drops.hpp"
#include "catalog/structure.hpp"
#include "chain/target.hpp"
#include "common/own_function.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/change.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/precheck_deferred.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/upgrade.hpp"

#include <limits>

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::Difference;
using catalog::Installation;
using chain::Revision;

// Objects that others need come first: a trigger calls a function, a foreign key references a
// primary key. Grants come last.
int rank_of(const Difference &difference)
{
    using chain::Kind;
    if (difference.problem == catalog::Problem::lacking_grant)
        return std::numeric_limits<int>::max();
    constexpr std::array<Kind, 6> order{Kind::function,   Kind::column, Kind::sequence,
                                        Kind::constraint, Kind::index,  Kind::trigger};
    const auto *const place = std::find(order.begin(), order.end(), difference.kind);
    const bool is_foreign_key =
        difference.fact != nullptr &&
        difference.fact->constraint_type == chain::ConstraintType::foreign_key;
    return 2 * static_cast<int>(place - order.begin()) + (is_foreign_key ? 1 : 0);
}

// Changes of an owner are left out: which role shall own the installation is the user's decision.
std::vector<Repair> repairs_of(std::span<const Difference> differences, Revision revision,
                               const Installation &installation)
{
    const std::vector<std::string> statements =
        catalog::repair_statements(differences, revision, installation.quoted);
    std::vector<Repair> repairs;
    for (std::size_t i = 0; i < statements.size(); ++i)
        if (differences[i].problem != catalog::Problem::other_owner && !statements[i].empty())
            repairs.push_back({differences[i], statements[i]});
    std::stable_sort(repairs.begin(), repairs.end(), [](const Repair &left, const Repair &right) {
        return rank_of(left.difference) < rank_of(right.difference);
    });
    return repairs;
}

// A table of the extension's own, by its difference from base.
Repair drop_of_own(const char *table, const Installation &installation)
{
    return {{catalog::Problem::extra,
             catalog::Severity::info,
             chain::Kind::table,
             table,
             {},
             table,
             nullptr,
             nullptr,
             true},
            "DROP TABLE " + installation.quoted + "." + table + ";"};
}

[[noreturn]] void refuse_to_drop(const Installation &installation, const std::vector<Repair> &drops)
{
    std::string statements;
    for (const Repair &drop : drops)
        if (!drop.statement.empty())
            statements += "\n" + drop.statement;
    throw common::Refusal{common::sqlstate::feature_not_supported,
                          "procrastinate_repair() does not drop the objects of " +
                              catalog::in_schema(installation),
                          "All jobs would be lost.", "To drop them yourself:" + statements};
}

struct RepairPlan
{
    Revision revision;
    std::vector<Repair> repairs;
};

RepairPlan plan_repair(const Installation &installation, const InstallationState &state,
                       std::string_view target)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    if (state.is_unknown_history())
        throw unknown_history(state, installation);
    const chain::CurrentRevision current =
        recorded_or_nearest(installation, state, server::span_of(structure));
    const Revision here = current.revision.value_or(chain::base);
    const Revision revision = target == "current" ? here : chain::resolve_target(target, current);
    if (revision == chain::base && structure.empty() && target == "current")
        return {revision, {}};
    if (revision == chain::base)
        return {revision, drops_to_base(installation, server::span_of(structure))};
    if (revision != here)
        throw common::Refusal{common::sqlstate::feature_not_supported,
                              "procrastinate_repair() does not change the revision",
                              catalog::in_schema(installation) + " is at " +
                                  std::string(chain::name(here)) + ", not at " +
                                  std::string(chain::name(revision)) + ".",
                              "To upgrade: CALL " + common::own_function("procrastinate_migrate") +
                                  "('" + std::string(chain::name(revision)) + "', schema => " +
                                  installation.quoted_text + ");"};
    std::vector<Difference> differences =
        catalog::Comparison(server::span_of(structure)).with(revision);
    catalog::add_lacking_grants(differences, installation, server::span_of(structure), revision);
    return {revision, repairs_of(differences, revision, installation)};
}

void run_repairs(const Installation &installation, const InstallationState &state,
                 const RepairPlan &plan)
{
    const TimestampTz started = server::now();
    require_no_deferred_triggers(installation, catalog::history_table);
    lock_tables(installation, Tables::history_and_jobs);
    set_script_settings();
    const CopiedGrants grants(installation, Copied::grants);
    for (const Repair &repair : plan.repairs)
        server::with_context("repair of " + std::string(chain::kind_name(repair.difference.kind)) +
                                 " " + repair.difference.object,
                             [&] { spi::execute(repair.statement.c_str()); });
    grants.copy();
    // CREATE OR REPLACE keeps the owner of a function that another session created meanwhile.
    require_no_foreign_objects(installation);
    if (state.last)
        record_change(installation, event::repair, *state.recorded_revision, plan.revision,
                      started);
}

} // namespace

std::vector<Repair> drops_to_base(const Installation &installation,
                                  std::span<const catalog::CatalogObject> structure)
{
    std::vector<Repair> drops;
    for (catalog::Drop &drop : catalog::base_drops(structure, installation.quoted))
        drops.push_back({std::move(drop.difference), std::move(drop.statement)});
    for (const char *const table : {catalog::fetch_barrier_table, catalog::history_table})
        if (catalog::has_relation(installation, table))
            drops.push_back(drop_of_own(table, installation));
    return drops;
}

std::vector<Repair> repair(const Installation &installation, Run run, std::string_view target)
{
    return spi::connected([&] {
        return server::with_search_path(nullptr, [&] {
            if (run == Run::no)
            {
                catalog::require_usage(installation);
                // Its locks end with it.
                return server::undone([&installation, target] {
                    return plan_repair(installation, read_state(installation), target).repairs;
                });
            }
            Change change(installation, "procrastinate_repair()");
            change.enter();
            return change.as_owner([&] {
                const InstallationState state = change.read_state();
                // The same rights are needed whether there is something to repair or not.
                change.prepare(Isolation::read_committed);
                RepairPlan plan = plan_repair(installation, state, target);
                if (plan.revision == chain::base && !plan.repairs.empty())
                    refuse_to_drop(installation, plan.repairs);
                if (!plan.repairs.empty())
                    run_repairs(installation, state, plan);
                return plan.repairs;
            });
        });
    });
}

} // namespace procrastinate::upgrade
