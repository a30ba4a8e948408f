#include "upgrade/completion.hpp"

#include "catalog/drift.hpp"
#include "catalog/repair_statements.hpp"
#include "common/own_function.hpp"
#include "server/pause.hpp"
#include "upgrade/leftovers.hpp"
#include "upgrade/precheck_deferred.hpp"

namespace procrastinate::upgrade
{

using chain::Revision;

namespace
{

using Structure = std::span<const catalog::CatalogObject>;

bool are_names_taken(const catalog::Installation &installation, Structure structure,
                     Revision current, Revision revision)
{
    return !names_taken(installation, structure, current, revision).findings.empty();
}

// Apart from the names.
bool leads_to(Structure structure, const catalog::Comparison &comparison, Revision current,
              Revision revision)
{
    return written_tables(current, revision) == catalog::history_table &&
           catalog::can_repair_all(comparison, revision) &&
           !catalog::nearer_later_revision(structure, revision, server::check_interrupts);
}

bool changes_rows(Revision revision)
{
    return written_tables(revision - 1, revision) != catalog::history_table;
}

std::string changed_rows(Revision revision)
{
    return "\nMigration " + std::string(chain::name(revision)) +
           " changes rows, too, which no repair does.";
}

std::string sql_of(Revision revision)
{
    return " To see its SQL: SELECT " + common::own_function("procrastinate_migration_sql") + "('" +
           std::string(chain::name(revision)) + "');";
}

} // namespace

bool can_complete(const catalog::Installation &installation, Structure structure, Revision current,
                  Revision revision)
{
    return current != chain::base && current < revision &&
           are_names_taken(installation, structure, current, revision) &&
           leads_to(structure, catalog::Comparison(structure), current, revision);
}

std::optional<Revision> revision_to_complete(const catalog::Installation &installation,
                                             Structure structure, Revision current)
{
    if (current == chain::base || !are_names_taken(installation, structure, current, chain::head()))
        return std::nullopt;
    const catalog::Comparison comparison(structure);
    for (Revision revision = current + 1; revision <= chain::head(); ++revision)
    {
        server::check_interrupts();
        if (leads_to(structure, comparison, current, revision) &&
            are_names_taken(installation, structure, current, revision))
            return revision;
    }
    return std::nullopt;
}

std::string advice_on_rows(Revision current, Revision revision)
{
    std::string advice;
    for (Revision one = current + 1; one <= revision; ++one)
        if (changes_rows(one))
            advice += changed_rows(one) + sql_of(one);
    return advice;
}

std::string advice_on_rest(Revision revision)
{
    const std::string name(chain::name(revision));
    return (changes_rows(revision)
                ? changed_rows(revision)
                : "\nIf migration " + name + " was run in part, run the rest of it by hand.") +
           sql_of(revision);
}

} // namespace procrastinate::upgrade
