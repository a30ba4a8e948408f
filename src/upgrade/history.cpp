#include "upgrade/history.hpp"

#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/current_role.hpp"
#include "server/owners.hpp"
#include "server/raw_table_scan.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "sql/append_history.hpp"
#include "sql/create_history.hpp"
#include "upgrade/library_version.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using common::Refusal;

// The key comes first.
constexpr std::size_t key_columns = 3;
constexpr std::array<server::RawColumn, 10> columns{{{"system_identifier", INT8OID},
                                                     {"database_oid", OIDOID},
                                                     {"id", INT8OID},
                                                     {"event", TEXTOID},
                                                     {"from_revision", TEXTOID},
                                                     {"to_revision", TEXTOID},
                                                     {"applied_at", TIMESTAMPTZOID},
                                                     {"applied_by", TEXTOID},
                                                     {"duration", INTERVALOID},
                                                     {"version", TEXTOID}}};

// 64 MB, some 400,000 rows with their keys. Rows that no transaction sees count, because a scan
// visits them.
constexpr BlockNumber most_pages = 8000;

// As pg_control_system() shows it.
std::int64_t system_identifier() { return static_cast<std::int64_t>(GetSystemIdentifier()); }

std::string table_of(const catalog::Installation &installation)
{
    return installation.quoted + "." + catalog::history_table;
}

Oid history_oid(Oid schema)
{
    return server::call([schema] { return get_relname_relid(catalog::history_table, schema); });
}

Refusal too_large(const catalog::Installation &installation)
{
    const std::string table = table_of(installation);
    return {common::sqlstate::untrusted_object, "table " + table + " is too large for a history",
            "It has more than " + std::to_string(most_pages) +
                " pages, with its primary key. A change writes few rows.",
            "Delete rows that are not needed, then: VACUUM FULL " + table + ";"};
}

// The jobs table's owner if another role that is no superuser has made the history: any role that
// may create tables in the schema could record there what it likes. Else InvalidOid.
Oid owner_that_did_not_make(Oid history, Oid schema)
{
    return server::call([history, schema] {
        const Oid owner = server::owner_of_relation(history);
        const Oid installation_owner =
            server::owner_of_relation(get_relname_relid("procrastinate_jobs", schema));
        return owner == installation_owner || superuser_arg(owner) ? InvalidOid
                                                                   : installation_owner;
    });
}

Refusal of_another_role(const catalog::Installation &installation, Oid installation_owner)
{
    const std::string table = table_of(installation);
    return {common::sqlstate::untrusted_object,
            "table " + table + " belongs to another role than table procrastinate_jobs",
            "So it is not taken for the history of the installation, which belongs to role " +
                server::role_name(installation_owner) + ".",
            "If its rows are right: ALTER TABLE " + table + " OWNER TO " +
                server::quoted_role_name(installation_owner) + ";\nIf not: DROP TABLE " + table +
                ";"};
}

Event event_of(const server::RawRow &row)
{
    std::optional<Interval> duration;
    if (const std::optional<Datum> datum = row.datum(8))
        duration = *DatumGetIntervalP(*datum);
    return {DatumGetInt64(row.datum(2).value_or(0)),
            std::string(row.text(3)),
            std::string(row.text(4)),
            std::string(row.text(5)),
            DatumGetTimestampTz(row.datum(6).value_or(0)),
            std::string(row.text(7)),
            duration,
            std::string(row.text(9)),
            DatumGetInt64(row.datum(0).value_or(0)) == system_identifier() &&
                DatumGetObjectId(row.datum(1).value_or(0)) == MyDatabaseId};
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

Refusal not_a_history_table(const catalog::Installation &installation)
{
    return {common::sqlstate::untrusted_object,
            "table " + table_of(installation) + " is not a history table",
            "It is not a plain table with the columns and the primary key that "
            "procrastinate_migrate creates, or it has rules.",
            "Check what it is, then rename or drop it."};
}

bool visit_history(const catalog::Installation &installation, Events events, EventOrder order,
                   const std::function<bool(const Event &)> &visit)
{
    const std::array own{Int64GetDatum(system_identifier()), ObjectIdGetDatum(MyDatabaseId)};
    const server::RawKey key{key_columns, events == Events::own ? std::span<const Datum>(own)
                                                                : std::span<const Datum>()};
    for (;;)
    {
        const Oid table = history_oid(installation.schema);
        if (!OidIsValid(table))
            return false;
        server::RawScan scan(table, columns, key,
                             order == EventOrder::oldest_first ? server::RawScan::ascending
                                                               : server::RawScan::descending);
        if (history_oid(installation.schema) != table)
        {
            // The table was dropped while this session waited for its lock; there may be another.
            scan.close();
            catalog::require_there(installation);
            continue;
        }
        if (scan.pages() > most_pages)
        {
            scan.close();
            throw too_large(installation);
        }
        if (const Oid owner = owner_that_did_not_make(table, installation.schema);
            OidIsValid(owner))
        {
            scan.close();
            throw of_another_role(installation, owner);
        }
        const bool is_allowed = scan.is_allowed();
        const bool is_plain = scan.is_plain();
        visit_rows(scan, [&visit](const server::RawRow &row) { return visit(event_of(row)); });
        if (!is_plain)
            throw not_a_history_table(installation);
        if (!is_allowed)
            throw Refusal{common::sqlstate::insufficient_privilege,
                          "permission denied for table " + std::string(catalog::history_table),
                          "You need SELECT on the table.",
                          "GRANT SELECT ON " + table_of(installation) + " TO PUBLIC;"};
        return true;
    }
}

void create_history(const catalog::Installation &installation)
{
    // All its statements at once: an error names the table anyway.
    const std::string statements =
        common::substitute(sql::create_history, {{"table", table_of(installation)}});
    try
    {
        server::in_subtransaction([&statements] {
            server::with_search_path(nullptr, [&] { spi::execute(statements.c_str()); });
        });
    }
    catch (const server::ServerError &error)
    {
        if (error.data()->sqlerrcode != ERRCODE_UNIQUE_VIOLATION &&
            error.data()->sqlerrcode != ERRCODE_DUPLICATE_TABLE)
            throw;
        throw Refusal{common::sqlstate::lock_not_available,
                      "another session has just created table " + table_of(installation),
                      "An offline script has changed the schema at the same time.",
                      "Call it again."};
    }
}

void append_history(const catalog::Installation &installation, std::string_view event,
                    chain::Revision from, chain::Revision to, TimestampTz started)
{
    const Interval *const duration = server::call([started] {
        return DatumGetIntervalP(DirectFunctionCall2(timestamp_mi,
                                                     TimestampTzGetDatum(GetCurrentTimestamp()),
                                                     TimestampTzGetDatum(started)));
    });
    const std::array parameters{
        spi::text_parameter(event),           spi::text_parameter(chain::name(from)),
        spi::text_parameter(chain::name(to)), spi::interval_parameter(duration),
        spi::text_parameter(library_version), spi::int8_parameter(system_identifier()),
        spi::oid_parameter(MyDatabaseId)};
    const std::string statement =
        common::substitute(sql::append_history, {{"table", table_of(installation)},
                                                 {"values", "$1, $2, $3, $4, $5"},
                                                 {"system_identifier", "$6"},
                                                 {"database_oid", "$7"}});
    spi::execute(statement.c_str(), parameters);
    // A trigger can keep the row out, or change it.
    bool is_recorded = false;
    (void)visit_history(installation, Events::own, EventOrder::newest_first,
                        [&](const Event &last) {
                            is_recorded = last.name == event && last.from == chain::name(from) &&
                                          last.to == chain::name(to);
                            return false;
                        });
    if (is_recorded)
        return;
    throw Refusal{
        common::sqlstate::rows_unchanged,
        "could not record event \"" + std::string(event) + "\" in table " + table_of(installation),
        "The row is not there after it was inserted: a trigger or a rule on the table has "
        "changed it or kept it out.",
        "Drop the triggers and rules of the table, and call it again."};
}

} // namespace procrastinate::upgrade
