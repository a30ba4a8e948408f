// Repair of an installation: the statements that remove differences from its revision, in an order
// in which they can run, each in a subtransaction.
#include "catalog/grants.hpp"
#include "catalog/repair_statements.hpp"
#include "catalog/structure.hpp"
#include "chain/target.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/change.hpp"
#include "upgrade/completion.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/drops_to_base.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/leftovers.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/precheck_deferred.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/repair_notices.hpp"
#include "upgrade/require.hpp"
#include "upgrade/row_security.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/unknown_objects.hpp"
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

// Objects that others need come first: a table has columns of an enum type, a trigger calls a
// function, a foreign key references a primary key. Before all, objects get their names back,
// and grants come last.
int rank_of(const Difference &difference)
{
    using chain::Kind;
    constexpr std::array<Kind, 9> order{Kind::enum_type,  Kind::composite, Kind::table,
                                        Kind::function,   Kind::column,    Kind::sequence,
                                        Kind::constraint, Kind::index,     Kind::trigger};
    if (difference.problem == catalog::Problem::renamed)
        return -1;
    if (difference.problem == catalog::Problem::lacking_grant)
        return std::numeric_limits<int>::max();
    const auto *const place = std::find(order.begin(), order.end(), difference.kind);
    const bool is_foreign_key =
        difference.fact != nullptr &&
        difference.fact->constraint_type == chain::ConstraintType::foreign_key;
    return 2 * static_cast<int>(place - order.begin()) + (is_foreign_key ? 1 : 0);
}

std::vector<Repair> repairs_of(std::span<const Difference> differences, Revision revision,
                               const Installation &installation)
{
    const std::vector<std::string> statements =
        catalog::repair_statements(differences, revision, installation.quoted);
    std::vector<Repair> repairs;
    for (std::size_t i = 0; i < statements.size(); ++i)
        if (catalog::is_run(differences[i], statements[i]))
            repairs.push_back({differences[i], statements[i], {}});
    std::stable_sort(repairs.begin(), repairs.end(), [](const Repair &left, const Repair &right) {
        return rank_of(left.difference) < rank_of(right.difference);
    });
    return repairs;
}

[[noreturn]] void refuse_equally_near(const Installation &installation,
                                      const InstallationState &state,
                                      std::span<const catalog::CatalogObject> structure,
                                      std::span<const catalog::RevisionMatch> nearest, Run run)
{
    std::string hint = advice_for_later_objects(installation, structure, nearest.front().revision);
    if (hint.empty())
        for (const catalog::RevisionMatch &match : nearest)
            hint.append(hint.empty() ? "" : "\n")
                .append("To repair it to " + std::string(chain::name(match.revision)) + ": " +
                        repair_call(installation, match.revision))
                .append(run == Run::yes ? ", dry_run => false);" : ");");
    throw common::Refusal{
        common::sqlstate::catalog_contradicts,
        has_no_history(state, installation) + ", and is equally near to " + names_of(nearest),
        "Differences from each: " + std::to_string(nearest.front().differences()) + ".", hint};
}

// A repair would put the objects of the recorded revision in the place of later ones.
void require_not_moved_on(const Installation &installation,
                          std::span<const catalog::CatalogObject> structure, Revision recorded)
{
    const auto nearer =
        catalog::nearer_later_revision(structure, recorded, server::check_interrupts);
    if (!nearer)
        return;
    const std::string revision(chain::name(recorded));
    throw common::Refusal{common::sqlstate::catalog_contradicts,
                          "the catalog of " + catalog::in_schema(installation) + " is nearer to " +
                              std::string(chain::name(nearer->revision)) + " than to " + revision,
                          "Its history says " + revision +
                              ". A repair would replace objects of the later revision.",
                          advice_for_moved_on(installation, structure, recorded)};
}

std::vector<Difference> differences_from(const Installation &installation,
                                         std::span<const catalog::CatalogObject> structure,
                                         Revision revision)
{
    std::vector<Difference> differences = catalog::Comparison(structure).with(revision);
    catalog::add_lacking_grants(differences, installation, structure, revision);
    return differences;
}

// A repair leads to the current revision, or to a later one that it can complete.
void require_reachable(const Installation &installation, const InstallationState &state,
                       std::span<const catalog::CatalogObject> structure,
                       const chain::CurrentRevision &current, Revision revision)
{
    if (!current.revision || *current.revision == revision)
        return;
    if (*current.revision == chain::base)
        throw nothing_installed(installation);
    if (!state.under_way && can_complete(installation, structure, *current.revision, revision))
        return;
    const std::string now(chain::name(*current.revision));
    const std::string wanted(chain::name(revision));
    const auto nearer =
        catalog::nearer_later_revision(structure, *current.revision, server::check_interrupts);
    std::string hint;
    if (nearer && nearer->revision == revision)
        hint = advice_for_moved_on(installation, structure, *current.revision) + "\n";
    else if (catalog::can_repair(differences_from(installation, structure, *current.revision),
                                 *current.revision))
        hint = "To repair it as it is: " + repair_call(installation, *current.revision) + ");\n";
    else if (revision > *current.revision &&
             names_taken(installation, structure, *current.revision, revision).findings.empty())
        hint = "To upgrade it: CALL " + common::own_function("procrastinate_migrate") + "('" +
               wanted + "', schema => " + installation.quoted_text + ");\n";
    throw common::Refusal{common::sqlstate::catalog_contradicts,
                          catalog::in_schema(installation) + " is at " + now + ", not at " + wanted,
                          "A repair leads to no other revision: that is what migrations are for.",
                          hint.find(check_call(installation, revision)) == std::string::npos
                              ? hint +
                                    "To see the differences: " + check_call(installation, revision)
                              : hint.substr(0, hint.size() - 1)};
}

// The revision to which the schema is repaired.
Revision revision_of(const Installation &installation, const InstallationState &state,
                     std::span<const catalog::CatalogObject> structure, std::string_view target,
                     Run run)
{
    const chain::CurrentRevision current = recorded_or_exact(installation, state, structure);
    if (target != "current")
    {
        const Revision revision = chain::resolve_target(target, current);
        if (revision != chain::base)
            require_reachable(installation, state, structure, current, revision);
        return revision;
    }
    if (current.revision)
    {
        require_not_moved_on(installation, structure, *current.revision);
        return *current.revision;
    }
    const std::vector<catalog::RevisionMatch> nearest =
        catalog::nearest_revisions(structure, server::check_interrupts);
    // Without any of Procrastinate's objects there is nothing to repair.
    if (nearest.empty())
        return chain::base;
    if (nearest.size() > 1)
        refuse_equally_near(installation, state, structure, nearest, run);
    notice_nearest(installation, state, nearest);
    return nearest.front().revision;
}

RepairPlan plan_repair(const Installation &installation, const InstallationState &state,
                       std::string_view target, Run run)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    if (state.is_unknown_history())
        throw unknown_history(state, installation);
    require_no_other_relation(installation);
    require_not_partitioned(installation);
    require_not_moved(installation);
    const auto objects = server::span_of(structure);
    const Revision revision = revision_of(installation, state, objects, target, run);
    if (catalog::is_empty(objects))
        notice_no_objects(installation);
    if (revision == chain::base)
        return {revision,
                target == "current" ? std::vector<Repair>() : drops_to_base(installation, objects)};
    if (run == Run::yes)
        require_no_unknown_objects(installation, objects);
    const std::vector<Difference> differences = differences_from(installation, objects, revision);
    RepairPlan plan{revision, repairs_of(differences, revision, installation)};
    warn_if_left(installation, state, objects, differences, plan);
    warn_if_without_repair(installation, differences, plan);
    return plan;
}

// True for an error that is not the statement's own: a cancel, a timeout, a lock that was not to be
// had, the end of memory or of disk space, an error within the server.
bool ends_the_call(const server::ServerError &error)
{
    const int category = ERRCODE_TO_CATEGORY(error.data()->sqlerrcode);
    return server::is_of_lock(error) || category == ERRCODE_OPERATOR_INTERVENTION ||
           category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR ||
           category == ERRCODE_INTERNAL_ERROR;
}

std::string text_of(const char *text) { return text == nullptr ? std::string() : text; }

// The error, or nothing.
std::string run_repair(const Repair &repair)
{
    const std::string name =
        std::string(chain::kind_name(repair.difference.kind)) + " " + repair.difference.object;
    try
    {
        server::in_subtransaction([&] {
            server::with_context("repair of " + name,
                                 [&] { spi::execute(repair.statement.c_str()); });
        });
        return {};
    }
    catch (const server::ServerError &error)
    {
        if (ends_the_call(error))
            throw;
        std::string message = text_of(error.data()->message);
        const std::string detail = text_of(error.data()->detail);
        server::warning("repair of " + name + " failed: " + message, detail,
                        text_of(error.data()->hint));
        return message;
    }
}

void run_repairs(const Installation &installation, const InstallationState &state, RepairPlan &plan)
{
    const TimestampTz started = server::now();
    require_no_deferred_triggers(installation, catalog::history_table);
    lock_tables(installation, Tables::history_and_jobs);
    set_script_settings();
    const CopiedGrants grants(installation, Copied::grants);
    bool is_changed = false;
    bool is_complete = true;
    for (Repair &repair : plan.repairs)
    {
        repair.error = run_repair(repair);
        is_changed = is_changed || repair.error.empty();
        is_complete = is_complete && repair.error.empty();
        // It may have failed for the object of a session that has committed meanwhile. The next
        // statements would use that object, and run its code.
        if (!repair.error.empty())
            require_no_foreign_objects(installation);
    }
    grants.copy();
    // CREATE OR REPLACE keeps the owner of a function that another session created meanwhile.
    require_no_foreign_objects(installation);
    if (state.last && is_changed)
        record_change(installation, event::repair, *state.recorded_revision,
                      is_complete ? plan.revision : *state.recorded_revision, started);
}

} // namespace

std::vector<Repair> repair(const Installation &installation, std::string_view target, Run run)
{
    return spi::connected([&] {
        return server::with_search_path(nullptr, [&] {
            if (run == Run::no)
            {
                catalog::require_usage(installation);
                // Its locks end with it.
                return server::undone([&] {
                    RepairPlan plan =
                        plan_repair(installation, read_state(installation), target, run);
                    notice_how_to_run(installation, target, plan);
                    return std::move(plan.repairs);
                });
            }
            Change change(installation, "procrastinate_repair()");
            change.enter();
            return change.as_owner([&] {
                const InstallationState state = change.read_state();
                // The same rights are needed whether there is something to repair or not.
                change.prepare(Isolation::read_committed);
                require_no_forced_policies(installation);
                RepairPlan plan = plan_repair(installation, state, target, run);
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
