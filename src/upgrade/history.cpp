#include "upgrade/history.hpp"

#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"
#include "sql/append_history.hpp"
#include "sql/create_history.hpp"
#include "upgrade/library_version.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using common::Refusal;

constexpr std::array<server::RawColumn, 8> columns{{{"id", INT8OID},
                                                    {"event", TEXTOID},
                                                    {"from_revision", TEXTOID},
                                                    {"to_revision", TEXTOID},
                                                    {"applied_at", TIMESTAMPTZOID},
                                                    {"applied_by", TEXTOID},
                                                    {"duration", INTERVALOID},
                                                    {"version", TEXTOID}}};

std::string table_of(const catalog::Installation &installation)
{
    return std::string(installation.quoted) + "." + catalog::history_table;
}

Oid history_oid(Oid schema)
{
    return server::call([schema] { return get_relname_relid(catalog::history_table, schema); });
}

Event event_of(const server::RawRow &row)
{
    std::optional<Interval> duration;
    if (const std::optional<Datum> datum = row.datum(6))
        duration = *DatumGetIntervalP(*datum);
    return {DatumGetInt64(row.datum(0).value_or(0)),
            std::string(row.text(1)),
            std::string(row.text(2)),
            std::string(row.text(3)),
            DatumGetTimestampTz(row.datum(4).value_or(0)),
            std::string(row.text(5)),
            duration,
            std::string(row.text(7))};
}

} // namespace

std::optional<chain::Revision> recorded_revision(std::string_view name)
{
    if (name == "base")
        return chain::base;
    for (const chain::Migration &migration : chain::migrations())
        if (migration.revision == name)
            return migration.number;
    return std::nullopt;
}

History read_history(const catalog::Installation &installation, std::size_t limit)
{
    History history;
    const Oid table = history_oid(installation.schema);
    if (!OidIsValid(table))
        return history;
    const server::RawTable found = server::scan_raw_table(table, columns, limit);
    if (history_oid(installation.schema) != table)
    {
        // The table was dropped while this session waited for its lock; there may be another now.
        catalog::require_there(installation);
        return read_history(installation, limit);
    }
    if (!found.is_plain || found.count() >= limit)
        throw Refusal{
            common::sqlstate::untrusted_object,
            "table " + table_of(installation) + " is not a history table",
            "It is not a plain table with the columns that procrastinate_migrate creates, "
            "or it has rules or row-level security.",
            "Check what it is, then rename or drop it."};
    if (!found.is_allowed)
        throw Refusal{common::sqlstate::insufficient_privilege,
                      "permission denied for table " + std::string(catalog::history_table),
                      "You need SELECT on the table.",
                      "GRANT SELECT ON " + table_of(installation) + " TO PUBLIC;"};
    history.exists = true;
    history.events.reserve(found.count());
    for (std::size_t i = 0; i < found.count(); ++i)
        history.events.push_back(event_of(found.row(i)));
    std::sort(history.events.begin(), history.events.end(),
              [](const Event &left, const Event &right) { return left.id < right.id; });
    return history;
}

void create_history(const catalog::Installation &installation)
{
    // All its statements at once: an error names the table anyway.
    spi::execute(
        common::substitute(sql::create_history, {{"table", table_of(installation)}}).c_str());
}

void append_history(const catalog::Installation &installation, std::string_view event,
                    chain::Revision from, chain::Revision to, TimestampTz started)
{
    const Interval *const duration = server::call([started] {
        return DatumGetIntervalP(DirectFunctionCall2(timestamp_mi,
                                                     TimestampTzGetDatum(GetCurrentTimestamp()),
                                                     TimestampTzGetDatum(started)));
    });
    const std::array parameters{spi::text_parameter(event), spi::text_parameter(chain::name(from)),
                                spi::text_parameter(chain::name(to)),
                                spi::interval_parameter(duration),
                                spi::text_parameter(library_version)};
    const std::string statement = common::substitute(
        sql::append_history, {{"table", table_of(installation)}, {"values", "$1, $2, $3, $4, $5"}});
    spi::execute(statement.c_str(), parameters);
}

} // namespace procrastinate::upgrade
