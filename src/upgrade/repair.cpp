// Repair of an installation: the statements that remove differences from its revision, in an order
// in which they can run.
#include "catalog/grants.hpp"
#include "catalog/repair_statements.hpp"

#include "catalog/structure.hpp"
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

struct RepairPlan
{
    Revision revision;
    std::vector<Repair> repairs;
};

RepairPlan plan_repair(const Installation &installation, const InstallationState &state)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    if (state.is_unknown_history())
        throw unknown_history(state, installation);
    // Without any of Procrastinate's objects there is nothing to repair.
    const Revision revision = recorded_or_nearest(installation, state, server::span_of(structure))
                                  .revision.value_or(chain::base);
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

std::vector<Repair> repair(const Installation &installation, Run run)
{
    return spi::connected([&] {
        return server::with_search_path(nullptr, [&] {
            if (run == Run::no)
            {
                catalog::require_usage(installation);
                // Its locks end with it.
                return server::undone([&installation] {
                    return plan_repair(installation, read_state(installation)).repairs;
                });
            }
            Change change(installation, "procrastinate_repair()");
            change.enter();
            return change.as_owner([&] {
                const InstallationState state = change.read_state();
                // The same rights are needed whether there is something to repair or not.
                change.prepare(Isolation::read_committed);
                RepairPlan plan = plan_repair(installation, state);
                if (!plan.repairs.empty())
                    run_repairs(installation, state, plan);
                return plan.repairs;
            });
        });
    });
}

} // namespace procrastinate::upgrade
