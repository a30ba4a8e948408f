// Entry points of online runs: procrastinate_migrate, _wait, _plan, _plan_details, _under_way,
// _get_progress.
#include "chain/target.hpp"
#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "entry/may_commit.hpp"
#include "entry/reading.hpp"
#include "entry/schema_argument.hpp"
#include "entry/target_argument.hpp"
#include "online/online_run.hpp"
#include "online/plan.hpp"
#include "online/under_way.hpp"
#include "online/wait.hpp"
#include "server/arguments.hpp"
#include "server/rows.hpp"

#include <cmath>

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
namespace common = procrastinate::common;
namespace online = procrastinate::online;
namespace server = procrastinate::server;
using procrastinate::entry::schema_argument;
using procrastinate::entry::target_argument;

Datum interval_of(double seconds)
{
    return server::call([seconds] {
        auto *const interval = static_cast<Interval *>(palloc0(sizeof(Interval)));
        interval->time = static_cast<TimeOffset>(std::llround(seconds * 1e6));
        return IntervalPGetDatum(interval);
    });
}

// The title as procrastinate_plan() shows it: its rows fit into 100 columns of psql.
std::string short_title(const online::PlannedStep &planned)
{
    constexpr std::size_t longest = 41;
    const std::string_view title = planned.title;
    return title.size() <= longest ? std::string(title)
                                   : std::string(title.substr(0, longest - 3)) + "...";
}

std::string_view phase_of(const online::PlannedStep &planned)
{
    if (planned.is_installation)
        return {}; // it stands for all migrations
    return chain::phase_name(chain::migration(planned.step.revision).phase);
}

// revision, step, kind, phase, title
server::Row row_of(const online::PlannedStep &planned, std::string_view title)
{
    return server::Row()
        .text(chain::name(planned.step.revision))
        .datum(Int32GetDatum(planned.step.number))
        .text(chain::kind_name(planned.step.kind))
        .text_or_null(phase_of(planned))
        .text(title);
}

// Rows of `row_of` for the arguments (target text, schema).
template <typename RowOf> Datum plan(FunctionCallInfo fcinfo, RowOf row_of)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const auto installation = catalog::locate_to_list(schema_argument(arguments, 1));
    server::RowSet rows(fcinfo);
    if (!installation)
        return server::RowSet::result();
    return procrastinate::entry::reading(installation, [&] {
        for (const online::PlannedStep &planned : online::plan(*installation, target))
            rows.add(row_of(planned));
        return server::RowSet::result();
    });
}

std::optional<Datum> id_of(const std::optional<chain::Position> &position,
                           long long chain::Position::*id)
{
    return position ? std::optional(Int64GetDatum((*position).*id)) : std::nullopt;
}

std::optional<Datum> time_of(const std::optional<TimestampTz> &time)
{
    return time ? std::optional(TimestampTzGetDatum(*time)) : std::nullopt;
}

// schema, revision, step, steps, kind, title
server::Row row_of(const online::UnderWay &under_way)
{
    server::Row row;
    row.datum(ObjectIdGetDatum(under_way.schema));
    if (!under_way.step)
    {
        row.text(std::nullopt)
            .datum(std::nullopt)
            .datum(std::nullopt)
            .text(std::nullopt)
            .text("unknown: permission denied");
        return row;
    }
    const chain::Step &step = *under_way.step;
    row.text(chain::name(step.revision))
        .datum(Int32GetDatum(step.number))
        .datum(Int32GetDatum(step.count))
        .text(chain::kind_name(step.kind))
        .text(step.title);
    return row;
}

} // namespace

// (target text, schema, lock_timeout interval, retry_for interval, concurrently
// boolean, force boolean, through text), a procedure
ENTRY_POINT(procrastinate_migrate)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const std::optional<Oid> schema = schema_argument(arguments, 1);
    const auto upgrade = [target](const std::string &quoted_schema) {
        return "SELECT " + common::own_function("procrastinate_upgrade") + "(" +
               common::quoted_literal(target) + ", schema => " + quoted_schema + ");";
    };
    if (!procrastinate::entry::may_commit(fcinfo))
        throw common::Refusal{
            common::sqlstate::active_transaction,
            "procrastinate_migrate() cannot run inside a transaction block",
            "It commits after each step.",
            "Call it outside of BEGIN, of functions and of EXCEPTION blocks. To upgrade in one "
            "transaction: " +
                upgrade(catalog::locate_to_change(schema, upgrade).quoted_text)};
    const double lock_timeout = arguments.required_milliseconds(2, "lock_timeout");
    const double retry_for = arguments.required_milliseconds(3, "retry_for");
    const bool concurrently = arguments.required_boolean(4, "concurrently");
    const bool force = arguments.required_boolean(5, "force");
    const std::optional<std::string_view> through = arguments.text(6);
    if (lock_timeout < 1 || lock_timeout > 3'600'000 || retry_for < 0)
        throw common::Refusal{
            common::sqlstate::invalid_parameter,
            "lock_timeout must be between 1 ms and 1 hour, and retry_for must not "
            "be negative",
            {},
            {}};
    if (through && *through != "post")
        throw common::Refusal{
            common::sqlstate::invalid_parameter,
            "invalid value for parameter \"through\": \"" + chain::excerpt(*through) + "\"",
            {},
            "Use 'post' to run post migrations without the in-use check, or NULL."};
    const online::CallOptions options{.lock_timeout = lock_timeout,
                                      .retry_for = retry_for,
                                      .concurrently = concurrently,
                                      .force = force || through == "post"};
    const auto again = [&](const std::string &quoted_schema) {
        return online::call_of(quoted_schema, std::string(target), options);
    };
    online::migrate(catalog::locate_to_change(schema, again), target, options);
    return Datum(0);
}

// (target text, timeout interval, schema), a procedure
ENTRY_POINT(procrastinate_wait)
{
    const server::Arguments arguments(fcinfo);
    if (!procrastinate::entry::may_commit(fcinfo))
        throw common::Refusal{common::sqlstate::active_transaction,
                              "procrastinate_wait() cannot run inside a transaction block",
                              "Index builds would wait for the transaction's snapshot.",
                              "Call it outside of BEGIN, of functions and of EXCEPTION blocks."};
    const std::string_view target = target_argument(arguments, 0, "target");
    online::wait(catalog::locate(schema_argument(arguments, 2)), target, arguments.milliseconds(1));
    return Datum(0);
}

// (target text, schema) → revision, step, kind, phase, title, estimate; in the order
// in which the steps run
ENTRY_POINT(procrastinate_plan)
{
    return plan(fcinfo, [](const online::PlannedStep &planned) {
        return row_of(planned, short_title(planned)).datum(interval_of(planned.estimate));
    });
}

// (target text, schema) → revision, step, kind, phase, title, statement, lock,
// relation, relation_size, rewrites, scans, estimate; in the same order
ENTRY_POINT(procrastinate_plan_details)
{
    return plan(fcinfo, [](const online::PlannedStep &planned) {
        return row_of(planned, planned.title)
            .text(planned.statement)
            .text_or_null(planned.lock)
            .text_or_null(planned.relation)
            .datum(planned.relation.empty() ? std::nullopt
                                            : std::optional(Int64GetDatum(planned.relation_size)))
            .boolean(planned.rewrites)
            .boolean(planned.scans)
            .datum(interval_of(planned.estimate));
    });
}

// () → schema, revision, step, steps, kind, title, since, done, total; a row for each installation
// whose migration is under way
ENTRY_POINT(procrastinate_under_way)
{
    server::RowSet rows(fcinfo);
    return procrastinate::entry::reading(std::nullopt, [&] {
        for (const online::UnderWay &one : online::all_under_way())
        {
            server::Row row = row_of(one);
            row.datum(time_of(one.since))
                .datum(id_of(one.position, &chain::Position::done))
                .datum(id_of(one.position, &chain::Position::last));
            rows.add(row);
        }
        return server::RowSet::result();
    });
}

// () → schema, revision, step, steps, kind, title, pid, since, phase, done, left, waiting_for; the
// rows of the view procrastinate_progress
ENTRY_POINT(procrastinate_get_progress)
{
    server::RowSet rows(fcinfo);
    return procrastinate::entry::reading(std::nullopt, [&] {
        for (const online::UnderWay &one : online::all_under_way())
        {
            const online::Activity activity = online::activity_of(one);
            server::Row row = row_of(one);
            row.datum(activity.pid ? std::optional(Int32GetDatum(*activity.pid)) : std::nullopt)
                .datum(time_of(one.since))
                .text(activity.phase)
                .datum(activity.done ? std::optional(Int64GetDatum(*activity.done)) : std::nullopt)
                .datum(activity.left ? std::optional(Int64GetDatum(*activity.left)) : std::nullopt)
                .datum(activity.waiting_for);
            rows.add(row);
        }
        return server::RowSet::result();
    });
}
