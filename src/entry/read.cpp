// Functions that read the history and the chain: procrastinate_current, _history, _history_details,
// _pending, _heads, _show, _migration_sql, _sql, _log.
#include "chain/range.hpp"
#include "common/refusal.hpp"
#include "entry/migration_rows.hpp"
#include "entry/reading.hpp"
#include "entry/schema_argument.hpp"
#include "entry/target_argument.hpp"
#include "script/catalog_check.hpp"
#include "script/offline_script.hpp"
#include "script/online_script.hpp"
#include "server/arguments.hpp"
#include "server/messages.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/upgrade_path.hpp"

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
namespace common = procrastinate::common;
namespace upgrade = procrastinate::upgrade;
namespace server = procrastinate::server;
using procrastinate::entry::migration_row;
using procrastinate::entry::range_argument;
using procrastinate::entry::reading;
using procrastinate::entry::schema_argument;
using procrastinate::entry::target_argument;
using upgrade::AppliedMigrations;

// Runs `body(applied)` with the migrations that are applied to the installation.
template <typename Body>
Datum with_applied(const std::optional<catalog::Installation> &installation, Body body)
{
    return reading(installation, [&] {
        return body(installation ? AppliedMigrations(*installation) : AppliedMigrations());
    });
}

// As above, with a WARNING if the history ends at a revision that this version does not know.
template <typename Body>
Datum with_applied_or_warning(const std::optional<catalog::Installation> &installation, Body body)
{
    return with_applied(installation, [&](const AppliedMigrations &applied) {
        if (installation)
        {
            upgrade::warn_of_unknown_history(applied.state(), *installation);
            upgrade::notice_if_by_catalog(applied.state(), *installation);
        }
        return body(applied);
    });
}

// The same of the installation that search_path finds. If it cannot be read, a WARNING says why.
std::optional<AppliedMigrations>
read_applied(const std::optional<catalog::Installation> &installation)
{
    if (!installation)
        return std::nullopt;
    try
    {
        return AppliedMigrations(*installation);
    }
    catch (const common::Refusal &refusal)
    {
        server::warning(refusal.message, refusal.detail, refusal.hint);
        return std::nullopt;
    }
}

// Runs `body(applied)` with the migrations of that installation, or with none if there is no
// installation: the chain is known anyway.
template <typename Body> Datum with_applied_if_any(Body body)
{
    const std::optional<catalog::Installation> installation = catalog::locate_if_any(std::nullopt);
    return reading(std::nullopt,
                   [&] { return body(read_applied(installation).value_or(AppliedMigrations())); });
}

// The migration that a name means. Relative names count from the current revision.
const chain::Migration &named_migration(std::string_view name, const AppliedMigrations &applied)
{
    const chain::Revision revision = chain::resolve_target(name, applied.state().current);
    if (revision == chain::base)
        throw common::Refusal{common::sqlstate::unknown_revision,
                              "Can't locate revision identified by '" + chain::excerpt(name) + "'",
                              "It means base, which no migration leads to.",
                              "The first migration is 0001."};
    return chain::migration(revision);
}

std::optional<Datum> sha256_of(std::string_view text)
{
    return server::call([text] {
        bytea *const bytes = reinterpret_cast<bytea *>(
            cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
        const Datum digest = DirectFunctionCall1(sha256_bytea, PointerGetDatum(bytes));
        return DirectFunctionCall2(binary_encode, digest, CStringGetTextDatum("hex"));
    });
}

constexpr std::string_view from_current = "current:";

// As chain::resolve_range(), but "current:" and a target that has been passed is a range of
// nothing: deploy scripts ask again.
chain::Range script_range(const catalog::Installation &installation, std::string_view range,
                          const upgrade::InstallationState &state)
{
    if (!range.starts_with(from_current) || !state.current.revision)
        return chain::resolve_range(range, state.current);
    const std::string_view name = range.substr(from_current.size());
    const chain::Revision current = *state.current.revision;
    const chain::Revision end =
        name.empty() ? chain::head() : chain::resolve_range_end(name, state.current, std::nullopt);
    upgrade::notice_if_past(installation, current, end, name);
    return {current, std::max(current, end)};
}

// Rows of `row_of` for the arguments (range text, schema), newest first.
template <typename RowOf> Datum history(FunctionCallInfo fcinfo, RowOf row_of)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view range_name = range_argument(arguments, 0, "range");
    const auto installation = catalog::locate_to_list(schema_argument(arguments, 1));
    server::RowSet rows(fcinfo);
    if (!installation)
        return server::RowSet::result();
    return with_applied_or_warning(installation, [&](const AppliedMigrations &applied) {
        const chain::Range range = chain::resolve_range(range_name, applied.state().current);
        for (chain::Revision revision = range.end;
             revision >= std::max(range.start, chain::base + 1); --revision)
            rows.add(row_of(applied, chain::migration(revision)));
        return server::RowSet::result();
    });
}

} // namespace

// (schema) → revision, is_head, applied_at, applied_by, source
ENTRY_POINT(procrastinate_current)
{
    const server::Arguments arguments(fcinfo);
    const auto located = catalog::locate_to_list(schema_argument(arguments, 0));
    server::RowSet rows(fcinfo);
    if (!located)
        return server::RowSet::result();
    const catalog::Installation &installation = *located;
    return reading(installation, [&] {
        const upgrade::InstallationState state = upgrade::read_current_state(installation);
        upgrade::warn_of_unknown_history(state, installation);
        upgrade::notice_if_by_catalog(state, installation);
        if (state.current.revision == chain::base)
            return server::RowSet::result();

        server::Row row;
        if (state.current.revision)
        {
            const chain::Migration &migration = chain::migration(*state.current.revision);
            row.text(migration.revision).boolean(migration.number == chain::head());
        }
        else
            row.text_or_null(state.recorded).boolean(false);
        const bool is_known = state.current.revision || state.is_unknown_history();
        if (state.last && is_known && !state.is_by_catalog)
            row.datum(TimestampTzGetDatum(state.last->applied_at))
                .text(state.last->applied_by)
                .text(upgrade::source_text(state));
        else
            row.datum(std::nullopt)
                .text(std::nullopt)
                .text(state.is_by_catalog ? std::string_view("catalog")
                                          : state.current.why_unknown);
        rows.add(row);
        return server::RowSet::result();
    });
}

// (range text, schema) → revision, title, is_applied, applied_at, newest first
ENTRY_POINT(procrastinate_history) { return history(fcinfo, procrastinate::entry::history_row); }

// (range text, schema) → the columns of migration_row(), newest first
ENTRY_POINT(procrastinate_history_details) { return history(fcinfo, migration_row); }

// (target text, schema) → revision, title, phase, releases, oldest first
ENTRY_POINT(procrastinate_pending)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target_name = target_argument(arguments, 0, "target");
    const auto installation = catalog::locate_to_list(schema_argument(arguments, 1));
    server::RowSet rows(fcinfo);
    if (!installation)
        return server::RowSet::result();
    return with_applied_or_warning(installation, [&](const AppliedMigrations &applied) {
        const chain::Range range =
            upgrade::pending_range(*installation, applied.state(), target_name);
        upgrade::notice_if_past(*installation, range.start, range.end, target_name);
        for (chain::Revision revision = range.start + 1; revision <= range.end; ++revision)
            rows.add(procrastinate::entry::pending_row(chain::migration(revision)));
        return server::RowSet::result();
    });
}

// () → the columns of migration_row()
ENTRY_POINT(procrastinate_heads)
{
    server::RowSet rows(fcinfo);
    return with_applied_if_any([&](const AppliedMigrations &applied) {
        rows.add(migration_row(applied, chain::migration(chain::head())));
        return server::RowSet::result();
    });
}

// (revision text) → the columns of migration_row(), sql, sha256
ENTRY_POINT(procrastinate_show)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view name = target_argument(arguments, 0, "revision");
    server::RowSet rows(fcinfo);
    return with_applied_if_any([&](const AppliedMigrations &applied) {
        const chain::Migration &migration = named_migration(name, applied);
        rows.add(
            migration_row(applied, migration).text(migration.sql).datum(sha256_of(migration.sql)));
        return server::RowSet::result();
    });
}

// (revision text) → text
ENTRY_POINT(procrastinate_migration_sql)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view name = target_argument(arguments, 0, "revision");
    std::string_view sql;
    with_applied_if_any([&](const AppliedMigrations &applied) {
        sql = named_migration(name, applied).sql;
        return Datum(0);
    });
    return server::text_result(sql);
}

// (range text, schema, online boolean) → text
ENTRY_POINT(procrastinate_sql)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view range_name = range_argument(arguments, 0, "range");
    const catalog::Installation installation = catalog::locate(schema_argument(arguments, 1));
    const bool is_online = arguments.required_boolean(2, "online");
    std::string range_text(range_name);
    // An online script goes on from where the installation is, also on another server.
    if (is_online && range_name.starts_with(from_current))
    {
        const std::string_view end = range_name.substr(from_current.size());
        range_text = "base:" + std::string(end.empty() ? "head" : end);
    }
    chain::Range range{};
    with_applied(installation, [&](const AppliedMigrations &applied) {
        range = script_range(installation, range_text, applied.state());
        return Datum(0);
    });
    return server::text_result(is_online
                                   ? procrastinate::script::online_script(installation, range)
                                   : procrastinate::script::offline_script(installation, range));
}

// (revision text, schema) → text
ENTRY_POINT(procrastinate_check_sql)
{
    const server::Arguments arguments(fcinfo);
    const catalog::Installation installation = catalog::locate(schema_argument(arguments, 1));
    std::optional<chain::Revision> revision;
    if (const auto name = arguments.text(0))
        with_applied(installation, [&](const AppliedMigrations &applied) {
            revision = chain::resolve_target(*name, applied.state().current);
            return Datum(0);
        });
    // Under the reader's search_path functions of other roles could be called.
    return server::text_result(
        "BEGIN READ ONLY;\nSET LOCAL search_path = pg_catalog, pg_temp;\n" +
        procrastinate::script::catalog_check(installation.quoted_text, revision) + ";\nCOMMIT;\n");
}

// (schema) → id, applied_at, applied_by, event, from_revision, to_revision, duration,
// version, is_own
ENTRY_POINT(procrastinate_log)
{
    const server::Arguments arguments(fcinfo);
    const auto installation = catalog::locate_to_list(schema_argument(arguments, 0));
    server::RowSet rows(fcinfo);
    if (!installation)
        return server::RowSet::result();
    return reading(installation, [&] {
        (void)upgrade::visit_history(
            *installation, upgrade::Events::all, upgrade::EventOrder::oldest_first,
            [&rows](const upgrade::Event &event) {
                rows.add(server::Row()
                             .datum(Int64GetDatum(event.id))
                             .datum(TimestampTzGetDatum(event.applied_at))
                             .text(event.applied_by)
                             .text(event.name)
                             .text(event.from)
                             .text(event.to)
                             .datum(procrastinate::entry::duration_of(event))
                             .text(event.version)
                             .boolean(event.is_own));
                return true;
            });
        return server::RowSet::result();
    });
}
