#include "fleet/migrate_servers.hpp"

#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "fleet/name_patterns.hpp"
#include "server/cancel_watch.hpp"
#include "server/messages.hpp"
#include "server/remote_session.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "sql/foreign_servers.hpp"
#include "sql/remote_check_extension.hpp"
#include "sql/remote_extension.hpp"
#include "sql/remote_installations.hpp"
#include "sql/remote_migrate_all.hpp"
#include "sql/remote_settings.hpp"

namespace procrastinate::fleet
{

namespace
{

namespace spi = server::spi;

struct Server
{
    Oid oid;
    std::string name;
};

struct Servers
{
    server::DblinkFunctions dblink;
    std::vector<Server> list;
};

// What is called on each server.
struct RemoteCall
{
    std::string target;  // a literal
    std::string schemas; // an array
    std::string options; // named arguments
    bool dry_run;
};

std::string name_of(const Server &server)
{
    return "server " + common::quoted_identifier(server.name);
}

std::string array_of(const std::vector<std::string> &texts)
{
    std::string list;
    for (const std::string &text : texts)
        list += (list.empty() ? "" : ", ") + common::quoted_literal(text);
    return "ARRAY[" + list + "]::text[]";
}

// The DO block that checks the extension there, then runs a statement, or nothing.
std::string block(const std::string &schema, std::string_view statement)
{
    return "DO " + common::quoted_literal(common::substitute(
                       sql::remote_check_extension,
                       {{"name", common::quoted_literal(schema)}, {"call", statement}}));
}

// Returns the error that `body` throws, but not if this session is cancelled.
template <typename Body> std::optional<Failure> failure_of(Body &&body)
{
    const server::CancelWatch watch;
    try
    {
        body();
        return std::nullopt;
    }
    catch (const server::ServerError &error)
    {
        server::CancelWatch::require_none();
        const ErrorData *const data = error.data();
        return Failure{unpack_sql_state(data->sqlerrcode), data->message,
                       data->detail == nullptr ? "" : data->detail};
    }
    catch (const common::Refusal &refusal)
    {
        return Failure{std::string(refusal.sqlstate), refusal.message, refusal.detail};
    }
}

// The call on one server. An error there, or of the connection, is its end.
class ServerRun : public RunningWork
{
  public:
    ServerRun(const server::DblinkFunctions &dblink, const Server &there, const RemoteCall &call)
        : failure_(failure_of([&] { begin(dblink, there, call); })),
          is_running_(!failure_ && !call.dry_run)
    {
    }

    bool is_running() override
    {
        if (!is_running_)
            return false;
        failure_ = failure_of([this] {
            is_running_ = session_->is_busy();
            if (!is_running_)
                session_->finish();
        });
        if (failure_)
            is_running_ = false;
        return is_running_;
    }

    std::optional<Failure> failure() const override { return failure_; }

  private:
    void begin(const server::DblinkFunctions &dblink, const Server &there, const RemoteCall &call)
    {
        session_.emplace(dblink, there.oid);
        session_->execute(sql::remote_settings);
        const std::optional<std::string> name = session_->fetch(sql::remote_extension);
        if (!name)
            throw common::Refusal{common::sqlstate::rows_unchanged,
                                  "extension procrastinate_migrate is not installed there",
                                  {},
                                  {}};
        const std::string extension = common::quoted_identifier(*name);
        if (call.dry_run)
            tell_installations(there, extension, block(*name, {}), call);
        else
            session_->send(block(
                *name, common::substitute(sql::remote_migrate_all, {{"extension", extension},
                                                                    {"target", call.target},
                                                                    {"schemas", call.schemas},
                                                                    {"options", call.options}})));
    }

    // The check keeps the schema's name until the end of the transaction.
    void tell_installations(const Server &there, const std::string &extension,
                            const std::string &check, const RemoteCall &call) const
    {
        session_->execute("BEGIN");
        session_->execute(check);
        const std::optional<std::string> found = session_->fetch(common::substitute(
            sql::remote_installations, {{"extension", extension}, {"schemas", call.schemas}}));
        session_->execute("COMMIT");
        server::notice(name_of(there) + ": " + found.value_or(""));
    }

    std::optional<server::RemoteSession> session_; // before failure_, whose value needs it
    std::optional<Failure> failure_;
    bool is_running_;
};

// The owner of a server says where it is, and may create user mappings for any role.
void warn_of_owner(const std::string &server, const std::string &owner, bool is_superuser)
{
    const std::string name = common::quoted_identifier(server);
    server::warning("server " + name + " is left out, because it belongs to role " +
                        common::quoted_identifier(owner),
                    is_superuser
                        ? "A superuser connects only to servers of superusers."
                        : "A role connects only to servers of its own roles and of superusers.",
                    "Look at its options and user mappings first. Then" +
                        std::string(is_superuser ? "" : ", as a superuser") + ": ALTER SERVER " +
                        name + " OWNER TO CURRENT_USER;");
}

Servers servers_that_fit(const std::vector<std::string> &patterns)
{
    return spi::connected(spi::Mode::may_commit, [&] {
        return server::with_search_path(nullptr, [&] {
            const std::optional<server::DblinkFunctions> dblink = server::find_dblink();
            if (!dblink)
                throw common::Refusal{common::sqlstate::rows_unchanged,
                                      "extension dblink is not installed in this database",
                                      {},
                                      "CREATE EXTENSION dblink;"};
            Servers servers{*dblink, {}};
            const spi::Rows rows = spi::read_latest(sql::foreign_servers);
            for (std::uint64_t row = 0; row < rows.count(); ++row)
            {
                const std::string name(rows.text(row, 2).value());
                if (!fits_one(name, patterns))
                    continue;
                if (!rows.boolean(row, 4))
                    warn_of_owner(name, std::string(rows.text(row, 3).value()),
                                  rows.boolean(row, 5));
                else
                    servers.list.push_back({DatumGetObjectId(rows.datum(row, 1).value()), name});
            }
            return servers;
        });
    });
}

} // namespace

void migrate_servers(std::string_view target, const std::vector<std::string> &servers,
                     const std::vector<std::string> &schemas, const online::CallOptions &call,
                     const FleetOptions &options)
{
    const Servers found = servers_that_fit(servers);
    if (found.list.empty())
        throw common::Refusal{common::sqlstate::invalid_parameter,
                              "no foreign server that you may use fits the argument \"servers\"",
                              "Servers of dblink_fdw and postgres_fdw count.",
                              "To see all: \\des+ in psql."};
    const RemoteCall remote{common::quoted_literal(target), array_of(schemas),
                            online::changed_options(call), options.dry_run};
    std::deque<Work> works;
    for (const Server &server : found.list)
    {
        const std::string alone = "CALL " + common::own_function("procrastinate_migrate_servers") +
                                  "(" + remote.target + ", servers => " +
                                  array_of({pattern_of(server.name)}) + ", schemas => " +
                                  remote.schemas + online::changed_options(call) +
                                  (options.dry_run ? ", dry_run => true);" : ");");
        works.push_back({name_of(server), alone, [&found, &remote, server](std::size_t) {
                             return std::make_unique<ServerRun>(found.dblink, server, remote);
                         }});
    }
    run_all("servers", std::move(works), options);
}

} // namespace procrastinate::fleet
