#include "upgrade/precheck_dependents.hpp"

#include "common/findings.hpp"
#include "server/spi.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::CatalogObject;
using catalog::Comparison;
using chain::Fact;
using chain::Revision;

// "name type not null default …": the type.
std::string_view type_of(const Fact &column)
{
    std::string_view text = column.definition.substr(chain::fact_name(column).size() + 1);
    for (const std::string_view end : {" not null", " default ", " generated "})
        text = text.substr(0, text.find(end));
    return text;
}

// How a migration ends what is there now.
struct End
{
    Revision by;
    const char *verb; // drops, changes

    bool is_change() const { return *verb == 'c'; }
};

std::optional<End> end_of(const Fact &fact, Revision current, Revision target)
{
    if (!chain::is_at(fact, current) || fact.kind == "enum")
        return std::nullopt;
    const std::string key = chain::fact_key(fact);
    const auto facts = chain::facts();
    // A object may be there as more than one fact, one after the other.
    for (const Fact *now = &fact; !chain::is_at(*now, target);)
    {
        const Revision by = now->last + 1;
        const auto later = std::find_if(facts.begin(), facts.end(), [&](const Fact &one) {
            return one.first == by && one.kind == fact.kind && chain::fact_key(one) == key;
        });
        if (later == facts.end())
            return End{by, "drops"};
        // Defaults and NOT NULL come and go without a dependent's noticing.
        if (fact.kind == "column" && type_of(*later) != type_of(fact))
            return End{by, "changes"};
        now = &*later;
    }
    return std::nullopt;
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

    void add(const CatalogObject &object)
    {
        const char *const blank = classes.empty() ? "" : " ";
        classes += blank + std::to_string(object.class_id);
        objects += blank + std::to_string(object.object_id);
        columns += blank + std::to_string(object.column);
    }
};

} // namespace

std::vector<std::string> find_dependents(const Comparison &comparison, Revision current,
                                         Revision target)
{
    std::vector<std::string> found;
    std::vector<std::string> ends; // "function f(), which 0031 drops"
    std::string changes;
    Identities going;
    Identities ours;
    for (const Fact &fact : chain::facts())
    {
        const CatalogObject *const object = comparison.object_of(fact);
        if (object == nullptr || !chain::is_at(fact, current))
            continue;
        ours.add(*object);
        const std::optional<End> end = end_of(fact, current, target);
        if (!end || is_part_of_what_ends(fact, current, target))
            continue;
        ends.push_back(std::string(fact.kind) + " " + chain::fact_key(fact) + ", which " +
                       std::string(chain::name(end->by)) + " " + end->verb);
        changes.append(changes.empty() ? "" : " ").append(end->is_change() ? "t" : "f");
        going.add(*object);
    }
    if (ends.empty())
        return found;
    const std::array parameters{
        spi::text_parameter(going.classes), spi::text_parameter(going.objects),
        spi::text_parameter(going.columns), spi::text_parameter(changes),
        spi::text_parameter(ours.classes),  spi::text_parameter(ours.objects),
        spi::text_parameter(ours.columns)};
    const spi::Rows rows = spi::read_latest(dependents_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const auto place = static_cast<std::size_t>(DatumGetInt64(rows.datum(row, 1).value_or(1)));
        found.push_back(common::capitalized(std::string(rows.text(row, 2).value_or("something"))) +
                        " uses " + ends[place - 1]);
    }
    return found;
}

} // namespace procrastinate::upgrade
