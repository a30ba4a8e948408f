// The server's limits on the duration of a statement or a transaction: statement_timeout and
// transaction_timeout.
#pragma once

#include "server/error_boundary.hpp"

#include <string>

namespace procrastinate::server
{

struct TimeLimit
{
    const char *setting; // "statement_timeout"
    std::string value;   // as SHOW prints it: "30s"
    double whole;        // milliseconds
    double left;         // milliseconds of the current statement or transaction
};

// The limit of the statement that the client has sent; nothing if it has none. A SET inside of the
// statement, or of a function that it calls, does not change it.
std::optional<TimeLimit> statement_limit();

// The limit of the current transaction; nothing if it has none, or before PostgreSQL 17.
std::optional<TimeLimit> transaction_limit();

// True if the error is the server's cancel by statement_timeout.
bool is_of_statement_timeout(const ServerError &error);

struct Explanation
{
    std::string detail; // a sentence or several: how far the statement has come
    std::string call;   // SQL that runs the statement again
};

// Adds a DETAIL, which also names statement_timeout and its value, and a HINT: SQL that switches
// the setting off, and the call.
void explain(ServerError &error, const Explanation &explanation);

// Runs `body`. If statement_timeout ends it, adds what `explanation()` returns to the error.
template <typename Body, typename Explain>
auto explaining_statement_timeout(Body &&body, Explain &&explanation)
    -> std::invoke_result_t<Body &>
{
    try
    {
        return body();
    }
    catch (ServerError &error)
    {
        if (is_of_statement_timeout(error))
            explain(error, explanation());
        throw;
    }
}

} // namespace procrastinate::server
