#include "upgrade/requirements.hpp"

#include "catalog/extension.hpp"
#include "catalog/named_objects.hpp"
#include "catalog/structure.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "upgrade/history_sql.hpp"
#include "upgrade/precheck.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/settings.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::in_schema;
using common::Findings;
using common::Refusal;
namespace sqlstate = common::sqlstate;

constexpr int most_obstacles = 50;

std::vector<std::string> names_taken(const catalog::Installation &installation,
                                     chain::Revision current, chain::Revision target)
{
    server::ContextResource memory;
    const auto named_objects = catalog::named_objects(installation, memory);
    std::vector<std::string> taken;
    for (const catalog::NamedObject &object :
         catalog::name_conflicts(server::span_of(named_objects), current, target, memory))
        taken.push_back("There is " + std::string(object.kind) + " " + std::string(object.name));
    return taken;
}

void require_nothing(const catalog::Installation &installation,
                     const std::vector<std::string> &taken, bool has_history)
{
    if (taken.empty())
        return;
    Findings findings;
    findings.add(taken);
    throw Refusal{sqlstate::no_history,
                  in_schema(installation) + " holds Procrastinate's objects, but " +
                      (has_history ? "its history says base" : "no history of them"),
                  findings.text(),
                  "If they are Procrastinate's: SELECT procrastinate_adopt(" +
                      std::string(installation.quoted_text) + ");\nIf not, rename or drop them."};
}

std::string hint_for(const catalog::Installation &installation, const PrecheckResult &problems,
                     std::optional<chain::Revision> match, bool are_names_taken)
{
    const std::string schema(installation.quoted_text);
    std::string hint;
    const auto add = [&hint](const std::string &line) {
        hint.append(hint.empty() ? "" : "\n").append(line);
    };
    if (match)
        add("By what it holds it is at " + std::string(chain::name(*match)) +
            ", not where its history says: SELECT procrastinate_adopt(" + schema + ");");
    else if (!problems.drift.empty())
        add("To see the differences: SELECT * FROM procrastinate_check(schema => " + schema +
            ");\nTo mend them: SELECT * FROM procrastinate_repair(" + schema +
            ", dry_run => false);");
    if (are_names_taken)
        add("Rename or drop what is in the way, or move it to another schema.");
    if (!problems.dependents.empty())
        add("Drop what uses something that goes, and create it again afterwards if it still can "
            "be.");
    if (!problems.rows.empty())
        add("Change or delete the rows that cannot stay as they are.");
    if (!are_names_taken)
        add("To try it all the same: SET procrastinate_migrate.verify = 'warn';");
    return hint;
}

// Everything at once, as an error or a warning.
void require_way(const catalog::Installation &installation, chain::Revision current,
                 chain::Revision target)
{
    const std::vector<std::string> taken = names_taken(installation, current, target);
    const VerifyLevel level = verify_level();
    PrecheckResult problems;
    std::optional<chain::Revision> match; // another revision than `current`
    if (level != VerifyLevel::off)
    {
        server::ContextResource memory;
        const auto structure = catalog::structure(installation, memory);
        // Its tables are locked now: what was put in their place before shows, and nothing more is.
        require_no_foreign_objects(installation);
        problems = run_precheck(installation, server::span_of(structure), current, target);
        if (!problems.drift.empty())
            match = catalog::exact_match(server::span_of(structure));
    }
    Findings findings(most_obstacles);
    findings.add(problems.drift);
    findings.add(taken);
    findings.add(problems.dependents);
    findings.add(problems.rows);
    if (level != VerifyLevel::error)
        findings.add(problems.doubts);
    if (!taken.empty() || (problems.any() && level == VerifyLevel::error))
        throw Refusal{sqlstate::catalog_contradicts,
                      in_schema(installation) + " is not ready for the migrations up to " +
                          std::string(chain::name(target)),
                      findings.text(), hint_for(installation, problems, match, !taken.empty())};
    Findings doubts(most_obstacles);
    doubts.add(problems.doubts);
    const Findings &told = level == VerifyLevel::error ? doubts : findings;
    if (told.any())
        server::warning(in_schema(installation) + " differs from " +
                            std::string(chain::name(current)) + " or may not reach " +
                            std::string(chain::name(target)),
                        told.text(),
                        "To see the differences: SELECT * FROM procrastinate_check(schema => " +
                            std::string(installation.quoted_text) + ");");
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
        require_privileges(installation);
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
    require_privileges(installation);
    require_syncable(target);
    if (current == chain::base)
        require_nothing(installation, names_taken(installation, current, target), has_history);
    else
        require_way(installation, current, target);
}

void require_same(const catalog::Installation &installation, chain::Revision revision)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const Findings findings =
        findings_of(catalog::Comparison(server::span_of(structure)).with(revision));
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

} // namespace procrastinate::upgrade
