#include "catalog/named_objects.hpp"

#include "server/spi.hpp"

namespace procrastinate::catalog
{

namespace
{

// Members of extensions (ours among them) are somebody else's. Tables come first: they matter most
// to whoever reads a list of objects.
constexpr const char *contents_query = R"(
with object as (
    select 'pg_class'::regclass as class, c.oid, c.relname::text as name,
           case c.relkind when 'r' then 1 when 'i' then 6 when 'S' then 7 else 2 end as rank,
           case c.relkind when 'r' then 'table' when 'i' then 'index' when 'S' then 'sequence'
                          when 'c' then 'composite' else 'relation' end as kind
      from pg_class c where c.relnamespace = $1
    union all
    select 'pg_type'::regclass, t.oid, t.typname::text, 3,
           case t.typtype when 'e' then 'enum' else 'type' end
      from pg_type t where t.typnamespace = $1 and t.typrelid = 0
    union all
    select 'pg_proc'::regclass, p.oid, p.proname::text, 4, 'function'
      from pg_proc p where p.pronamespace = $1
    union all
    select 'pg_trigger'::regclass, t.oid, t.tgname::text, 5, 'trigger'
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = $1 and not t.tgisinternal
    union all
    select 'pg_class'::regclass, c.oid, c.relname || '.' || a.attname, 8, 'column'
      from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = $1 and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union all
    select 'pg_constraint'::regclass, k.oid, c.relname || '.' || k.conname, 9, 'constraint'
      from pg_constraint k join pg_class c on c.oid = k.conrelid
     where c.relnamespace = $1 and k.contype <> 'n'
)
select object.kind, object.name
  from object
 where object.name ~ '^(idx_)?procrastinate_'
   and not exists (select from pg_depend d
                    where d.classid = object.class and d.objid = object.oid and d.deptype = 'e')
 order by object.rank, object.name)";

// Objects of kinds that share one space of names.
std::string_view space_of(std::string_view kind)
{
    if (kind == "table" || kind == "relation" || kind == "index" || kind == "sequence" ||
        kind == "composite")
        return "relation";
    return kind == "enum" ? "type" : kind;
}

bool has_place_of(const NamedObject &object, const chain::Fact &fact)
{
    return space_of(object.kind) == space_of(fact.kind) && object.name == chain::fact_name(fact);
}

// Of a table.
bool is_part(const NamedObject &object)
{
    return object.kind == "column" || object.kind == "constraint" || object.kind == "trigger";
}

bool is_history(const NamedObject &object) { return object.name == history_table; }

// Names that Procrastinate has had at some revision, and that of the history.
bool is_known(const NamedObject &object)
{
    const std::span<const chain::Fact> facts = chain::facts();
    return is_history(object) ||
           std::any_of(facts.begin(), facts.end(),
                       [&object](const chain::Fact &fact) { return has_place_of(object, fact); });
}

// Inside call().
bool holds(Oid schema, std::string_view kind, const char *name)
{
    const std::string_view space = space_of(kind);
    if (space == "relation")
        return OidIsValid(get_relname_relid(name, schema));
    if (space == "type")
        return SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name), ObjectIdGetDatum(schema));
    if (space != "function")
        return false;
    CatCList *const functions = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
    bool found = false;
    for (int i = 0; i < functions->n_members; ++i)
    {
        const auto *const function =
            reinterpret_cast<Form_pg_proc>(GETSTRUCT(&functions->members[i]->tuple));
        found = found || function->pronamespace == schema;
    }
    ReleaseSysCacheList(functions);
    return found;
}

} // namespace

bool holds_known_names(const Installation &installation)
{
    const Oid schema = installation.schema;
    return has_relation(installation, history_table) ||
           std::any_of(chain::facts().begin(), chain::facts().end(), [schema](const auto &fact) {
               const std::string name(chain::fact_name(fact));
               return server::call([&] { return holds(schema, fact.kind, name.c_str()); });
           });
}

server::pmr::vector<NamedObject> named_objects(const Installation &installation,
                                               server::pmr::memory_resource &memory)
{
    namespace spi = server::spi;
    server::pmr::vector<NamedObject> objects(&memory);
    if (!holds_known_names(installation))
        return objects;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(contents_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const NamedObject object{rows.text(row, 1).value_or(""), rows.text(row, 2).value_or("")};
        if (is_known(object))
            objects.push_back(object);
    }
    return objects;
}

server::pmr::vector<NamedObject> name_conflicts(std::span<const NamedObject> objects,
                                                chain::Revision current, chain::Revision target,
                                                server::pmr::memory_resource &memory)
{
    server::pmr::vector<NamedObject> found(&memory);
    for (const NamedObject &object : objects)
    {
        // Functions come and go under one name with other arguments: the server tells them apart.
        // At base a part is in the way with its table.
        const bool is_left_out =
            current == chain::base ? is_part(object) : object.kind == "function";
        if (is_history(object) || is_left_out)
            continue;
        bool is_there = false;
        bool is_made = false;
        for (const chain::Fact &fact : chain::facts())
            if (has_place_of(object, fact))
            {
                is_there = is_there || (fact.first <= current && current <= fact.last);
                is_made = is_made || current == chain::base ||
                          (current < fact.first && fact.first <= target);
            }
        if (is_made && !is_there)
            found.push_back(object);
    }
    // A table speaks for its parts.
    server::pmr::vector<NamedObject> told(&memory);
    for (const NamedObject &object : found)
        if (!is_part(object) ||
            std::none_of(found.begin(), found.end(), [&object](const NamedObject &table) {
                return table.kind == "table" &&
                       table.name == object.name.substr(0, object.name.find('.'));
            }))
            told.push_back(object);
    return told;
}

} // namespace procrastinate::catalog
