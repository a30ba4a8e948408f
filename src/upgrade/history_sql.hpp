// The statements that make and fill the history table: the server runs them, and the offline script
// prints them, so that both keep the same table.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

// The library's own version, as in the control file.
inline constexpr std::string_view library_version = "1.0.0";

// `table` is quoted and qualified as the caller wants it. The lock makes the ids unique, not a
// sequence: one that is made and used in the same transaction can hand out a number again after a
// crash of a server with wal_level = minimal.
std::string create_history_sql(std::string_view table);

// `values` are the expressions for event, from_revision, to_revision, duration and version.
std::string append_history_sql(std::string_view table, std::string_view values);

} // namespace procrastinate::upgrade
