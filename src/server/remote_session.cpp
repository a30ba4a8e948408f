#include "server/remote_session.hpp"

#include "server/messages.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "sql/dblink_connect.hpp"
#include "sql/dblink_disconnect.hpp"
#include "sql/dblink_exec.hpp"
#include "sql/dblink_extension.hpp"
#include "sql/dblink_fetch.hpp"
#include "sql/dblink_is_busy.hpp"
#include "sql/dblink_result.hpp"
#include "sql/dblink_send.hpp"

#include <vector>

namespace procrastinate::server
{

namespace
{

// The first column of the first row, as text. The query finds dblink's functions by search_path:
// with arguments of exactly these types, no other function can come first.
std::optional<std::string> first_value(const std::string &schema, const char *query,
                                       const std::vector<std::string> &arguments)
{
    std::optional<std::string> value;
    in_subtransaction([&] {
        with_search_path(schema.c_str(), [&] {
            spi::connected([&] {
                std::vector<spi::Parameter> parameters;
                parameters.reserve(arguments.size());
                for (const std::string &argument : arguments)
                    parameters.push_back(spi::text_parameter(argument));
                const spi::Rows rows = spi::read_latest(query, parameters);
                if (rows.count() > 0)
                    value = rows.text(0, 1);
            });
        });
    });
    return value;
}

// A destructor must not throw.
void warn_of(const ServerError &error) noexcept
{
    try
    {
        warning(std::string("a connection of dblink could not be closed: ") + error.data()->message,
                {}, {});
    }
    catch (const ServerError &)
    {
        // The session is cancelled, or its client has gone: its end closes the connection.
    }
}

} // namespace

std::optional<std::string> RemoteSession::dblink_schema()
{
    const spi::Rows rows = spi::read_latest(sql::dblink_extension);
    if (rows.count() == 0)
        return std::nullopt;
    return std::string(rows.text(0, 1).value());
}

// The OID, because dblink cuts the names of connections.
RemoteSession::RemoteSession(std::string dblink_schema, Oid server, const std::string &server_name)
    : dblink_schema_(std::move(dblink_schema)),
      connection_("procrastinate_migrate_" + std::to_string(server))
{
    (void)first_value(dblink_schema_, sql::dblink_connect, {connection_, server_name});
}

RemoteSession::~RemoteSession()
{
    try
    {
        (void)first_value(dblink_schema_, sql::dblink_disconnect, {connection_});
    }
    catch (const ServerError &error)
    {
        warn_of(error);
    }
}

void RemoteSession::execute(const std::string &statements) const
{
    (void)first_value(dblink_schema_, sql::dblink_exec, {connection_, statements});
}

std::optional<std::string> RemoteSession::fetch(const std::string &query) const
{
    return first_value(dblink_schema_, sql::dblink_fetch, {connection_, query});
}

void RemoteSession::send(const std::string &statement) const
{
    (void)first_value(dblink_schema_, sql::dblink_send, {connection_, statement});
}

bool RemoteSession::is_busy() const
{
    return first_value(dblink_schema_, sql::dblink_is_busy, {connection_}) == "1";
}

void RemoteSession::finish() const
{
    (void)first_value(dblink_schema_, sql::dblink_result, {connection_});
}

} // namespace procrastinate::server
