// What the extension says when it will not do what was asked: the exception that every layer throws
// for an error of ours. The server's own errors travel as server::ServerError.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::common
{

// SQLSTATEs of our own, in a class (PM) that neither the standard nor PostgreSQL uses
// (PostgreSQL's documentation, appendix A), and the few of the server's that we raise ourselves.
namespace sqlstate
{
inline constexpr std::string_view unknown_revision = "PM001";   // no such revision, file, release
inline constexpr std::string_view relative_overshoot = "PM002"; // +99 leaves the chain
inline constexpr std::string_view invalid_range =
    "PM003"; // not a range, or one that runs backwards
inline constexpr std::string_view behind_current = "PM004"; // an upgrade cannot go back
inline constexpr std::string_view no_history = "PM005"; // Procrastinate's objects, but no history
inline constexpr std::string_view unknown_history =
    "PM006"; // the history ends where this version knows nothing
inline constexpr std::string_view needs_commit = "PM007"; // one transaction cannot do it
inline constexpr std::string_view version_mismatch =
    "PM008"; // library and installed extension differ
inline constexpr std::string_view catalog_contradicts = "PM009"; // the catalog says otherwise
inline constexpr std::string_view untrusted_object = "PM010"; // a stranger owns what we would use
inline constexpr std::string_view no_route = "PM011";  // no deployment without downtime leads there
inline constexpr std::string_view under_way = "PM012"; // a migration has been begun and not ended
inline constexpr std::string_view still_used = "PM013";     // what would be dropped is called
inline constexpr std::string_view not_in_time = "PM014";    // waited for in vain
inline constexpr std::string_view rows_unchanged = "55000"; // object not in prerequisite state
inline constexpr std::string_view no_worker = "53400";      // configuration limit exceeded
inline constexpr std::string_view lock_not_available = "55P03";
inline constexpr std::string_view feature_not_supported = "0A000";
inline constexpr std::string_view active_transaction = "25001";
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view invalid_parameter = "22023";
inline constexpr std::string_view null_not_allowed = "22004";
inline constexpr std::string_view undefined_schema = "3F000";
} // namespace sqlstate

// Follows the server's message style: message in lower case without a full stop (but for the words
// that users of Alembic search for), detail and hint in whole sentences; empty where there is none.
struct Refusal
{
    std::string_view sqlstate;
    std::string message;
    std::string detail;
    std::string hint;
};

} // namespace procrastinate::common
