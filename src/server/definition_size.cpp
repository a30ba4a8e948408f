#include "server/definition_size.hpp"

namespace procrastinate::server
{

namespace
{

// A catalog of parts of relations, or of objects that these use.
struct Source
{
    const char *kind;
    const char *removal;
    Oid catalog;
    Oid index;       // its first column is the key
    AttrNumber key;  // the relation; of an object, its OID
    AttrNumber name; // a name, the number of a column, or the OID of an index
    std::array<AttrNumber, 4> texts;
    AttrNumber oid; // of an object that pg_depend lists; 0: none
    // Whether a session that opens the relation reads them; null pointer: always, or once
    // row-level security is enabled.
    bool (*is_read)(const FormData_pg_class &relation) = nullptr;
};

constexpr std::array<Source, 7> sources{{
    {"default of column",
     "ALTER TABLE {{table}} ALTER COLUMN {{part}} DROP DEFAULT;",
     AttrDefaultRelationId,
     AttrDefaultIndexId,
     Anum_pg_attrdef_adrelid,
     Anum_pg_attrdef_adnum,
     {Anum_pg_attrdef_adbin},
     Anum_pg_attrdef_oid},
    {"constraint",
     "ALTER TABLE {{table}} DROP CONSTRAINT {{part}};",
     ConstraintRelationId,
     ConstraintRelidTypidNameIndexId,
     Anum_pg_constraint_conrelid,
     Anum_pg_constraint_conname,
     {Anum_pg_constraint_conbin},
     Anum_pg_constraint_oid,
     [](const FormData_pg_class &relation) { return relation.relchecks > 0; }},
    {"trigger",
     "DROP TRIGGER {{part}} ON {{table}};",
     TriggerRelationId,
     TriggerRelidNameIndexId,
     Anum_pg_trigger_tgrelid,
     Anum_pg_trigger_tgname,
     {Anum_pg_trigger_tgargs, Anum_pg_trigger_tgqual},
     Anum_pg_trigger_oid,
     [](const FormData_pg_class &relation) { return relation.relhastriggers; }},
    {"policy",
     "DROP POLICY {{part}} ON {{table}};",
     PolicyRelationId,
     PolicyPolrelidPolnameIndexId,
     Anum_pg_policy_polrelid,
     Anum_pg_policy_polname,
     {Anum_pg_policy_polqual, Anum_pg_policy_polwithcheck},
     Anum_pg_policy_oid},
    {"rule",
     "DROP RULE {{part}} ON {{table}};",
     RewriteRelationId,
     RewriteRelRulenameIndexId,
     Anum_pg_rewrite_ev_class,
     Anum_pg_rewrite_rulename,
     {Anum_pg_rewrite_ev_qual, Anum_pg_rewrite_ev_action},
     Anum_pg_rewrite_oid,
     [](const FormData_pg_class &relation) { return relation.relhasrules; }},
    {"index",
     "DROP INDEX {{schema}}.{{part}};",
     IndexRelationId,
     IndexIndrelidIndexId,
     Anum_pg_index_indrelid,
     Anum_pg_index_indexrelid,
     {Anum_pg_index_indexprs, Anum_pg_index_indpred},
     Anum_pg_index_indexrelid,
     [](const FormData_pg_class &relation) { return relation.relhasindex; }},
    // The value that older rows have in a new column.
    {"column",
     "ALTER TABLE {{table}} DROP COLUMN {{part}};",
     AttributeRelationId,
     AttributeRelidNumIndexId,
     Anum_pg_attribute_attrelid,
     Anum_pg_attribute_attname,
     {Anum_pg_attribute_attmissingval},
     0},
}};

// The server caches a whole row of these catalogs.
constexpr Source functions{"function",
                           nullptr,
                           ProcedureRelationId,
                           ProcedureOidIndexId,
                           Anum_pg_proc_oid,
                           Anum_pg_proc_proname,
                           {Anum_pg_proc_prosrc, Anum_pg_proc_prosqlbody,
                            Anum_pg_proc_proargdefaults, Anum_pg_proc_proconfig},
                           0};
constexpr Source types{"type",
                       nullptr,
                       TypeRelationId,
                       TypeOidIndexId,
                       Anum_pg_type_oid,
                       Anum_pg_type_typname,
                       {Anum_pg_type_typdefaultbin, Anum_pg_type_typdefault},
                       0};

// Inside call().
const char *name_of(Oid relation, Datum name, Oid type)
{
    if (type == NAMEOID)
        return pstrdup(NameStr(*DatumGetName(name)));
    const char *const found = type == INT2OID ? get_attname(relation, DatumGetInt16(name), true)
                                              : get_rel_name(DatumGetObjectId(name));
    return found == nullptr ? "" : found;
}

// Adds the part to the definition; returns whether it contains a text. Inside call().
bool add_part(Definition &definition, const Source &source, Oid key, HeapTuple tuple,
              TupleDesc shape)
{
    bool is_null = false;
    bool has_text = false;
    Size size = tuple->t_len;
    for (const AttrNumber column : source.texts)
    {
        const Datum text = column == 0 ? Datum() : heap_getattr(tuple, column, shape, &is_null);
        if (column == 0 || is_null)
            continue;
        // Of a text that is compressed or in a TOAST table, without reading it.
        const Size size_of_text = toast_raw_datum_size(text);
        has_text = has_text || size_of_text > VARHDRSZ;
        size += size_of_text;
    }
    definition.size += size;
    ++definition.parts;
    if (size <= definition.largest.size)
        return has_text;
    const char *const name = name_of(key, heap_getattr(tuple, source.name, shape, &is_null),
                                     TupleDescAttr(shape, source.name - 1)->atttypid);
    if (definition.is_hidden == nullptr || !definition.is_hidden(key, source.kind, name))
        definition.largest = {source.kind, source.removal, key, name, size};
    return has_text;
}

// Calls visit(class, OID) for each part that has a text. Inside call().
template <typename Visit>
void add_parts(Definition &definition, const Source &source, Oid key, Visit visit)
{
    Relation const catalog = table_open(source.catalog, AccessShareLock);
    const TupleDesc shape = RelationGetDescr(catalog);
    ScanKeyData scan_key;
    ScanKeyInit(&scan_key, source.key, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(key));
    SysScanDesc const scan = systable_beginscan(catalog, source.index, true, nullptr, 1, &scan_key);
    while (definition.is_small())
    {
        CHECK_FOR_INTERRUPTS();
        HeapTuple const tuple = systable_getnext(scan);
        if (!HeapTupleIsValid(tuple))
            break;
        bool is_null = false;
        if (add_part(definition, source, key, tuple, shape) && source.oid != 0)
            visit(source.catalog == IndexRelationId ? RelationRelationId : source.catalog,
                  DatumGetObjectId(heap_getattr(tuple, source.oid, shape, &is_null)));
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
}

void visit_nothing(Oid, Oid) {}

// Adds the type to the definition, and the types below it: the server reads the base of a domain,
// the element of an array and the subtype of a range. Returns the relation that has the columns of
// the last one, or InvalidOid. Inside call().
Oid add_type(Definition &definition, Oid type)
{
    for (;;)
    {
        // Before the system cache reads it.
        add_parts(definition, types, type, visit_nothing);
        HeapTuple const tuple =
            definition.is_small() ? SearchSysCache1(TYPEOID, ObjectIdGetDatum(type)) : nullptr;
        if (!HeapTupleIsValid(tuple))
            return InvalidOid;
        const auto *const form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
        const Oid relation = form->typrelid;
        type = OidIsValid(form->typbasetype)         ? form->typbasetype
               : OidIsValid(form->typelem)           ? form->typelem
               : form->typtype == TYPTYPE_RANGE      ? get_range_subtype(type)
               : form->typtype == TYPTYPE_MULTIRANGE ? get_multirange_range(type)
                                                     : InvalidOid;
        ReleaseSysCache(tuple);
        if (!OidIsValid(type))
            return relation;
    }
}

// Calls visit(class, OID) for each object that an object uses, while the definition is small.
// Inside call().
template <typename Visit>
void visit_used(const Definition &definition, Oid class_id, Oid object, Visit visit)
{
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(class_id));
    ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(object));
    Relation const dependencies = table_open(DependRelationId, AccessShareLock);
    SysScanDesc const scan =
        systable_beginscan(dependencies, DependDependerIndexId, true, nullptr, 2, keys);
    while (definition.is_small())
    {
        CHECK_FOR_INTERRUPTS();
        HeapTuple const tuple = systable_getnext(scan);
        if (!HeapTupleIsValid(tuple))
            break;
        const auto *const form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        visit(form->refclassid, form->refobjid);
    }
    systable_endscan(scan);
    table_close(dependencies, AccessShareLock);
}

// Adds the functions and types that an object uses to the definition, with the types of these
// functions' arguments and results. Adds the relations that the server opens to print an expression
// that uses the object to the list. Inside call().
List *add_used(Definition &definition, List *relations, Oid class_id, Oid object)
{
    const auto add_relation = [&relations](Oid relation) {
        if (OidIsValid(relation))
            relations = list_append_unique_oid(relations, relation);
    };
    const auto add_if_type = [&](Oid used_class, Oid used) {
        if (used_class == TypeRelationId)
            add_relation(add_type(definition, used));
    };
    visit_used(definition, class_id, object, [&](Oid used_class, Oid used) {
        if (used_class == RelationRelationId)
            add_relation(used);
        add_if_type(used_class, used);
        if (used_class != ProcedureRelationId)
            return;
        add_parts(definition, functions, used, visit_nothing);
        visit_used(definition, ProcedureRelationId, used, add_if_type);
    });
    return relations;
}

} // namespace

Definition definition_of(Oid relation)
{
    Definition definition;
    HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
        return definition;
    const auto &row = *reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    for (const Source &source : sources)
        if (source.is_read == nullptr || source.is_read(row))
            add_parts(definition, source, relation, visit_nothing);
    ReleaseSysCache(tuple);
    return definition;
}

Definition definition_to_print(Oid relation, IsHidden is_hidden)
{
    Definition definition;
    definition.is_hidden = is_hidden;
    List *used = list_make1_oid(relation);
    used = add_used(definition, used, RelationRelationId, relation); // types of columns
    for (const Source &source : sources)
        add_parts(definition, source, relation, [&](Oid class_id, Oid part) {
            used = add_used(definition, used, class_id, part);
        });
    for (int i = 1; i < list_length(used); ++i)
    {
        const Oid other = list_nth_oid(used, i);
        used = add_used(definition, used, RelationRelationId, other);
        for (const Source &source : sources)
            add_parts(definition, source, other, visit_nothing);
    }
    list_free(used);
    return definition;
}

Oid table_of_index(Oid index)
{
    Oid table = InvalidOid;
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_index_indexrelid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(index));
    Relation const indexes = table_open(IndexRelationId, AccessShareLock);
    SysScanDesc const scan = systable_beginscan(indexes, IndexRelidIndexId, true, nullptr, 1, &key);
    if (HeapTuple const tuple = systable_getnext(scan))
        table = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple))->indrelid;
    systable_endscan(scan);
    table_close(indexes, AccessShareLock);
    return table;
}

} // namespace procrastinate::server
