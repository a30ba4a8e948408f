#include "migrate/history.hpp"

#include "chain/refusal.hpp"
#include "migrate/history_sql.hpp"
#include "server/spi.hpp"

namespace procrastinate::migrate
{

namespace
{

namespace spi = server::spi;
using chain::Refusal;
using std::string_literals::operator""s;

struct Column
{
    const char *name;
    Oid type;
};

constexpr std::array<Column, 8> columns{{{"id", INT8OID},
                                         {"event", TEXTOID},
                                         {"from_revision", TEXTOID},
                                         {"to_revision", TEXTOID},
                                         {"applied_at", TIMESTAMPTZOID},
                                         {"applied_by", TEXTOID},
                                         {"duration", INTERVALOID},
                                         {"version", TEXTOID}}};

std::string in_schema(const catalog::Installation &installation)
{
    return installation.quoted + "."s + catalog::history_table;
}

// A view, a policy or a type of a stranger in the table's place would run code of his as the reader.
bool is_plain_table(Oid table)
{
    return server::call([table] {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
        if (!HeapTupleIsValid(tuple))
            return false;
        const auto *const row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
        bool is_plain =
            row->relkind == RELKIND_RELATION && !row->relrowsecurity && !row->relhasrules;
        ReleaseSysCache(tuple);
        for (const Column &column : columns)
        {
            const AttrNumber number = get_attnum(table, column.name);
            is_plain = is_plain && number > 0 && get_atttype(table, number) == column.type;
        }
        return is_plain;
    });
}

bool has_history(const catalog::Installation &installation)
{
    const Oid schema = installation.schema;
    const Oid table =
        server::call([schema] { return get_relname_relid(catalog::history_table, schema); });
    if (!OidIsValid(table))
        return false;
    if (!is_plain_table(table))
        throw Refusal{chain::sqlstate::untrusted_object,
                      in_schema(installation) + " is not a history",
                      "It is no plain table with the columns that procrastinate_migrate gave it, "
                      "or it has rules or "
                      "row-level security.",
                      "Find out who made it, and rename or drop it."};
    return true;
}

server::pmr::vector<Event> select_events(const catalog::Installation &installation,
                                         Snapshot snapshot, const char *order,
                                         server::pmr::memory_resource &memory)
{
    const std::string query =
        "SELECT id, event, from_revision, to_revision, applied_at, applied_by, duration, version "
        "FROM ONLY " +
        in_schema(installation) + " ORDER BY id " + order;
    const spi::Rows rows =
        snapshot == Snapshot::callers ? spi::read(query.c_str()) : spi::read_latest(query.c_str());
    server::pmr::vector<Event> events(&memory);
    events.reserve(rows.count());
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        events.push_back({rows.datum(row, 1).value_or(Datum(0)), rows.text(row, 2).value_or(""),
                          rows.text(row, 3).value_or(""), rows.text(row, 4).value_or(""),
                          rows.datum(row, 5).value_or(Datum(0)), rows.text(row, 6).value_or(""),
                          rows.datum(row, 7), rows.text(row, 8).value_or("")});
    return events;
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

server::pmr::vector<Event> read_history(const catalog::Installation &installation,
                                        server::pmr::memory_resource &memory)
{
    if (!has_history(installation))
        return server::pmr::vector<Event>(&memory);
    return select_events(installation, Snapshot::callers, "ASC", memory);
}

State read_state(const catalog::Installation &installation, Snapshot snapshot)
{
    server::ContextResource memory;
    State state;
    state.has_history = has_history(installation);
    if (state.has_history)
    {
        const server::pmr::vector<Event> last =
            select_events(installation, snapshot, "DESC LIMIT 1", memory);
        if (!last.empty())
        {
            state.last = last.front();
            state.recorded = state.last->to;
            state.standing = {recorded_revision(state.last->to),
                              "the history ends at a revision that this version does not know"};
            return state;
        }
    }
    if (catalog::has_relation(installation, "procrastinate_jobs"))
        state.standing = {std::nullopt, "the schema holds Procrastinate's tables but no history"};
    else
        state.standing = {chain::base, {}};
    return state;
}

chain::Revision require_known(const State &state, const catalog::Installation &installation)
{
    if (state.standing.revision)
        return *state.standing.revision;
    const std::string schema = "schema \"" + std::string(installation.name) + "\"";
    if (state.is_unknown_history())
        throw Refusal{
            chain::sqlstate::unknown_history,
            schema + " is at revision \"" + chain::excerpt(state.recorded) + "\", which version " +
                std::string(library_version) + " of procrastinate_migrate does not know",
            "A newer version has been at work here; this one knows the revisions 0001 to " +
                std::string(chain::name(chain::head())) + ".",
            "Install the newer version, then run ALTER EXTENSION procrastinate_migrate UPDATE;"};
    throw Refusal{chain::sqlstate::no_history,
                  schema + " holds Procrastinate's tables but no history",
                  "Nothing records which migrations have been applied, so none can be run.",
                  "Record the revision that the schema is at, for example that of release 2.15.1: "
                  "SELECT procrastinate_stamp('2.15.1', schema => " +
                      std::string(installation.quoted_text) + ");"};
}

void create_history(const catalog::Installation &installation)
{
    // Several statements at once are as good as one here: a failure names the table.
    spi::execute(create_history_sql(in_schema(installation)).c_str());
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
    spi::execute(append_history_sql(in_schema(installation), "$1, $2, $3, $4, $5").c_str(),
                 parameters);
}

} // namespace procrastinate::migrate
