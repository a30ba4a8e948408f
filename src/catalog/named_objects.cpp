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

// Of a column or constraint with its table in front.
std::string_view name_of(const chain::Fact &fact)
{
    return fact.kind == Kind::column || fact.kind == Kind::constraint ? fact.key : fact.name;
}

bool has_name_of(const NamedObject &object, const chain::Fact &fact)
{
    return space_of(object.kind) == space_of(fact.kind) && object.name == name_of(fact);
}

// Those of all facts, and of the history.
std::string known_names()
{
    std::string names(history_table);
    for (const chain::Fact &fact : chain::facts())
        names.append(" ").append(name_of(fact));
    return names;
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

// A catalog of objects with names in a schema, and its index over name and schema.
struct NamedCatalog
{
    Oid catalog;
    Oid index;
    AttrNumber oid;
    AttrNumber name;
    AttrNumber schema;
};

constexpr NamedCatalog relations{RelationRelationId, ClassNameNspIndexId, Anum_pg_class_oid,
                                 Anum_pg_class_relname, Anum_pg_class_relnamespace};
constexpr NamedCatalog types{TypeRelationId, TypeNameNspIndexId, Anum_pg_type_oid,
                             Anum_pg_type_typname, Anum_pg_type_typnamespace};
constexpr NamedCatalog functions{ProcedureRelationId, ProcedureNameArgsNspIndexId, Anum_pg_proc_oid,
                                 Anum_pg_proc_proname, Anum_pg_proc_pronamespace};

// True if an object of the schema whose name begins as Procrastinate's do satisfies the condition
// on its name, the OID of its catalog, and its own. The index has the schema as well: other schemas
// cost no look at a row. The cache of functions would read all of a name, in any schema.
template <typename Condition>
bool holds_name_like_ours(const NamedCatalog &names, Oid schema, Condition condition)
{
    return server::call([&] {
        Relation const catalog = table_open(names.catalog, AccessShareLock);
        const auto value = [catalog](HeapTuple row, AttrNumber column) {
            bool is_null = false;
            return heap_getattr(row, column, RelationGetDescr(catalog), &is_null);
        };
        std::array<ScanKeyData, 3> keys{};
        ScanKeyInit(keys.data(), names.name, BTGreaterEqualStrategyNumber, F_NAMEGE,
                    CStringGetDatum("procrastinate_"));
        ScanKeyInit(&keys[1], names.name, BTLessStrategyNumber, F_NAMELT,
                    CStringGetDatum("procrastinate`")); // the character after the underscore
        ScanKeyInit(&keys[2], names.schema, BTEqualStrategyNumber, F_OIDEQ,
                    ObjectIdGetDatum(schema));
        SysScanDesc const scan =
            systable_beginscan(catalog, names.index, true, nullptr, keys.size(), keys.data());
        bool found = false;
        for (HeapTuple row = nullptr; !found && HeapTupleIsValid(row = systable_getnext(scan));)
        {
            CHECK_FOR_INTERRUPTS();
            found = condition(*DatumGetName(value(row, names.name)), names.catalog,
                              DatumGetObjectId(value(row, names.oid)));
        }
        systable_endscan(scan);
        table_close(catalog, AccessShareLock);
        return found;
    });
}

bool is_function_of_ours(const NameData &data, Oid /*catalog*/, Oid /*oid*/)
{
    const std::string_view name(NameStr(data));
    const std::span<const chain::Fact> facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [name](const chain::Fact &fact) {
        return fact.kind == Kind::function && fact.name == name;
    });
}

bool is_no_member_of_extension(const NameData & /*name*/, Oid catalog, Oid oid)
{
    return !OidIsValid(getExtensionOfObject(catalog, oid));
}

// Of a composite type the type is the member of an extension, of another relation the relation: its
// row type is no object of its own.
bool is_relation_of_its_own(const NameData &name, Oid catalog, Oid oid)
{
    return get_rel_relkind(oid) != RELKIND_COMPOSITE_TYPE &&
           is_no_member_of_extension(name, catalog, oid);
}

bool is_type_of_its_own(const NameData &name, Oid catalog, Oid oid)
{
    const Oid relation = get_typ_typrelid(oid);
    return (!OidIsValid(relation) || get_rel_relkind(relation) == RELKIND_COMPOSITE_TYPE) &&
           is_no_member_of_extension(name, catalog, oid);
}

bool holds_relation_or_type(Oid schema, const chain::Fact &fact)
{
    const NameSpace space = space_of(fact.kind);
    const std::string name(fact.name);
    if (space == NameSpace::relation)
        return server::call([&] { return OidIsValid(get_relname_relid(name.c_str(), schema)); });
    return space == NameSpace::type && server::call([&] {
               return SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name.c_str()),
                                            ObjectIdGetDatum(schema));
           });
}

namespace spi = server::spi;

constinit spi::PlannedQuery named_objects_query{[] { return std::string(sql::named_objects); }};

} // namespace

bool holds_names_like_ours(Oid schema)
{
    return holds_name_like_ours(relations, schema, is_relation_of_its_own) ||
           holds_name_like_ours(types, schema, is_type_of_its_own) ||
           holds_name_like_ours(functions, schema, is_no_member_of_extension);
}

bool holds_known_names(Oid schema)
{
    const std::span<const chain::Fact> facts = chain::facts();
    return server::call(
               [schema] { return OidIsValid(get_relname_relid(history_table, schema)); }) ||
           std::any_of(facts.begin(), facts.end(),
                       [schema](const chain::Fact &fact) {
                           return holds_relation_or_type(schema, fact);
                       }) ||
           holds_name_like_ours(functions, schema, is_function_of_ours);
}

server::pmr::vector<NamedObject> named_objects(const Installation &installation,
                                               server::pmr::memory_resource &memory)
{
    server::pmr::vector<NamedObject> objects(&memory);
    if (!holds_known_names(installation.schema))
        return objects;
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::text_parameter(known_names())};
    const spi::Rows rows = spi::read_latest(named_objects_query, parameters);
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
    for (NamedObject object : objects)
    {
        // Functions of one name may differ in their arguments, which are not read here. From base
        // the table of a part is in the list.
        const bool is_left_out =
            current == chain::base ? is_part_of_table(object) : object.kind == Kind::function;
        if (is_history(object) || is_left_out)
            continue;
        const auto maker = chain::maker_of(
            [&object](const chain::Fact &fact) { return has_name_of(object, fact); }, current,
            current == chain::base ? chain::head() : target);
        if (!maker)
            continue;
        object.maker = *maker;
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
