// The history of an installation: one row an event, in a table of its own schema, appended in the
// transaction of the change itself and never updated. The installation is where its last row ends.
// Everything here runs inside an SPI connection and under a search_path of the server's own.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "chain/target.hpp"
#include "server/memory.hpp"

namespace procrastinate::upgrade
{

namespace event
{
inline constexpr std::string_view upgrade = "upgrade"; // a migration was run
inline constexpr std::string_view install = "install"; // the schema of head was made at once
inline constexpr std::string_view stamp = "stamp";     // a user said so
inline constexpr std::string_view adopt = "adopt";     // the catalog said so
inline constexpr std::string_view repair = "repair";   // differences were mended
inline constexpr std::string_view step = "step ";      // and its name: a part of the next migration
} // namespace event

// A row of the history. Texts and intervals live as long as the SPI connection.
struct Event
{
    Datum id; // bigint
    std::string_view name;
    std::string_view from;
    std::string_view to;
    Datum applied_at; // timestamp with time zone
    std::string_view applied_by;
    std::optional<Datum> duration; // interval
    std::string_view version;      // of the extension that wrote it
};

struct History
{
    bool exists;
    server::pmr::vector<Event> events; // oldest first
};

// As committed by now, whatever the caller's snapshot: as the catalog is read, too. Throws Refusal
// PM010 where the table is none that a history is kept in, or has `most` rows; 42501 where the caller may not
// read it.
History read_history(const catalog::Installation &installation,
                     server::pmr::memory_resource &memory, std::size_t most = SIZE_MAX);

// Where an installation stands, and why.
struct State
{
    bool has_history = false;
    std::optional<Event> last; // that is no step
    chain::CurrentRevision current;
    std::string recorded; // where that ends, as written there; empty without one
    std::optional<chain::StepName> under_way; // the last step of a migration that has not ended
    TimestampTz began = 0;                    // that migration
    TimestampTz since = 0; // that step ended; where none has, its first position was recorded
    std::optional<std::string> unknown_step; // the last row, where this version knows no such step

    bool is_unknown_history() const { return last && (!current.revision || unknown_step); }

    // Of an unknown history: "is at revision "0039"", "is in the midst of step "0039.1"".
    std::string whereabouts() const;
};

State state_of(const catalog::Installation &installation, const History &history);

State read_state(const catalog::Installation &installation);

// The revision that a name in the history means, nothing where this version does not know it.
std::optional<chain::Revision> recorded_revision(std::string_view name);

// Throws Refusal PM005 or PM006 where this version cannot tell where the schema is: no change may go on.
chain::Revision require_known(const State &state, const catalog::Installation &installation);

// Throws Refusal PM012 where a migration is under way: only procrastinate_migrate() may go on.
void require_finished(const State &state, const catalog::Installation &installation);

// Makes the table, readable for all.
void create_history(const catalog::Installation &installation);

// Appends an event that began at `started` and ends now, and notifies procrastinate_schema where the
// revision is another one. Throws Refusal 3F000 where the schema was
// renamed meanwhile: what was changed may then be another schema's.
void append(const catalog::Installation &installation, std::string_view event, chain::Revision from,
            chain::Revision to, TimestampTz started);

} // namespace procrastinate::upgrade
