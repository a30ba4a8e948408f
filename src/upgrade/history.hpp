// History table of an installation, procrastinate_schema_history: read it, create it, append to it.
//
// Each change appends one row in its own transaction; no row is ever updated. A migration that runs
// in steps appends one row a step, and positions inside a long one. The to_revision of the last row
// that this database has written is the current revision (upgrade/installation_state.hpp).
// Replication, a restore of the data alone or a copy between servers can bring rows of others.
//
// Everything here runs inside an SPI connection. Under a search_path of the server's own, except
// create_history(), which sets one.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "common/refusal.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

// Values of the column event.
namespace event
{
inline constexpr std::string_view upgrade = "upgrade"; // a migration was run
inline constexpr std::string_view install = "install"; // the schema of head was created directly
inline constexpr std::string_view stamp = "stamp";     // a user recorded a revision
inline constexpr std::string_view adopt = "adopt";     // what the catalog or a copied history says
inline constexpr std::string_view repair = "repair";   // differences were repaired
inline constexpr std::string_view step = "step ";      // then the step's name (chain::step_name)
} // namespace event

// A row of the history.
struct Event
{
    std::int64_t id;
    std::string name; // column event
    std::string from; // revisions as they are written there; this version may not know them
    std::string to;
    TimestampTz applied_at;
    std::string applied_by;           // role
    std::optional<Interval> duration; // empty if NULL
    std::string version;              // of the library that wrote it
    bool is_own;                      // written by this database
};

enum class Events
{
    own, // in the order of their ids
    all  // those of one database after those of another
};

enum class EventOrder
{
    oldest_first,
    newest_first
};

// Calls visit(event) for the events that are committed now, whatever the caller's snapshot is, as
// the catalog is read, until it returns false. Returns false if there is no history table. Holds
// ACCESS SHARE on the table meanwhile, and one event in memory. Texts are cut after 1000 bytes.
// Throws Refusal PM010 if the table is not a plain table with the history's columns and its primary
// key, belongs neither to the jobs table's owner nor to a superuser, or has more than 8000 pages;
// 42501 if the caller may not read it; 3F000 if the schema was dropped meanwhile.
bool visit_history(const catalog::Installation &installation, Events events, EventOrder order,
                   const std::function<bool(const Event &)> &visit);

// The refusal PM010 of a table that only has the history's name.
common::Refusal not_a_history_table(const catalog::Installation &installation);

// The revision that a name in the history means; empty if this version does not know the name.
std::optional<chain::Revision> recorded_revision(std::string_view name);

// Creates the table, readable by every role.
void create_history(const catalog::Installation &installation);

// Appends a row for an event that began at `started` and ends now. Needs SHARE ROW EXCLUSIVE on the
// table (lock_tables), which makes the id unique. Other tools and listeners learn of the change
// from record_change(). Throws Refusal 55000 if the row is not there afterwards.
void append_history(const catalog::Installation &installation, std::string_view event,
                    chain::Revision from, chain::Revision to, TimestampTz started);

} // namespace procrastinate::upgrade
