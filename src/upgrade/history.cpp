#include "upgrade/history.hpp"

#include "common/refusal.hpp"
#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"
#include "upgrade/history_sql.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using common::Refusal;
using std::string_literals::operator""s;

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
    return installation.quoted + "."s + catalog::history_table;
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

History read_history(const catalog::Installation &installation,
                     server::pmr::memory_resource &memory, std::size_t most)
{
    History history{false, server::pmr::vector<Event>(&memory)};
    const Oid schema = installation.schema;
    const auto look_up = [schema] {
        return server::call([schema] { return get_relname_relid(catalog::history_table, schema); });
    };
    const Oid table = look_up();
    if (!OidIsValid(table))
        return history;
    const server::RawTable found = server::scan_raw_table(table, columns, most);
    if (look_up() != table)
    {
        // It went while its lock was waited for; another may have taken its place.
        catalog::require_there(installation);
        return read_history(installation, memory, most);
    }
    if (!found.is_plain || found.count() >= most)
        throw Refusal{common::sqlstate::untrusted_object,
                      table_of(installation) + " is not a history",
                      "It is no plain table with the columns that procrastinate_migrate gave it, "
                      "or it has rules or row-level security.",
                      "Find out who made it, and rename or drop it."};
    if (!found.is_allowed)
        throw Refusal{common::sqlstate::insufficient_privilege,
                      "permission denied for table " + std::string(catalog::history_table),
                      "You need SELECT on the table.",
                      "GRANT SELECT ON " + table_of(installation) + " TO PUBLIC;"};
    history.exists = true;
    history.events.reserve(found.count());
    for (std::size_t i = 0; i < found.count(); ++i)
    {
        const server::RawRow row = found.row(i);
        history.events.push_back({row.datum(0).value_or(0), row.text(1), row.text(2), row.text(3),
                                  row.datum(4).value_or(0), row.text(5), row.datum(6),
                                  row.text(7)});
    }
    std::sort(history.events.begin(), history.events.end(),
              [](const Event &left, const Event &right) {
                  return DatumGetInt64(left.id) < DatumGetInt64(right.id);
              });
    return history;
}

State read_state(const catalog::Installation &installation)
{
    server::ContextResource memory;
    return state_of(installation, read_history(installation, memory));
}

namespace
{

bool is_step(const Event &one) { return one.name.starts_with(event::step); }

TimestampTz time_of(const Event &one) { return DatumGetTimestampTz(one.applied_at); }

TimestampTz began(const Event &one)
{
    const Interval *const took = one.duration ? DatumGetIntervalP(*one.duration) : nullptr;
    // Anybody may have written it.
    if (took == nullptr || TIMESTAMP_NOT_FINITE(time_of(one)) || took->month != 0 ||
        took->day < 0 || took->day > 36'500 || took->time < 0 || took->time > USECS_PER_DAY)
        return time_of(one);
    return time_of(one) - took->time - took->day * USECS_PER_DAY;
}

// Of a history that ends in the midst of a migration: all its last rows are steps of it.
void read_steps(const History &history, State &state)
{
    const std::string_view name = history.events.back().name.substr(event::step.size());
    chain::StepName step{};
    if (!chain::parse_step_name(name, step) || step.revision - 1 != state.current.revision ||
        static_cast<std::size_t>(step.number) >= chain::steps(step.revision).size())
    {
        state.unknown_step = std::string(name);
        return;
    }
    state.under_way = step;
    bool is_position = true;
    for (auto one = history.events.rbegin(); one != history.events.rend() && is_step(*one); ++one)
    {
        if (is_position)
            state.since = time_of(*one);
        is_position = is_position && one->name.find(", ") != std::string_view::npos;
        state.began = began(*one);
    }
}

} // namespace

State state_of(const catalog::Installation &installation, const History &history)
{
    State state;
    state.has_history = history.exists;
    if (!history.events.empty())
    {
        const Event &latest = history.events.back();
        const auto ended =
            std::find_if_not(history.events.rbegin(), history.events.rend(), is_step);
        state.last = ended == history.events.rend() ? latest : *ended;
        state.recorded = state.last->to;
        state.current = {recorded_revision(state.last->to),
                         "the history ends at a revision that this version does not know",
                         common::sqlstate::unknown_history};
        if (is_step(latest))
            read_steps(history, state);
    }
    else if (catalog::has_relation(installation, "procrastinate_jobs"))
        state.current = {std::nullopt, "the schema holds Procrastinate's tables but no history",
                         common::sqlstate::no_history};
    else
        state.current = {chain::base, {}, {}};
    return state;
}

std::string State::whereabouts() const
{
    return unknown_step ? "is in the midst of step \"" + chain::excerpt(*unknown_step) + "\""
                        : "is at revision \"" + chain::excerpt(recorded) + "\"";
}

chain::Revision require_known(const State &state, const catalog::Installation &installation)
{
    if (state.current.revision && !state.is_unknown_history())
        return *state.current.revision;
    const std::string schema = "schema \"" + std::string(installation.name) + "\"";
    if (state.is_unknown_history())
        throw Refusal{
            common::sqlstate::unknown_history,
            schema + " " + state.whereabouts() + ", which version " + std::string(library_version) +
                " of procrastinate_migrate does not know",
            "A newer version has been at work here; this one knows the revisions 0001 to " +
                std::string(chain::name(chain::head())) + ".",
            "Install the newer version, then run ALTER EXTENSION procrastinate_migrate UPDATE;"};
    throw Refusal{common::sqlstate::no_history,
                  schema + " holds Procrastinate's tables but no history",
                  "Nothing records which migrations have been applied, so none can be run.",
                  "To find out and record it: SELECT procrastinate_adopt(" +
                      std::string(installation.quoted_text) + ");"};
}

void require_finished(const State &state, const catalog::Installation &installation)
{
    if (!state.under_way)
        return;
    const std::string revision(chain::name(state.under_way->revision));
    throw Refusal{common::sqlstate::under_way,
                  "migration " + revision + " is under way in schema \"" +
                      std::string(installation.name) + "\"",
                  state.under_way->number == 0
                      ? std::string("It has been begun, and none of its steps is done.")
                      : "Step " + std::to_string(state.under_way->number) + " of " +
                            std::to_string(chain::steps(state.under_way->revision).size()) +
                            " was the last one that was done.",
                  "To finish it: CALL procrastinate_migrate('" + revision + "', schema => " +
                      std::string(installation.quoted_text) + ");"};
}

void create_history(const catalog::Installation &installation)
{
    // Several statements at once are as good as one here: a failure names the table.
    spi::execute(create_history_sql(table_of(installation)).c_str());
}

void append(const catalog::Installation &installation, std::string_view event, chain::Revision from,
            chain::Revision to, TimestampTz started)
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
    spi::execute(append_history_sql(table_of(installation), "$1, $2, $3, $4, $5").c_str(),
                 parameters);
    sync_version_tables(from, to);
    if (from != to)
    {
        const std::string revision(chain::name(to));
        server::call([&revision] { Async_Notify("procrastinate_schema", revision.c_str()); });
    }
    catalog::require_same_name(installation);
}

} // namespace procrastinate::upgrade
