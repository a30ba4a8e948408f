#include "upgrade/jobs_table.hpp"

#include "chain/facts.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/spi.hpp"
#include "sql/home_of_jobs.hpp"
#include "sql/moved_jobs.hpp"
#include "sql/moved_tables.hpp"
#include "sql/tables_without_history.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::in_schema;
using catalog::Installation;
using common::Refusal;
namespace spi = server::spi;
namespace sqlstate = common::sqlstate;

constexpr std::string_view jobs = "procrastinate_jobs";

// Zero if the schema has no such relation.
char kind_of(const Installation &installation, const std::string &name)
{
    const Oid schema = installation.schema;
    return server::call([schema, &name] {
        const Oid relation = get_relname_relid(name.c_str(), schema);
        return OidIsValid(relation) ? get_rel_relkind(relation) : '\0';
    });
}

char kind_of_jobs(const Installation &installation)
{
    return kind_of(installation, std::string(jobs));
}

bool is_table(char kind) { return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE; }

// Kinds of relations that can have the name of the jobs table.
struct RelationKind
{
    char kind;
    std::string_view clause;
    std::string_view command; // ALTER
};

constexpr RelationKind other_kinds[] = {
    {RELKIND_VIEW, "procrastinate_jobs is a view", "VIEW"},
    {RELKIND_MATVIEW, "procrastinate_jobs is a materialized view", "MATERIALIZED VIEW"},
    {RELKIND_FOREIGN_TABLE, "procrastinate_jobs is a foreign table", "FOREIGN TABLE"},
    {RELKIND_SEQUENCE, "procrastinate_jobs is a sequence", "SEQUENCE"},
    {RELKIND_COMPOSITE_TYPE, "procrastinate_jobs is a type", "TYPE"},
    {'\0', "procrastinate_jobs is an index", "INDEX"}};

const RelationKind &other_kind(char kind)
{
    return *std::find_if(std::begin(other_kinds), std::end(other_kinds) - 1,
                         [kind](const RelationKind &one) { return one.kind == kind; });
}

struct Moved
{
    std::string detail;
    std::string hint;
};

// The statements that put a table back. `schema` and `table`, identifiers, are where it is.
std::string statements_to_move(const Installation &installation, const std::string &name,
                               const std::string &schema, const std::string &table,
                               bool is_elsewhere)
{
    const bool is_renamed = table != name;
    std::string statements;
    if (is_renamed)
        statements = "ALTER TABLE " + schema + "." + table + " RENAME TO " + name + ";";
    if (is_elsewhere)
        statements.append(is_renamed ? "\n" : "")
            .append("ALTER TABLE " + schema + "." + name + " SET SCHEMA " + installation.quoted +
                    ";");
    return statements;
}

// Where the jobs table is, and the statements that put it back.
std::optional<Moved> find_moved_jobs(const Installation &installation)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::moved_jobs, parameters);
    if (rows.count() == 0)
        return std::nullopt;
    const auto text = [&rows](int column) {
        return std::string(rows.text(0, column).value_or(""));
    };
    const std::string schema = text(2);
    const std::string table = text(3);
    return Moved{
        "The jobs table is " + schema + "." + table + " now.",
        statements_to_move(installation, std::string(jobs), schema, table, rows.boolean(0, 4))};
}

std::string has_no_jobs(const Installation &installation)
{
    return in_schema(installation) + " has no table procrastinate_jobs, but ";
}

// Where the tables may be that the history is of, with a line end; empty if that is not clear.
std::string advice_to_move_history(const Installation &installation)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::tables_without_history, parameters);
    if (rows.count() != 1)
        return {};
    const std::string schema(rows.text(0, 1).value_or(""));
    return "If its tables were moved to schema " + schema + ": ALTER TABLE " + installation.quoted +
           "." + catalog::history_table + " SET SCHEMA " + schema + ";\n";
}

constexpr std::array other_tables{"procrastinate_events", "procrastinate_periodic_defers",
                                  "procrastinate_workers"};

std::ptrdiff_t count_of_other_tables(const Installation &installation)
{
    return std::count_if(
        other_tables.begin(), other_tables.end(),
        [&installation](const char *table) { return catalog::has_relation(installation, table); });
}

// Throws a refusal if a table beside the jobs table was renamed or moved.
void require_others_not_moved(const Installation &installation)
{
    // The query takes longer than a look at the names; early revisions do not have all tables.
    if (count_of_other_tables(installation) == std::ssize(other_tables))
        return;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::moved_tables, parameters);
    if (rows.count() == 0)
        return;
    Moved moved;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const auto text = [&rows, row](int column) {
            return std::string(rows.text(row, column).value_or(""));
        };
        const std::string line = row == 0 ? "" : "\n";
        moved.detail += line + "Table " + text(1) + " is " + text(2) + "." + text(3) + " now.";
        moved.hint += line + statements_to_move(installation, text(1), text(2), text(3),
                                                rows.boolean(row, 4));
    }
    throw Refusal{sqlstate::catalog_contradicts,
                  in_schema(installation) + " has no table " + std::string(*rows.text(0, 1)) +
                      ", but other objects of Procrastinate's",
                  moved.detail, moved.hint};
}

// Throws a refusal if the jobs table is all that the schema has, and was moved to it.
void require_not_moved_here(const Installation &installation)
{
    if (catalog::has_relation(installation, catalog::history_table) ||
        count_of_other_tables(installation) > 0)
        return;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::home_of_jobs, parameters);
    if (rows.count() == 0)
        return;
    const std::string home(rows.text(0, 1).value_or(""));
    throw Refusal{
        sqlstate::catalog_contradicts,
        in_schema(installation) + " holds the table procrastinate_jobs of another installation",
        "The other tables are in schema " + home + ".",
        "ALTER TABLE " + installation.quoted + ".procrastinate_jobs SET SCHEMA " + home + ";"};
}

// Throws a refusal if the jobs table is here, but not the others that belong to it.
void require_together(const Installation &installation)
{
    require_not_moved_here(installation);
    require_others_not_moved(installation);
}

} // namespace

JobsTable jobs_table_of(const Installation &installation)
{
    const char kind = kind_of_jobs(installation);
    if (is_table(kind))
        return JobsTable::table;
    return kind == '\0' ? JobsTable::none : JobsTable::other_relation;
}

std::string_view why_no_jobs_table(const Installation &installation)
{
    return other_kind(kind_of_jobs(installation)).clause;
}

void require_no_other_relation(const Installation &installation)
{
    if (jobs_table_of(installation) != JobsTable::other_relation)
        return;
    const RelationKind &kind = other_kind(kind_of_jobs(installation));
    const std::string message = std::string(jobs) + " in " + in_schema(installation) +
                                std::string(kind.clause.substr(jobs.size()));
    const std::string rename = "ALTER " + std::string(kind.command) + " " + installation.quoted +
                               ".procrastinate_jobs RENAME TO other_jobs;";
    const std::string detail = "Migrations need an ordinary table.";
    if (const std::optional<Moved> moved = find_moved_jobs(installation))
        throw Refusal{sqlstate::catalog_contradicts, message, detail + " " + moved->detail,
                      rename + "\n" + moved->hint};
    if (const std::optional<catalog::Elsewhere> other = catalog::elsewhere(installation))
        throw Refusal{sqlstate::catalog_contradicts, message,
                      "Nothing is installed in the schema. " + common::sentence(other->text()),
                      other->hint(rename)};
    throw Refusal{sqlstate::catalog_contradicts, message, detail, rename};
}

bool has_tables(const Installation &installation)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&installation](const chain::Fact &fact) {
        return fact.kind == chain::Kind::table &&
               is_table(kind_of(installation, std::string(fact.name)));
    });
}

void require_not_moved(const Installation &installation)
{
    const char kind = kind_of_jobs(installation);
    if (kind == RELKIND_RELATION)
        return require_together(installation);
    if (kind != '\0')
        return;
    if (const std::optional<Moved> moved = find_moved_jobs(installation))
        throw Refusal{sqlstate::catalog_contradicts,
                      has_no_jobs(installation) + "other objects of Procrastinate's", moved->detail,
                      moved->hint};
}

bool warn_if_moved(const Installation &installation)
{
    try
    {
        require_not_moved(installation);
        return false;
    }
    catch (const Refusal &moved)
    {
        server::warning(moved.message, moved.detail, moved.hint);
        return true;
    }
}

void require_not_partitioned(const Installation &installation)
{
    for (const chain::Fact &fact : chain::facts())
    {
        if (fact.kind != chain::Kind::table)
            continue;
        const char kind = kind_of(installation, std::string(fact.name));
        if (kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_FOREIGN_TABLE)
            continue;
        throw Refusal{sqlstate::catalog_contradicts,
                      std::string(fact.name) + " in " + in_schema(installation) + " is a " +
                          (kind == RELKIND_FOREIGN_TABLE ? "foreign" : "partitioned") + " table",
                      "Migrations need an ordinary table.",
                      "To see the differences: SELECT * FROM " +
                          common::own_function("procrastinate_check") + "(schema => " +
                          installation.quoted_text + ");"};
    }
}

void require_tables(const Installation &installation, chain::Revision current)
{
    require_no_other_relation(installation);
    require_not_partitioned(installation);
    if (kind_of_jobs(installation) == RELKIND_RELATION)
        return require_together(installation);
    if (current == chain::base)
        return require_not_moved(installation);
    const std::string message =
        has_no_jobs(installation) + "its history says " + std::string(chain::name(current));
    if (const std::optional<Moved> moved = find_moved_jobs(installation))
        throw Refusal{sqlstate::catalog_contradicts, message, moved->detail, moved->hint};
    throw Refusal{sqlstate::catalog_contradicts, message,
                  "Procrastinate's objects were dropped or moved, and the history was left.",
                  advice_to_move_history(installation) +
                      "To start over, drop the history: DROP TABLE " + installation.quoted + "." +
                      catalog::history_table + ";"};
}

} // namespace procrastinate::upgrade
