// Entry points for all installations of the database: procrastinate_get_installations,
// procrastinate_migrate_all, procrastinate_require_all.
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "entry/may_commit.hpp"
#include "entry/reading.hpp"
#include "entry/target_argument.hpp"
#include "fleet/installations.hpp"
#include "fleet/migrate_all.hpp"
#include "fleet/require_all.hpp"
#include "server/arguments.hpp"
#include "server/rows.hpp"
#include "upgrade/require.hpp"

namespace
{

namespace common = procrastinate::common;
namespace fleet = procrastinate::fleet;
namespace online = procrastinate::online;
namespace server = procrastinate::server;
namespace upgrade = procrastinate::upgrade;
using procrastinate::entry::target_argument;

common::Refusal invalid(std::string message, std::string hint = {})
{
    return {common::sqlstate::invalid_parameter, std::move(message), {}, std::move(hint)};
}

fleet::OnError on_error_named(std::string_view name)
{
    if (name == "stop")
        return fleet::OnError::stop;
    if (name == "continue")
        return fleet::OnError::carry_on;
    throw invalid("invalid value for parameter \"on_error\": " + common::quoted_literal(name),
                  "Use 'stop' or 'continue'.");
}

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

// (target text, schemas text[], workers integer, canary integer, on_error text, lock_timeout
// interval, retry_for interval, force boolean, dry_run boolean), a procedure
ENTRY_POINT(procrastinate_migrate_all)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const std::vector<std::string> schemas = arguments.required_texts(1, "schemas");
    fleet::FleetOptions options;
    options.workers = arguments.required_integer(2, "workers");
    options.canary = arguments.required_integer(3, "canary");
    options.on_error = on_error_named(arguments.required_text(4, "on_error"));
    online::CallOptions call;
    call.lock_timeout = arguments.required_milliseconds(5, "lock_timeout");
    call.retry_for = arguments.required_milliseconds(6, "retry_for");
    call.force = arguments.required_boolean(7, "force");
    options.dry_run = arguments.required_boolean(8, "dry_run");
    if (options.workers < 1 || options.workers > 32 || options.canary < 0)
        throw invalid("workers must be between 1 and 32, and canary must not be negative");
    if (call.lock_timeout < 1 || call.lock_timeout > 3'600'000 || call.retry_for < 0)
        throw invalid("lock_timeout must be between 1 ms and 1 hour, and retry_for must not be "
                      "negative");
    if (!procrastinate::entry::may_commit(fcinfo))
        throw common::Refusal{common::sqlstate::active_transaction,
                              "procrastinate_migrate_all() cannot run inside a transaction block",
                              "Index builds would wait for the transaction's snapshot.",
                              "Call it outside of BEGIN, of functions and of EXCEPTION blocks."};
    fleet::migrate_all(target, schemas, call, options);
    return Datum(0);
}

// (target text, drift text, schemas text[]) → integer
ENTRY_POINT(procrastinate_require_all)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const upgrade::Drift drift = upgrade::drift_named(arguments.required_text(1, "drift"));
    const std::vector<std::string> schemas = arguments.required_texts(2, "schemas");
    int count = 0;
    procrastinate::entry::comparing(std::nullopt, [&] {
        count = fleet::require_all(target, drift, schemas);
        return Datum(0);
    });
    return Int32GetDatum(count);
}
