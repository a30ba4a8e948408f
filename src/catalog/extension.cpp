#include "catalog/extension.hpp"

namespace procrastinate::catalog
{

// Reads the index: that takes microseconds, and planning a query half a millisecond in each
// session.
std::string installed_version()
{
    const char *const version = server::call([]() -> const char * {
        Relation const extensions = table_open(ExtensionRelationId, AccessShareLock);
        ScanKeyData key;
        ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
                    CStringGetDatum("procrastinate_migrate"));
        SysScanDesc const scan =
            systable_beginscan(extensions, ExtensionNameIndexId, true, nullptr, 1, &key);
        const char *found = nullptr;
        if (HeapTuple const tuple = systable_getnext(scan))
        {
            Datum values[Natts_pg_extension];
            bool nulls[Natts_pg_extension];
            heap_deform_tuple(tuple, RelationGetDescr(extensions), values, nulls);
            found = TextDatumGetCString(values[Anum_pg_extension_extversion - 1]);
        }
        systable_endscan(scan);
        table_close(extensions, AccessShareLock);
        return found;
    });
    return version == nullptr ? std::string() : std::string(version);
}

} // namespace procrastinate::catalog
