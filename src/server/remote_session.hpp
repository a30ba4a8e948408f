// A session on another server, or in another database, by contrib's dblink.
//
// dblink is not linked: its functions are called by their OIDs, not by names, which another role
// could give to functions of its own. Each call runs in a subtransaction, so that the transaction
// can go on after an error.
#pragma once

#include "server/error_boundary.hpp"

#include <array>
#include <optional>
#include <string>

namespace procrastinate::server
{

// In the order of dblink_functions.sql.
enum class DblinkFunction : std::uint8_t
{
    connect,
    cancel_query,
    disconnect,
    exec,
    query,
    send_query,
    is_busy,
    get_result
};

using DblinkFunctions = std::array<Oid, 8>;

// Nothing if dblink is not installed in this database. Throws Refusal 42501 if the current role may
// not execute its functions. Inside an SPI connection.
std::optional<DblinkFunctions> find_dblink();

class RemoteSession
{
  public:
    // Connects by the foreign server and the current role's user mapping. The server keeps its name
    // until the end of the transaction. Throws Refusal 55000 if it has been dropped. All functions
    // throw ServerError: what dblink raises, with the SQLSTATE and the texts of the other server's
    // error, or 57014 if this session is cancelled. Outside of an SPI connection.
    RemoteSession(const DblinkFunctions &functions, Oid server);
    RemoteSession(const RemoteSession &) = delete;
    RemoteSession &operator=(const RemoteSession &) = delete;
    // Cancels what runs there and closes the connection. An error becomes a WARNING.
    ~RemoteSession();

    // Runs statements there that return nothing, and waits for them.
    void execute(const std::string &statements) const;
    // Runs a query there, and waits for it. Returns the text in its only column and first row.
    std::optional<std::string> fetch(const std::string &query) const;
    // Sends a statement, and does not wait.
    void send(const std::string &statement) const;
    // True while it runs.
    bool is_busy() const;
    // Throws its error, after it has ended.
    void finish() const;

  private:
    Oid oid_of(DblinkFunction function) const
    {
        return functions_[static_cast<std::size_t>(function)];
    }

    DblinkFunctions functions_;
    std::string connection_;
};

} // namespace procrastinate::server
