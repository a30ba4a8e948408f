// SQLSTATEs of our own errors, and Refusal, the exception that every layer throws for them.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::common
{

// Class PM is used neither by the SQL standard nor by PostgreSQL (its manual, appendix A). The
// others are PostgreSQL's.
namespace sqlstate
{
// No revision, file or release has this name.
inline constexpr std::string_view unknown_revision = "PM001";
// A relative target such as +99 leaves the chain.
inline constexpr std::string_view relative_overshoot = "PM002";
// The text is not a range, or the range runs backwards.
inline constexpr std::string_view invalid_range = "PM003";
// The schema is past the revisions that a release works on.
inline constexpr std::string_view past_release = "PM004";
// The schema has Procrastinate's objects but no history table.
inline constexpr std::string_view no_history = "PM005";
// The last row of the history names a revision that this library does not know.
inline constexpr std::string_view unknown_history = "PM006";
// The revision cannot be reached in one transaction.
inline constexpr std::string_view needs_commit = "PM007";
// Library and installed extension have different versions.
inline constexpr std::string_view version_mismatch = "PM008";
// The catalog differs from what the revision says.
inline constexpr std::string_view catalog_contradicts = "PM009";
// A table has the wrong shape, or code on it that could run as another role.
inline constexpr std::string_view untrusted_object = "PM010";
// No deployment without downtime leads to the release.
inline constexpr std::string_view no_route = "PM011";
// An online migration has begun and not ended.
inline constexpr std::string_view under_way = "PM012";
// A function that the migration drops is still called.
inline constexpr std::string_view still_used = "PM013";
// procrastinate_wait() reached its timeout.
inline constexpr std::string_view not_in_time = "PM014";
// procrastinate_require() found pending migrations, or no installation.
inline constexpr std::string_view not_reached = "PM015";
// procrastinate_migrate_all() or procrastinate_require_all(): some installations failed.
inline constexpr std::string_view fleet_failed = "PM016";
inline constexpr std::string_view rows_unchanged = "55000"; // object_not_in_prerequisite_state
inline constexpr std::string_view no_worker = "53400";      // configuration_limit_exceeded
inline constexpr std::string_view lock_not_available = "55P03";
inline constexpr std::string_view feature_not_supported = "0A000";
inline constexpr std::string_view active_transaction = "25001"; // active_sql_transaction
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view invalid_parameter = "22023"; // invalid_parameter_value
inline constexpr std::string_view null_not_allowed = "22004";  // null_value_not_allowed
inline constexpr std::string_view datatype_mismatch = "42804";
inline constexpr std::string_view undefined_schema = "3F000"; // invalid_schema_name
} // namespace sqlstate

// A place in the source. As std::source_location, which clang 14 does not have.
struct SourceLocation
{
    const char *file;
    int line;
    const char *function;

    // The place of the call; the caller passes no arguments.
    static constexpr SourceLocation current(const char *file = __builtin_FILE(),
                                            int line = __builtin_LINE(),
                                            const char *function = __builtin_FUNCTION())
    {
        return {file, line, function};
    }
};

// An error of ours. The server's own errors are server::ServerError.
//
// The texts follow PostgreSQL's message style: a message begins in lower case and has no full stop
// (except texts of Alembic that users search for), detail and hint are whole sentences. An empty
// detail or hint is left out.
struct Refusal
{
    std::string_view sqlstate;
    std::string message;
    std::string detail;
    std::string hint;
    // Where the object was made, normally by `throw Refusal{…}`. \errverbose in psql shows it.
    SourceLocation location = SourceLocation::current();
};

} // namespace procrastinate::common
