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

struct RawEvent
{
    Datum values[columns.size()];
    bool nulls[columns.size()];
};

struct Scan
{
    bool is_plain;
    bool is_allowed;
    List *rows; // of RawEvent
};

// A view, a policy or a type of a stranger in the table's place would run code of his as the reader.
// Inside call().
bool is_plain_table(Relation table, AttrNumber *numbers)
{
    const auto *const form = table->rd_rel;
    bool is_plain =
        form->relkind == RELKIND_RELATION && !form->relrowsecurity && !form->relhasrules;
    for (std::size_t i = 0; i < columns.size(); ++i)
    {
        numbers[i] = get_attnum(RelationGetRelid(table), columns[i].name);
        is_plain = is_plain && numbers[i] > 0 &&
                   get_atttype(RelationGetRelid(table), numbers[i]) == columns[i].type;
    }
    return is_plain;
}

// Reads the rows as they are, the way a catalog is read without an index: the planner would evaluate
// what an owner has put into an index's expression.
Scan scan(Oid oid)
{
    return server::call([oid] {
        Scan found{false, pg_class_aclcheck(oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK, NIL};
        AttrNumber numbers[columns.size()] = {};
        Relation const table = relation_open(oid, AccessShareLock);
        found.is_plain = is_plain_table(table, numbers);
        if (found.is_plain && found.is_allowed)
        {
            Snapshot const snapshot = RegisterSnapshot(GetLatestSnapshot());
            PushActiveSnapshot(snapshot);
            const TupleDesc shape = RelationGetDescr(table);
            auto *const values = static_cast<Datum *>(palloc(sizeof(Datum) * shape->natts));
            auto *const nulls = static_cast<bool *>(palloc(sizeof(bool) * shape->natts));
            SysScanDesc const descriptor =
                systable_beginscan(table, InvalidOid, false, snapshot, 0, nullptr);
            while (HeapTuple const tuple = systable_getnext(descriptor))
            {
                CHECK_FOR_INTERRUPTS();
                heap_deform_tuple(tuple, shape, values, nulls);
                auto *const row = static_cast<RawEvent *>(palloc(sizeof(RawEvent)));
                for (std::size_t i = 0; i < columns.size(); ++i)
                {
                    const int attribute = numbers[i] - 1;
                    row->nulls[i] = nulls[attribute];
                    row->values[i] = values[attribute];
                    if (row->nulls[i])
                        continue;
                    if (columns[i].type == TEXTOID)
                        row->values[i] = CStringGetDatum(TextDatumGetCString(row->values[i]));
                    else if (columns[i].type == INTERVALOID)
                        row->values[i] = datumCopy(row->values[i], false, sizeof(Interval));
                }
                found.rows = lappend(found.rows, row);
            }
            systable_endscan(descriptor);
            PopActiveSnapshot();
            UnregisterSnapshot(snapshot);
        }
        relation_close(table, AccessShareLock);
        return found;
    });
}

std::string_view text_of(const RawEvent &row, std::size_t column)
{
    return row.nulls[column] ? std::string_view() : DatumGetCString(row.values[column]);
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
                     server::pmr::memory_resource &memory)
{
    History history{false, server::pmr::vector<Event>(&memory)};
    const Oid schema = installation.schema;
    const Oid table =
        server::call([schema] { return get_relname_relid(catalog::history_table, schema); });
    if (!OidIsValid(table))
        return history;
    const Scan found = scan(table);
    if (!found.is_plain)
        throw Refusal{chain::sqlstate::untrusted_object,
                      in_schema(installation) + " is not a history",
                      "It is no plain table with the columns that procrastinate_migrate gave it, "
                      "or it has rules or row-level security.",
                      "Find out who made it, and rename or drop it."};
    if (!found.is_allowed)
        throw Refusal{chain::sqlstate::insufficient_privilege,
                      "permission denied for table " + std::string(catalog::history_table),
                      "You need SELECT on the table.",
                      "GRANT SELECT ON " + in_schema(installation) + " TO PUBLIC;"};
    history.exists = true;
    history.events.reserve(static_cast<std::size_t>(list_length(found.rows)));
    for (int i = 0; i < list_length(found.rows); ++i)
    {
        const auto &row = *static_cast<const RawEvent *>(list_nth(found.rows, i));
        history.events.push_back({row.values[0], text_of(row, 1), text_of(row, 2), text_of(row, 3),
                                  row.values[4], text_of(row, 5),
                                  row.nulls[6] ? std::nullopt : std::optional(row.values[6]),
                                  text_of(row, 7)});
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

State state_of(const catalog::Installation &installation, const History &history)
{
    State state;
    state.has_history = history.exists;
    if (!history.events.empty())
    {
        state.last = history.events.back();
        state.recorded = state.last->to;
        state.standing = {recorded_revision(state.last->to),
                          "the history ends at a revision that this version does not know",
                          chain::sqlstate::unknown_history};
    }
    else if (catalog::has_relation(installation, "procrastinate_jobs"))
        state.standing = {std::nullopt, "the schema holds Procrastinate's tables but no history",
                          chain::sqlstate::no_history};
    else
        state.standing = {chain::base, {}, {}};
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
                  "To find out and record it: SELECT procrastinate_adopt(" +
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
    catalog::require_same_name(installation);
}

} // namespace procrastinate::migrate
