// A session on another server, or in another database, by contrib's dblink.
//
// dblink is not linked: its functions are called by SQL, where it is installed. Each call runs in a
// subtransaction, so that the transaction can go on after an error.
#pragma once

#include "server/error_boundary.hpp"

#include <optional>
#include <string>

namespace procrastinate::server
{

class RemoteSession
{
  public:
    // The schema of dblink, quoted. Nothing if it is not installed in this database. Inside an SPI
    // connection.
    static std::optional<std::string> dblink_schema();

    // Connects by the foreign server and the current role's user mapping. All functions throw
    // ServerError: what dblink raises, with the SQLSTATE and the texts of the other server's error,
    // or 57014 if this session is cancelled. Outside of an SPI connection.
    RemoteSession(std::string dblink_schema, Oid server, const std::string &server_name);
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
    std::string dblink_schema_;
    std::string connection_;
};

} // namespace procrastinate::server
