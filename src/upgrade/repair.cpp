#include "catalog/repair_statements.hpp"

#include "catalog/structure.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/history.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/requirements.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/upgrade.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::Difference;
using catalog::Installation;
using chain::Revision;

// What others need comes first: a trigger calls a function, a foreign key points to a primary key.
int rank_of(const Difference &difference)
{
    constexpr std::array<std::string_view, 6> order{"function",   "column", "sequence",
                                                    "constraint", "index",  "trigger"};
    const auto *const place = std::find(order.begin(), order.end(), difference.kind);
    const bool is_foreign_key =
        difference.kind == "constraint" && difference.fact != nullptr &&
        difference.fact->definition.find(" FOREIGN KEY ") != std::string_view::npos;
    return 2 * static_cast<int>(place - order.begin()) + (is_foreign_key ? 1 : 0);
}

// Owners are not changed on the way: who is to own the installation is a decision.
std::vector<Repair> repair_statements(std::span<const Difference> differences, Revision revision,
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

// That of the history; without one the nearest.
Revision revision_of(const Installation &installation, const State &state,
                     std::span<const catalog::CatalogObject> structure)
{
    if (state.current.revision || state.is_unknown_history())
        return require_known(state, installation);
    const std::vector<catalog::RevisionMatch> matches = catalog::closest_revisions(structure);
    return matches.empty() ? chain::base : matches.front().revision;
}

void mend(const Installation &installation, const State &state, Revision revision,
          std::span<const Repair> repairs)
{
    const TimestampTz started = server::call([] { return GetCurrentTimestamp(); });
    lock_tables(installation, Tables::history_and_jobs);
    set_script_settings();
    for (const Repair &repair : repairs)
        server::with_context("repair of " + std::string(repair.difference.kind) + " " +
                                 repair.difference.object,
                             [&] { spi::execute(repair.statement.c_str()); });
    // To replace a function that somebody has made meanwhile leaves it his.
    require_no_foreign_objects(installation);
    if (state.has_history)
        append(installation, event::repair, revision, revision, started);
}

} // namespace

std::vector<Repair> repair(const Installation &installation, Run run)
{
    return spi::connected([&] {
        return server::with_search_path(nullptr, [&] {
            if (run == Run::yes)
            {
                require_changeable("procrastinate_repair()");
                require_sight(installation);
                lock(installation);
                lock_schema_name(installation);
            }
            else
                catalog::require_usage(installation);
            server::ContextResource memory;
            const State state = read_state(installation);
            const auto structure = catalog::structure(installation, memory);
            const Revision revision = revision_of(installation, state, server::span_of(structure));
            std::vector<Repair> repairs =
                repair_statements(catalog::Comparison(server::span_of(structure)).with(revision),
                                  revision, installation);
            if (run == Run::no || repairs.empty())
                return repairs;
            require_finished(state, installation);
            require_current_rows(true);
            require_privileges(installation);
            mend(installation, state, revision, repairs);
            return repairs;
        });
    });
}

} // namespace procrastinate::upgrade
