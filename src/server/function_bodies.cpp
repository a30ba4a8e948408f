#include "server/function_bodies.hpp"

namespace procrastinate::server
{

namespace
{

constexpr Size longest_body = 16'000; // Procrastinate's have some 2,000 bytes

// Writes the hash with a NUL, or an empty string for a long body. Inside call().
void hash_body(Datum body, std::array<char, 33> &md5)
{
    if (toast_raw_datum_size(body) > longest_body + VARHDRSZ)
        return;
    const Datum hash = DirectFunctionCall1(md5_text, body);
    (void)strlcpy(md5.data(), TextDatumGetCString(hash), md5.size());
}

} // namespace

NamedFunctions functions_named(Oid schema, const char *name)
{
    return call([schema, name] {
        NamedFunctions found;
        Relation const catalog = table_open(ProcedureRelationId, AccessShareLock);
        std::array<ScanKeyData, 2> keys{};
        ScanKeyInit(keys.data(), Anum_pg_proc_proname, BTEqualStrategyNumber, F_NAMEEQ,
                    CStringGetDatum(name));
        ScanKeyInit(&keys[1], Anum_pg_proc_pronamespace, BTEqualStrategyNumber, F_OIDEQ,
                    ObjectIdGetDatum(schema));
        SysScanDesc const scan = systable_beginscan(catalog, ProcedureNameArgsNspIndexId, true,
                                                    nullptr, keys.size(), keys.data());
        for (HeapTuple row = nullptr;
             !found.are_too_many() && HeapTupleIsValid(row = systable_getnext(scan));)
        {
            CHECK_FOR_INTERRUPTS();
            bool is_null = false;
            const auto value = [&](AttrNumber column) {
                return heap_getattr(row, column, RelationGetDescr(catalog), &is_null);
            };
            const Oid function = DatumGetObjectId(value(Anum_pg_proc_oid));
            if (OidIsValid(getExtensionOfObject(ProcedureRelationId, function)))
                continue;
            if (found.count < NamedFunctions::most)
                hash_body(value(Anum_pg_proc_prosrc), found.body_md5[found.count]);
            ++found.count;
        }
        systable_endscan(scan);
        table_close(catalog, AccessShareLock);
        return found;
    });
}

} // namespace procrastinate::server
