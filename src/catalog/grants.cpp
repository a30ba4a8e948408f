#include "catalog/grants.hpp"

#include "common/template.hpp"
#include "server/spi.hpp"
#include "sql/granted_objects.hpp"
#include "sql/lacking_grants.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

namespace spi = server::spi;
using chain::Fact;
using chain::Kind;

constinit spi::PlannedQuery lacking_query{[] {
    return common::substitute(
        sql::lacking_grants,
        {{"objects", granted_objects_sql("$1", "string_to_array($2, ' ')")}, {"schema", "$1"}});
}};

// Null if the object is none of the revision's.
const Fact *fact_of(const CatalogObject &object, chain::Revision revision)
{
    for (const Fact &fact : chain::facts())
        if (fact.kind == object.kind && fact.key == object.key && chain::is_at(fact, revision))
            return &fact;
    return nullptr;
}

} // namespace

void add_lacking_grants(std::vector<Difference> &differences, const Installation &installation,
                        std::span<const CatalogObject> structure, chain::Revision revision)
{
    const std::array parameters{
        spi::oid_parameter(installation.schema),
        spi::text_parameter(chain::names_of({Kind::table, Kind::sequence, Kind::function}))};
    const spi::Rows rows = spi::read_latest(lacking_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const Oid catalog = DatumGetObjectId(rows.datum(row, 1).value_or(0));
        const Oid oid = DatumGetObjectId(rows.datum(row, 2).value_or(0));
        const auto object = std::find_if(
            structure.begin(), structure.end(), [catalog, oid](const CatalogObject &one) {
                return one.class_id == catalog && one.object_id == oid && one.sub_id == 0;
            });
        const Fact *const fact = object == structure.end() ? nullptr : fact_of(*object, revision);
        if (fact == nullptr)
            continue;
        differences.push_back(
            {Problem::lacking_grant,
             Severity::warning,
             fact->kind,
             std::string(fact->key),
             grant_in_words(rows.text(row, 4).value_or(""), rows.text(row, 3).value_or("")),
             {},
             fact,
             &*object,
             false});
    }
    std::stable_sort(differences.begin(), differences.end(),
                     [](const Difference &left, const Difference &right) {
                         return left.severity > right.severity;
                     });
}

std::string granted_objects_sql(std::string_view schema, std::string_view names)
{
    return common::substitute(sql::granted_objects, {{"schema", schema}, {"names", names}});
}

} // namespace procrastinate::catalog
