// Entry points for all installations of the database: procrastinate_get_installations,
// procrastinate_migrate_all, procrastinate_require_all; and of other servers:
// procrastinate_migrate_servers.
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "entry/may_commit.hpp"
#include "entry/reading.hpp"
#include "entry/target_argument.hpp"
#include "fleet/installations.hpp"
#include "fleet/migrate_all.hpp"
#include "fleet/migrate_servers.hpp"
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

// `first` is the index of the argument workers; canary and on_error follow.
fleet::FleetOptions fleet_options(const server::Arguments &arguments, int first, int dry_run)
{
    fleet::FleetOptions options;
    options.workers = arguments.required_integer(first, "workers");
    options.canary = arguments.required_integer(first + 1, "canary");
    options.on_error = on_error_named(arguments.required_text(first + 2, "on_error"));
    options.dry_run = arguments.required_boolean(dry_run, "dry_run");
    if (options.workers < 1 || options.workers > 32 || options.canary < 0)
        throw invalid("workers must be between 1 and 32, and canary must not be negative");
    return options;
}

// `first` is the index of the argument lock_timeout; retry_for and force follow.
online::CallOptions call_options(const server::Arguments &arguments, int first)
{
    online::CallOptions call;
    call.lock_timeout = arguments.required_milliseconds(first, "lock_timeout");
    call.retry_for = arguments.required_milliseconds(first + 1, "retry_for");
    call.force = arguments.required_boolean(first + 2, "force");
    if (call.lock_timeout < 1 || call.lock_timeout > 3'600'000 || call.retry_for < 0)
        throw invalid("lock_timeout must be between 1 ms and 1 hour, and retry_for must not be "
                      "negative");
    return call;
}

void require_commits(FunctionCallInfo fcinfo, const std::string &procedure)
{
    if (!procrastinate::entry::may_commit(fcinfo))
        throw common::Refusal{common::sqlstate::active_transaction,
                              procedure + "() cannot run inside a transaction block",
                              "Index builds would wait for the transaction's snapshot.",
                              "Call it outside of BEGIN, of functions and of EXCEPTION blocks."};
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
    const online::CallOptions call = call_options(arguments, 5);
    fleet::FleetOptions options = fleet_options(arguments, 2, 8);
    options.retry_for = call.retry_for;
    require_commits(fcinfo, "procrastinate_migrate_all");
    fleet::migrate_all(target, schemas, call, options);
    return Datum(0);
}

// (target text, servers text[], schemas text[], workers integer, canary integer, on_error text,
// lock_timeout interval, retry_for interval, force boolean, dry_run boolean), a procedure
ENTRY_POINT(procrastinate_migrate_servers)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const std::vector<std::string> servers = arguments.required_texts(1, "servers");
    const std::vector<std::string> schemas = arguments.required_texts(2, "schemas");
    const online::CallOptions call = call_options(arguments, 6);
    const fleet::FleetOptions options = fleet_options(arguments, 3, 9);
    require_commits(fcinfo, "procrastinate_migrate_servers");
    fleet::migrate_servers(target, servers, schemas, call, options);
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
