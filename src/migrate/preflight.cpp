#include "migrate/preflight.hpp"

#include "catalog/contents.hpp"
#include "catalog/extension.hpp"
#include "catalog/structure.hpp"
#include "chain/refusal.hpp"
#include "migrate/history_sql.hpp"
#include "migrate/rights.hpp"

namespace procrastinate::migrate
{

namespace
{

using chain::Refusal;
namespace sqlstate = chain::sqlstate;

std::string in_schema(const catalog::Installation &installation)
{
    return "schema \"" + std::string(installation.name) + "\"";
}

void require_free_names(const catalog::Installation &installation,
                        std::span<const catalog::Object> taken, chain::Revision current,
                        bool has_history)
{
    Findings findings;
    for (const catalog::Object &object : taken)
        findings.add("There is " + std::string(object.kind) + " " + std::string(object.name));
    if (!findings.any())
        return;
    if (current != chain::base)
        throw Refusal{sqlstate::catalog_contradicts,
                      in_schema(installation) +
                          " holds objects in the way of the migrations to come",
                      findings.text(), "Rename or drop them, or move them to another schema."};
    throw Refusal{sqlstate::no_history,
                  in_schema(installation) + " holds Procrastinate's objects, but " +
                      (has_history ? "its history says base" : "no history of them"),
                  findings.text(),
                  "If they are Procrastinate's: SELECT procrastinate_adopt(" +
                      std::string(installation.quoted_text) + ");\nIf not, rename or drop them."};
}

} // namespace

void require_changeable(const char *command)
{
    server::call([command] { PreventCommandIfReadOnly(command); });
    const std::string installed = catalog::installed_version();
    if (installed == library_version)
        return;
    throw Refusal{sqlstate::version_mismatch,
                  "library procrastinate_migrate is version " + std::string(library_version) +
                      ", but the extension in this database is " +
                      (installed.empty() ? "not installed" : "version " + installed),
                  "Nothing is changed while the two differ.",
                  "If the extension was updated just now, start a new session; else run "
                  "ALTER EXTENSION procrastinate_migrate UPDATE;"};
}

void require_sight(const catalog::Installation &installation)
{
    if (!catalog::may_use(installation))
        require_rights(installation);
}

void require_tables(const catalog::Installation &installation, chain::Revision current)
{
    const Oid schema = installation.schema;
    const bool is_there = server::call([schema] {
        const Oid jobs = get_relname_relid("procrastinate_jobs", schema);
        return OidIsValid(jobs) && get_rel_relkind(jobs) == RELKIND_RELATION;
    });
    if (current == chain::base || is_there)
        return;
    throw Refusal{sqlstate::catalog_contradicts,
                  in_schema(installation) +
                      " has no table procrastinate_jobs, but its history says " +
                      std::string(chain::name(current)),
                  "Procrastinate's objects were dropped or moved, and the history was left.",
                  "To start over, drop the history: DROP TABLE " +
                      std::string(installation.quoted) + "." + catalog::history_table + ";"};
}

void require_fit(const catalog::Installation &installation, chain::Revision current,
                 chain::Revision target, bool has_history)
{
    server::ContextResource memory;
    const server::pmr::vector<catalog::Object> contents = catalog::contents(installation, memory);
    require_rights(installation);
    require_free_names(
        installation,
        server::span_of(catalog::in_the_way(server::span_of(contents), current, target, memory)),
        current, has_history);
}

void require_same(const catalog::Installation &installation, chain::Revision revision)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    Findings findings;
    for (const catalog::Difference &one :
         catalog::Comparison(server::span_of(structure)).with(revision))
        if (one.is_of_revision)
            findings.add(capitalized(catalog::in_words(one)));
    if (!findings.any())
        return;
    const std::string wanted(chain::name(revision));
    const std::string schema = ", schema => " + std::string(installation.quoted_text) + ");";
    throw Refusal{sqlstate::catalog_contradicts, in_schema(installation) + " is not at " + wanted,
                  findings.text(),
                  "To see all differences: SELECT * FROM procrastinate_check('" + wanted + "'" +
                      schema + "\nTo record it all the same: SELECT procrastinate_stamp('" +
                      wanted + "', verify => false" + schema};
}

void require_current_rows(bool has_rows)
{
    if (!has_rows || !IsolationUsesXactSnapshot())
        return;
    throw Refusal{
        sqlstate::active_transaction,
        "a migration cannot run at isolation level repeatable read or serializable",
        "It would not see the jobs that others wrote since the transaction began, and "
        "leave them as they are.",
        "SET default_transaction_isolation TO 'read committed';\nOr, for one transaction: "
        "BEGIN ISOLATION LEVEL READ COMMITTED;"};
}

} // namespace procrastinate::migrate
