// The chain of migrations and Procrastinate's releases, as embedded in the library. Plain data
// without a server. The build makes it from ../data/ and ../migrations/ (embed.pl).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace procrastinate::chain
{

// A place on the chain: 0 is base (nothing installed), 1 to head() are migrations.
using Revision = int;

inline constexpr Revision base = 0;

// When a migration may run: from 3.0 on, `pre` while the old code still runs, `post` only after the
// last process of the old code has ended.
enum class Phase
{
    none,
    pre,
    post
};

struct Migration
{
    Revision number;
    std::string_view revision; // "0031"
    std::string_view file;     // "03.00.00_50_post_cancel_notification.sql"
    std::string_view title;    // "Post Cancel Notification"
    Phase phase;
    bool writes_rows; // may change existing rows, and so run their triggers
    std::string_view sql;
};

// A Procrastinate release.
struct Release
{
    std::string_view name;
    Revision head;       // the revision of the schema that it ships
    Revision works_from; // the oldest and the newest revision on which its code works
    Revision works_to;
};

std::span<const Migration> migrations();
std::span<const Release> releases(); // oldest first; a head is never older than the one before
// The statements that make the schema of head in an empty schema; `quoted_schema` is its name as an
// identifier. Every name in them is qualified, so that they are safe to run under a search_path
// that does not contain the schema; string literals need standard_conforming_strings = on, and
// function bodies, which are not qualified, check_function_bodies = off.
std::string head_script(std::string_view quoted_schema);

Revision head();

// The migration that leads to a revision after base.
const Migration &migration(Revision revision);

// "base", "0001" … as users read it.
std::string_view name(Revision revision);

// "pre", "post" or nothing.
std::string_view phase_name(Phase phase);

} // namespace procrastinate::chain
