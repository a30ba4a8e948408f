#include "catalog/contents.hpp"

#include "server/spi.hpp"

#include <set>

namespace procrastinate::catalog
{

namespace
{

// The server's initdb gives the bootstrap superuser's objects to no extension here; members of
// extensions (ours among them) are somebody else's. is_trusted: where the caller is a superuser,
// a trigger or a default of another role's table would run with a superuser's rights.
constexpr const char *contents_query = R"(
with member as (
    select classid, objid from pg_depend where deptype = 'e'
), object as (
    select 'pg_class'::regclass as class, c.oid, c.relowner as owner, c.relname::text as name,
           case c.relkind when 'r' then 'table' when 'i' then 'index' when 'S' then 'sequence'
                          when 'c' then 'composite' else 'relation' end as kind
      from pg_class c where c.relnamespace = $1
    union all
    select 'pg_type'::regclass, t.oid, t.typowner, t.typname::text, 'enum'
      from pg_type t where t.typnamespace = $1 and t.typtype = 'e'
    union all
    select 'pg_proc'::regclass, p.oid, p.proowner, p.proname::text, 'function'
      from pg_proc p where p.pronamespace = $1
    union all
    select 'pg_trigger'::regclass, t.oid, c.relowner, t.tgname::text, 'trigger'
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = $1 and not t.tgisinternal
    union all
    select 'pg_class'::regclass, c.oid, c.relowner, c.relname || '.' || a.attname, 'column'
      from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = $1 and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union all
    select 'pg_constraint'::regclass, k.oid, c.relowner, c.relname || '.' || k.conname, 'constraint'
      from pg_constraint k join pg_class c on c.oid = k.conrelid
     where c.relnamespace = $1 and k.contype <> 'n'
)
select kind, name, pg_get_userbyid(owner)::text, pg_has_role(owner, 'USAGE'),
       not (select rolsuper from pg_roles where rolname = current_user)
       or owner = (select oid from pg_roles where rolname = current_user)
       or (select rolsuper from pg_roles where oid = owner)
  from object
 where name ~ '^(idx_)?procrastinate_'
   and not exists (select from member where classid = class and objid = object.oid)
 order by kind, name)";

// Names that Procrastinate has had at some revision.
bool is_known(std::string_view kind, std::string_view name)
{
    if (kind == "table" && name == history_table)
        return true;
    // Whatever stands in the place of one of our relations is our business.
    const bool any_relation = kind == "relation";
    for (const chain::Fact &fact : chain::facts())
        if ((fact.kind == kind || (any_relation && fact.kind == "table")) &&
            chain::fact_name(fact) == name)
            return true;
    return false;
}

using Named = std::pair<std::string_view, std::string_view>;

std::string listed(std::string_view verb, const std::multiset<Named> &names)
{
    constexpr std::size_t shown = 5;
    std::string text;
    std::size_t count = 0;
    for (const auto &[kind, name] : names)
        if (++count <= shown)
            text.append(count > 1 ? ", " : "").append(kind).append(" ").append(name);
    if (count == 0)
        return text;
    if (count > shown)
        text += " and " + std::to_string(count - shown) + " more";
    return std::string(verb) + ": " + text + ".";
}

} // namespace

server::pmr::vector<Object> contents(const Installation &installation,
                                     server::pmr::memory_resource &memory)
{
    namespace spi = server::spi;
    server::pmr::vector<Object> objects(&memory);
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(contents_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const Object object{rows.text(row, 1).value_or(""), rows.text(row, 2).value_or(""),
                            rows.text(row, 3).value_or(""), rows.boolean(row, 4),
                            rows.boolean(row, 5)};
        if (is_known(object.kind, object.name))
            objects.push_back(object);
    }
    return objects;
}

std::string difference(std::span<const Object> objects, chain::Revision revision)
{
    std::multiset<Named> missing;
    for (const chain::Fact &fact : chain::facts())
        if (fact.first <= revision && revision <= fact.last)
            missing.emplace(fact.kind, chain::fact_name(fact));
    std::multiset<Named> extra;
    for (const Object &object : objects)
    {
        const Named named(object.kind, object.name);
        if (const auto expected = missing.find(named); expected != missing.end())
            missing.erase(expected);
        else if (object.name != history_table &&
                 !object.name.starts_with(std::string(history_table) + "."))
            extra.insert(named);
    }
    const std::string first = listed("Missing", missing);
    const std::string second = listed("Not of that revision", extra);
    return first.empty() || second.empty() ? first + second : first + "\n" + second;
}

} // namespace procrastinate::catalog
