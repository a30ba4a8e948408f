#include "migrate/lookahead.hpp"

#include "catalog/words.hpp"
#include "migrate/rights.hpp"
#include "server/settings.hpp"
#include "server/spi.hpp"

namespace procrastinate::migrate
{

namespace
{

namespace spi = server::spi;
using catalog::Comparison;
using catalog::Installation;
using catalog::Thing;
using chain::Fact;
using chain::Revision;

// What is between two words, or from the first to the end.
std::string_view between(std::string_view text, std::string_view left, std::string_view right)
{
    const std::size_t at = text.find(left);
    if (at == std::string_view::npos)
        return {};
    text.remove_prefix(at + left.size());
    return right.empty() ? text : text.substr(0, text.find(right));
}

bool is_pending(const Fact &fact, Revision current, Revision target)
{
    return current < fact.first && chain::is_at(fact, target);
}

// "name type not null default …": the type.
std::string_view type_of(const Fact &column)
{
    std::string_view text = column.definition.substr(chain::fact_name(column).size() + 1);
    for (const std::string_view end : {" not null", " default ", " generated "})
        text = text.substr(0, text.find(end));
    return text;
}

// ---- Dependents ----------------------------------------------------------------------------------

// How a migration ends what is there now.
struct End
{
    Revision by;
    const char *verb; // drops, changes

    bool is_change() const { return *verb == 'c'; }
};

std::optional<End> end_of(const Fact &fact, Revision current, Revision target)
{
    if (!chain::is_at(fact, current) || chain::is_at(fact, target) || fact.kind == "enum")
        return std::nullopt;
    const Revision by = fact.last + 1;
    const std::string key = chain::fact_key(fact);
    for (const Fact &later : chain::facts())
        if (later.first == by && later.kind == fact.kind && chain::fact_key(later) == key)
        {
            // Defaults and NOT NULL come and go without a dependent's noticing.
            if (fact.kind == "column" && type_of(later) != type_of(fact))
                return End{by, "changes"};
            return std::nullopt;
        }
    return End{by, "drops"};
}

// Of a column whose table goes: the table speaks for it.
bool is_part_of_what_ends(const Fact &part, Revision current, Revision target)
{
    const std::string_view table = part.definition.substr(0, part.definition.find('.'));
    const auto facts = chain::facts();
    return part.kind == "column" && std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
               return fact.kind == "table" && fact.definition == table &&
                      end_of(fact, current, target);
           });
}

// $1 to $4: class, object and column of what goes, and whether it only changes; $5 to $7 the same of what
// is Procrastinate's. What goes with a table without a word (indexes, defaults) is not asked for, nor
// foreign keys to a column that changes: the server makes them anew. A column's change is felt by all
// that has the type of the table's rows, too.
constexpr const char *dependents_query = R"(
with goes as (
    select *
      from unnest(string_to_array($1, ' ')::oid[], string_to_array($2, ' ')::oid[],
                  string_to_array($3, ' ')::int[], string_to_array($4, ' ')::boolean[])
           with ordinality as g (class, object, sub, changes, place)
), ours as materialized (
    select *
      from unnest(string_to_array($5, ' ')::oid[], string_to_array($6, ' ')::oid[],
                  string_to_array($7, ' ')::int[]) as o (class, object, sub)
), felt as (
    select place, changes, class, object, sub from goes
    union all
    select g.place, g.changes, 'pg_type'::regclass, c.reltype, 0
      from goes g join pg_class c on c.oid = g.object
     where g.class = 'pg_class'::regclass and g.sub > 0 and g.changes
)
select distinct felt.place,
       case d.classid
           when 'pg_rewrite'::regclass
           then (select case c.relkind when 'm' then 'materialized view ' when 'v' then 'view '
                                       else 'rule ' || quote_ident(r.rulename) || ' on ' end
                        || c.oid::regclass::text
                   from pg_rewrite r join pg_class c on c.oid = r.ev_class where r.oid = d.objid)
           else pg_describe_object(d.classid, d.objid, d.objsubid) end
  from felt
  join pg_depend d on d.refclassid = felt.class and d.refobjid = felt.object
   and (felt.sub = 0 or d.refobjsubid = felt.sub)
  left join pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
 where case d.classid
           when 'pg_constraint'::regclass then d.deptype = 'n' and not felt.changes
           when 'pg_attrdef'::regclass then d.deptype in ('n', 'a')
           when 'pg_publication_rel'::regclass then true
           when 'pg_class'::regclass
           then d.deptype = 'n' and felt.class = 'pg_type'::regclass
           else d.deptype = 'n' and d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass,
                                                  'pg_trigger'::regclass, 'pg_policy'::regclass) end
   and not exists (select from ours where ours.class = d.classid and ours.object = d.objid
                      and (ours.sub = 0 or ours.sub = d.objsubid))
   and not exists (select from ours where ours.class = 'pg_class'::regclass
                      and ours.object = f.adrelid and ours.sub = f.adnum)
   and not exists (select from pg_trigger t where d.classid = 'pg_trigger'::regclass
                      and t.oid = d.objid and t.tgisinternal)
   and (d.classid <> 'pg_proc'::regclass or felt.class <> 'pg_type'::regclass)
   and (d.classid <> 'pg_attrdef'::regclass or d.refobjsubid <> f.adnum or d.refobjid <> f.adrelid)
 order by 1, 2)";

// As arrays, by blanks.
struct Identities
{
    std::string classes;
    std::string objects;
    std::string columns;

    void add(const Thing &thing)
    {
        const char *const blank = classes.empty() ? "" : " ";
        classes += blank + std::to_string(thing.class_id);
        objects += blank + std::to_string(thing.object_id);
        columns += blank + std::to_string(thing.column);
    }
};

void find_dependents(const Comparison &comparison, Revision current, Revision target,
                     std::vector<std::string> &found)
{
    std::vector<std::string> ends; // "function f(), which 0031 drops"
    std::string changes;
    Identities going;
    Identities ours;
    for (const Fact &fact : chain::facts())
    {
        const Thing *const thing = comparison.thing_of(fact);
        if (thing == nullptr || !chain::is_at(fact, current))
            continue;
        ours.add(*thing);
        const std::optional<End> end = end_of(fact, current, target);
        if (!end || is_part_of_what_ends(fact, current, target))
            continue;
        ends.push_back(std::string(fact.kind) + " " + chain::fact_key(fact) + ", which " +
                       std::string(chain::name(end->by)) + " " + end->verb);
        changes.append(changes.empty() ? "" : " ").append(end->is_change() ? "t" : "f");
        going.add(*thing);
    }
    if (ends.empty())
        return;
    const std::array parameters{
        spi::text_parameter(going.classes), spi::text_parameter(going.objects),
        spi::text_parameter(going.columns), spi::text_parameter(changes),
        spi::text_parameter(ours.classes),  spi::text_parameter(ours.objects),
        spi::text_parameter(ours.columns)};
    const spi::Rows rows = spi::read_latest(dependents_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const auto place = static_cast<std::size_t>(DatumGetInt64(rows.datum(row, 1).value_or(1)));
        found.push_back(capitalized(std::string(rows.text(row, 2).value_or("something"))) +
                        " uses " + ends[place - 1]);
    }
}

// ---- Rows ------------------------------------------------------------------------------------------

// A column as it will be: itself, or the default that it is going to be added with; empty where no two
// rows could be alike in it.
std::string column_to_come(const Comparison &comparison, std::string_view table,
                           std::string_view column, Revision target)
{
    const std::string key = std::string(table) + "." + std::string(column);
    std::string_view otherwise;
    for (const Fact &fact : chain::facts())
    {
        if (fact.kind != "column" || chain::fact_name(fact) != key)
            continue;
        if (comparison.thing_of(fact) != nullptr)
            return std::string(column);
        if (chain::is_at(fact, target))
            otherwise = between(fact.definition, " default ", "");
    }
    return std::string(otherwise);
}

// Jobs that are `aborting` become `doing` on the way through 0031.
constexpr Revision aborting_ends = 31;

bool turns_aborting_to_doing(const Comparison &comparison, Revision current, Revision target)
{
    const auto facts = chain::facts();
    return current >= chain::labels_added && current < aborting_ends && target >= aborting_ends &&
           std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
               const Thing *const thing = comparison.thing_of(fact);
               return fact.kind == "enum" && thing != nullptr &&
                      catalog::has_word(thing->definition, "aborting");
           });
}

void replace(std::string &text, std::string_view word, std::string_view by)
{
    if (const std::size_t at = text.find(word); at != std::string::npos)
        text.replace(at, word.size(), by);
}

// Whether an index like it is there, under another name maybe.
bool has_such_index(std::span<const Thing> structure, const Fact &index)
{
    const std::string_view wanted = between(index.definition, " ON ", "");
    return std::any_of(structure.begin(), structure.end(), [&](const Thing &thing) {
        return thing.kind == "index" && thing.flaw.empty() &&
               thing.definition.starts_with("UNIQUE ") &&
               between(thing.definition, " ON ", "") == wanted;
    });
}

// The rows that a query counts, with a few of them for example; nothing where there are none.
std::string counted(const std::string &query, const Fact &fact)
{
    const spi::Rows rows = server::with_context(
        "look ahead at rows that " + std::string(chain::fact_name(fact)) + " would refuse",
        [&query] { return spi::read_latest(query.c_str()); });
    return rows.count() == 0 ? std::string() : std::string(rows.text(0, 1).value_or(""));
}

void find_duplicates(const Installation &installation, std::span<const Thing> structure,
                     const Comparison &comparison, const Fact &index, Revision current,
                     Revision target, std::vector<std::string> &found)
{
    const std::string_view table = between(index.definition, " ON ", " ");
    const std::string_view columns = between(index.definition, " btree (", ")");
    std::string where(between(index.definition, " WHERE ", ""));
    const bool is_changed = where.find("= 'doing'") != std::string::npos &&
                            turns_aborting_to_doing(comparison, current, target);
    if (!is_changed && has_such_index(structure, index))
        return;
    if (is_changed)
        replace(where, "= 'doing'::procrastinate_job_status",
                "= ANY ('{doing,aborting}'::procrastinate_job_status[])");
    std::string values;
    for (std::string_view rest = columns; !rest.empty();)
    {
        const std::size_t end = std::min(rest.find(", "), rest.size());
        const std::string value = column_to_come(comparison, table, rest.substr(0, end), target);
        if (value.empty())
            return;
        values.append(values.empty() ? "" : ", ").append(value);
        rest.remove_prefix(std::min(end + 2, rest.size()));
    }
    const std::string text =
        "SELECT 'duplicates (' || count(*) || '), for example (" + std::string(columns) +
        ") = ' || left(translate((array_agg(same.value))[1], E'\\n\\r\\t', '   '), 100) FROM "
        "(SELECT ROW(" +
        values + ")::text AS value FROM " + std::string(table) + " WHERE " +
        (where.empty() ? "true" : where) + " AND (ROW(" + values + ") IS NOT NULL) GROUP BY " +
        values + " HAVING count(*) > 1 ORDER BY 1) same HAVING count(*) > 0";
    const std::string duplicates = counted(catalog::qualified(text, installation.quoted), index);
    if (!duplicates.empty())
        found.push_back("Unique index " + std::string(chain::fact_name(index)) + " of " +
                        std::string(chain::name(index.first)) + " meets " + duplicates);
}

void find_refused(const Installation &installation, const Comparison &comparison,
                  const Fact &constraint, Revision target, std::vector<std::string> &found)
{
    const std::string_view name = chain::fact_name(constraint);
    const std::string_view table = name.substr(0, name.find('.'));
    const std::string_view condition = between(constraint.definition, " CHECK ", "");
    for (const Fact &column : chain::facts())
        if (column.kind == "column" && chain::is_at(column, target) &&
            chain::fact_name(column).starts_with(std::string(table) + ".") &&
            catalog::has_word(condition, chain::fact_name(column).substr(table.size() + 1)) &&
            comparison.thing_of(column) == nullptr)
            return; // it comes with values that fit
    const std::string text =
        "SELECT 'rows (' || count(*) || '), for example id ' || string_agg(bad.id::text, "
        "', ') FILTER (WHERE bad.place <= 3) FROM (SELECT id, row_number() "
        "OVER (ORDER BY id) AS place FROM " +
        std::string(table) + " WHERE (" + std::string(condition) +
        ") IS FALSE) bad HAVING count(*) > 0";
    const std::string refused = counted(catalog::qualified(text, installation.quoted), constraint);
    if (!refused.empty())
        found.push_back("Constraint " + std::string(name.substr(table.size() + 1)) + " of " +
                        std::string(chain::name(constraint.first)) + " refuses " + refused);
}

bool has_table(std::string_view table, Revision revision)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
        return fact.kind == "table" && fact.definition == table && chain::is_at(fact, revision);
    });
}

void find_rows(const Installation &installation, std::span<const Thing> structure,
               const Comparison &comparison, Revision current, Revision target,
               std::vector<std::string> &found)
{
    const int level = server::open_settings();
    server::set("row_security", "off");
    for (const Fact &fact : chain::facts())
    {
        if (!is_pending(fact, current, target))
            continue;
        const std::string_view table = fact.kind == "index"
                                           ? between(fact.definition, " ON ", " ")
                                           : fact.definition.substr(0, fact.definition.find('.'));
        if (!has_table(table, current))
            continue;
        if (fact.kind == "index" && fact.definition.starts_with("UNIQUE "))
            find_duplicates(installation, structure, comparison, fact, current, target, found);
        if (fact.kind == "constraint" && fact.definition.find(" CHECK ") != std::string_view::npos)
            find_refused(installation, comparison, fact, target, found);
    }
    server::close_settings(level);
}

// Whether Procrastinate is broken by a difference and stays so, or a migration would be.
bool breaks(const catalog::Difference &difference, Revision target)
{
    const bool ends = difference.fact != nullptr && difference.fact->last < target;
    if (difference.problem != catalog::Problem::missing || !ends)
        return difference.severity == catalog::Severity::error;
    // Tables are dropped if they are there (0004, 0008); nothing else is.
    return difference.kind != "table" && difference.kind != "sequence";
}

} // namespace

Obstacles look_ahead(const Installation &installation, std::span<const Thing> structure,
                     Revision current, Revision target)
{
    Obstacles obstacles;
    const Comparison comparison(structure);
    bool is_readable = true; // as the facts say
    for (const catalog::Difference &one : comparison.with(current))
    {
        if (!one.is_of_revision)
        {
            // A function as its release shipped it that fails on this server: nobody's new mistake.
            if (one.severity == catalog::Severity::error)
                obstacles.doubts.push_back(capitalized(catalog::in_words(one)));
            continue;
        }
        if (one.fact != nullptr &&
            (one.kind == "table" || one.kind == "column" || one.kind == "enum"))
            is_readable = is_readable && !breaks(one, target);
        if (breaks(one, target))
            obstacles.drift.push_back(capitalized(catalog::in_words(one)));
        else if (one.severity != catalog::Severity::info)
            obstacles.doubts.push_back(capitalized(catalog::in_words(one)));
    }
    find_dependents(comparison, current, target, obstacles.dependents);
    if (is_readable)
        find_rows(installation, structure, comparison, current, target, obstacles.rows);
    return obstacles;
}

} // namespace procrastinate::migrate
