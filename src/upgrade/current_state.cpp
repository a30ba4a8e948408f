#include "upgrade/current_state.hpp"

#include "catalog/drift.hpp"
#include "catalog/revision_evidence.hpp"
#include "catalog/structure.hpp"
#include "server/function_bodies.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/catalog_at_once.hpp"
#include "upgrade/jobs_table.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::Installation;
using chain::Revision;

// True if the functions of the schema rule out each other revision. Then a comparison of the whole
// catalog could not name one either: that takes tens of milliseconds, and this less than one.
bool is_no_other(Revision recorded, const Installation &installation)
{
    return catalog::rules_out_others(recorded, [&installation](std::string_view name) {
        const std::string text(name);
        const server::NamedFunctions found =
            server::functions_named(installation.schema, text.c_str());
        if (found.are_too_many())
            return catalog::Bodies();
        std::vector<std::string> bodies;
        for (std::size_t i = 0; i < found.count; ++i)
            bodies.emplace_back(found.body_md5[i].data());
        return catalog::Bodies(std::move(bodies));
    });
}

// As contradicting_revision(). Keeps no lock. Throws Refusal PM010 if there are too many objects.
std::optional<Revision> compare(const InstallationState &state, const Installation &installation)
{
    return server::undone([&] {
        server::ContextResource memory;
        const auto structure = catalog::structure(installation, memory);
        return contradicting_revision(state, server::span_of(structure));
    });
}

// Fills the current revision.
void ask_catalog(InstallationState &state, const Installation &installation,
                 WhileLocked while_locked)
{
    if (state.recorded_revision && is_no_other(*state.recorded_revision, installation))
        return;
    const auto compared = [&] { return compare(state, installation); };
    std::optional<Revision> revision;
    try
    {
        revision = while_locked == WhileLocked::waits
                       ? compared()
                       : with_catalog_at_once(installation, std::optional<Revision>(), compared);
    }
    catch (const common::Refusal &refusal)
    {
        if (while_locked == WhileLocked::waits)
            throw;
        state.unreadable = refusal;
    }
    if (revision)
        go_by_catalog(state, installation, *revision);
}

// Any role that may create objects in the schema could complete a revision with its own.
bool has_other_owners(const std::vector<catalog::Difference> &differences)
{
    return std::any_of(differences.begin(), differences.end(), [](const auto &one) {
        return one.problem == catalog::Problem::other_owner;
    });
}

} // namespace

std::optional<Revision> contradicting_revision(const InstallationState &state,
                                               std::span<const catalog::CatalogObject> structure)
{
    if (state.under_way || state.is_unknown_history() || state.is_foreign_step())
        return std::nullopt;
    const std::optional<Revision> recorded = state.recorded_revision;
    const catalog::Comparison comparison(structure);
    if (recorded && match_of(*recorded, comparison.with(*recorded)).is_exact())
        return std::nullopt;
    const std::optional<catalog::RevisionMatch> nearest =
        catalog::nearest_revision(structure, server::check_interrupts);
    if (!nearest || !nearest->is_exact() || has_other_owners(comparison.with(nearest->revision)))
        return std::nullopt;
    return nearest->revision;
}

void go_by_catalog(InstallationState &state, const Installation &installation, Revision by_catalog)
{
    if (is_recorded_still(installation, state))
        state.go_by_catalog(by_catalog);
    else
        state = read_state(installation);
}

InstallationState read_current_state(const Installation &installation, WhileLocked while_locked)
{
    return compare_with_catalog(read_state(installation), installation, while_locked);
}

InstallationState read_compared_state(const Installation &installation)
{
    InstallationState state = read_current_state(installation);
    if (state.unreadable)
        throw common::Refusal(*state.unreadable);
    return state;
}

InstallationState compare_with_catalog(InstallationState state, const Installation &installation,
                                       WhileLocked while_locked)
{
    if (state.under_way || state.is_unknown_history())
        return state;
    const JobsTable jobs = jobs_table_of(installation);
    if (jobs == JobsTable::table)
        ask_catalog(state, installation, while_locked);
    else if (jobs == JobsTable::other_relation)
        state.current = {std::nullopt, why_no_jobs_table(installation),
                         common::sqlstate::catalog_contradicts};
    else if (state.last && state.current.revision != chain::base)
        state.current = {std::nullopt, "there is a history, but no table procrastinate_jobs",
                         common::sqlstate::catalog_contradicts};
    return state;
}

std::string by_catalog_text(const InstallationState &state, const Installation &installation,
                            Revision by_catalog)
{
    const std::string history = state.last ? "the history of " + catalog::in_schema(installation) +
                                                 " says " + state.recorded + ", but"
                                           : has_no_history(state, installation) + ";";
    return history + " its catalog is that of " + std::string(chain::name(by_catalog));
}

void notice_if_by_catalog(const InstallationState &state, const Installation &installation)
{
    if (state.is_by_catalog)
        server::notice(by_catalog_text(state, installation, *state.current.revision));
}

} // namespace procrastinate::upgrade
