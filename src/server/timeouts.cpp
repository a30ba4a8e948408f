#include "server/timeouts.hpp"

#include <cstdlib>

namespace procrastinate::server
{

namespace
{

double milliseconds_until(TimestampTz time)
{
    return static_cast<double>(time - GetCurrentTimestamp()) / 1000;
}

// As SHOW prints it.
std::string value_of(const char *setting)
{
    return call([setting] { return GetConfigOptionByName(setting, nullptr, false); });
}

// In milliseconds; 0 if the server does not have the setting.
double milliseconds_of(const char *setting)
{
    const char *const value = call([setting] { return GetConfigOption(setting, true, false); });
    return value == nullptr ? 0 : std::strtod(value, nullptr);
}

} // namespace

// The timer decides, not the setting: the server starts it with the statement. From PostgreSQL 17
// on it starts none if transaction_timeout is not longer.
std::optional<TimeLimit> statement_limit()
{
    if (!get_timeout_active(STATEMENT_TIMEOUT))
        return std::nullopt;
    const TimestampTz began = get_timeout_start_time(STATEMENT_TIMEOUT);
    const TimestampTz ends = get_timeout_finish_time(STATEMENT_TIMEOUT);
    return TimeLimit{"statement_timeout", value_of("statement_timeout"),
                     static_cast<double>(ends - began) / 1000, milliseconds_until(ends)};
}

std::optional<TimeLimit> transaction_limit()
{
    constexpr const char *setting = "transaction_timeout";
    const double whole = milliseconds_of(setting);
    if (whole <= 0)
        return std::nullopt;
    const TimestampTz ends =
        GetCurrentTransactionStartTimestamp() + static_cast<TimestampTz>(whole * 1000);
    return TimeLimit{setting, value_of(setting), whole, milliseconds_until(ends)};
}

bool is_of_statement_timeout(const ServerError &error)
{
    // The message is translated, its id is not.
    const ErrorData &data = *error.data();
    return data.sqlerrcode == ERRCODE_QUERY_CANCELED && data.message_id != nullptr &&
           std::string_view(data.message_id) == "canceling statement due to statement timeout";
}

void explain(ServerError &error, const Explanation &explanation)
{
    error.set_detail("statement_timeout is " + value_of("statement_timeout") +
                     " for the whole statement. " + explanation.detail);
    // A transaction block that has failed takes no other statement first.
    error.set_hint(std::string(IsTransactionBlock() ? "ROLLBACK;\n" : "") +
                   "SET statement_timeout = 0;\n" + explanation.call);
}

} // namespace procrastinate::server
