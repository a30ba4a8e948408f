// Migration 0024, a special case: it replaces the column procrastinate_events.job_id by a new one.
//
// The steps of other migrations change an object in place, or build an index beside it. 0024 adds a
// column, fills it, and drops the old one: indexes, views, privileges and whatever else users have
// attached to the old column would be lost.
#pragma once

#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

inline constexpr chain::Revision replaces_column = 24;

// If the path leads through 0024: throws Refusal PM009 with
// - what depends on the column, or is a property of it or of its index, and is not Procrastinate's;
// - tables that inherit the column or from which it is inherited;
// - triggers that may set the column, and triggers and rules that batches to come would fire;
// - what batches or the build of the new index would fail at;
// - before the first step, objects whose names the migration needs, and publications that would
//   send the new column. src/sql/column_replacement.sql has the details. Reads the catalog only.
//   Runs inside an SPI connection and under a search_path of the server's own.
void require_replaceable(const catalog::Installation &installation,
                         const upgrade::UpgradePath &path);

} // namespace procrastinate::online
