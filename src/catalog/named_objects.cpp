#include "catalog/named_objects.hpp"

#include "server/spi.hpp"
#include "sql/named_objects.hpp"

namespace procrastinate::catalog
{

namespace
{

using chain::Kind;

// Kinds of objects that share one space of names in a schema.
enum class NameSpace
{
    relation,
    type,
    function,
    column,
    constraint,
    trigger
};

NameSpace space_of(Kind kind)
{
    switch (kind)
    {
    case Kind::enum_type:
    case Kind::type:
        return NameSpace::type;
    case Kind::function:
        return NameSpace::function;
    case Kind::column:
        return NameSpace::column;
    case Kind::constraint:
        return NameSpace::constraint;
    case Kind::trigger:
        return NameSpace::trigger;
    default:
        return NameSpace::relation;
    }
}

bool has_name_of(const NamedObject &object, const chain::Fact &fact)
{
    const bool has_table = fact.kind == Kind::column || fact.kind == Kind::constraint;
    return space_of(object.kind) == space_of(fact.kind) &&
           object.name == (has_table ? fact.key : fact.name);
}

bool is_part_of_table(const NamedObject &object)
{
    return object.kind == Kind::column || object.kind == Kind::constraint ||
           object.kind == Kind::trigger;
}

bool is_history(const NamedObject &object) { return object.name == history_table; }

// True for a name that Procrastinate has had at some revision, and for the history.
bool is_known(const NamedObject &object)
{
    const std::span<const chain::Fact> facts = chain::facts();
    return is_history(object) ||
           std::any_of(facts.begin(), facts.end(),
                       [&object](const chain::Fact &fact) { return has_name_of(object, fact); });
}

// Inside server::call().
bool holds(Oid schema, NameSpace space, const char *name)
{
    if (space == NameSpace::relation)
        return OidIsValid(get_relname_relid(name, schema));
    if (space == NameSpace::type)
        return SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name), ObjectIdGetDatum(schema));
    if (space != NameSpace::function)
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

// A catalog of objects with names in a schema, and its index that begins with the name.
struct NamedCatalog
{
    Oid catalog;
    Oid index;
    AttrNumber oid;
    AttrNumber name;
    AttrNumber schema;
};

constexpr std::array named_catalogs{
    NamedCatalog{RelationRelationId, ClassNameNspIndexId, Anum_pg_class_oid, Anum_pg_class_relname,
                 Anum_pg_class_relnamespace},
    NamedCatalog{TypeRelationId, TypeNameNspIndexId, Anum_pg_type_oid, Anum_pg_type_typname,
                 Anum_pg_type_typnamespace},
    NamedCatalog{ProcedureRelationId, ProcedureNameArgsNspIndexId, Anum_pg_proc_oid,
                 Anum_pg_proc_proname, Anum_pg_proc_pronamespace}};

// Inside server::call().
bool holds_name_like_ours(const NamedCatalog &names, Oid schema)
{
    Relation const catalog = table_open(names.catalog, AccessShareLock);
    const auto oid_of = [catalog](HeapTuple row, AttrNumber column) {
        bool is_null = false;
        return DatumGetObjectId(heap_getattr(row, column, RelationGetDescr(catalog), &is_null));
    };
    std::array<ScanKeyData, 2> keys{};
    ScanKeyInit(keys.data(), names.name, BTGreaterEqualStrategyNumber, F_NAMEGE,
                CStringGetDatum("procrastinate_"));
    ScanKeyInit(&keys[1], names.name, BTLessStrategyNumber, F_NAMELT,
                CStringGetDatum("procrastinate`")); // the character after the underscore
    SysScanDesc const scan =
        systable_beginscan(catalog, names.index, true, nullptr, keys.size(), keys.data());
    bool found = false;
    for (HeapTuple row = nullptr; !found && HeapTupleIsValid(row = systable_getnext(scan));)
    {
        CHECK_FOR_INTERRUPTS();
        found = oid_of(row, names.schema) == schema &&
                !OidIsValid(getExtensionOfObject(names.catalog, oid_of(row, names.oid)));
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return found;
}

} // namespace

bool holds_names_like_ours(Oid schema)
{
    return std::any_of(named_catalogs.begin(), named_catalogs.end(), [schema](const auto &names) {
        return server::call([&] { return holds_name_like_ours(names, schema); });
    });
}

bool holds_known_names(Oid schema)
{
    return server::call([schema] { return holds(schema, NameSpace::relation, history_table); }) ||
           std::any_of(chain::facts().begin(), chain::facts().end(), [schema](const auto &fact) {
               const std::string name(fact.name);
               return server::call(
                   [&] { return holds(schema, space_of(fact.kind), name.c_str()); });
           });
}

server::pmr::vector<NamedObject> named_objects(const Installation &installation,
                                               server::pmr::memory_resource &memory)
{
    namespace spi = server::spi;
    server::pmr::vector<NamedObject> objects(&memory);
    if (!holds_known_names(installation.schema))
        return objects;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::named_objects, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const std::string_view kind = rows.text(row, 1).value_or("");
        const NamedObject object{chain::kind_named(kind).value_or(Kind::relation),
                                 rows.text(row, 2).value_or("")};
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
        // Functions of one name may differ in their arguments: there the server refuses a second
        // one itself. From base the table of a part is in the list.
        const bool is_left_out =
            current == chain::base ? is_part_of_table(object) : object.kind == Kind::function;
        if (is_history(object) || is_left_out)
            continue;
        bool is_there = false;
        bool is_made = false;
        for (const chain::Fact &fact : chain::facts())
            if (has_name_of(object, fact))
            {
                is_there = is_there || chain::is_at(fact, current);
                is_made = is_made || current == chain::base ||
                          (current < fact.first && fact.first <= target);
            }
        if (is_made && !is_there)
            found.push_back(object);
    }
    // A table in the list includes its parts.
    server::pmr::vector<NamedObject> shown(&memory);
    for (const NamedObject &object : found)
        if (!is_part_of_table(object) ||
            std::none_of(found.begin(), found.end(), [&object](const NamedObject &table) {
                return table.kind == Kind::table &&
                       table.name == object.name.substr(0, object.name.find('.'));
            }))
            shown.push_back(object);
    return shown;
}

} // namespace procrastinate::catalog
