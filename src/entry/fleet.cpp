// Entry points for all installations of the database: procrastinate_get_installations.
#include "entry/reading.hpp"
#include "fleet/installations.hpp"
#include "server/rows.hpp"

namespace
{

namespace fleet = procrastinate::fleet;
namespace server = procrastinate::server;

} // namespace

// () → schema, owner, revision, is_head, source, under_way_since, jobs, may_change; the rows of the
// view procrastinate_installations
ENTRY_POINT(procrastinate_get_installations)
{
    server::RowSet rows(fcinfo);
    return procrastinate::entry::reading(std::nullopt, [&] {
        for (const fleet::ListedInstallation &one : fleet::installations())
        {
            server::Row row;
            row.datum(ObjectIdGetDatum(one.schema))
                .datum(ObjectIdGetDatum(one.owner))
                .text_or_null(one.revision)
                .boolean(one.is_head)
                .text(one.source)
                .datum(one.under_way_since
                           ? std::optional(TimestampTzGetDatum(*one.under_way_since))
                           : std::nullopt)
                .datum(one.jobs ? std::optional(Int64GetDatum(*one.jobs)) : std::nullopt)
                .boolean(one.may_change);
            rows.add(row);
        }
        return server::RowSet::result();
    });
}
