#include "online/wait.hpp"

#include "chain/target.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "online/call_options.hpp"
#include "online/session_markers.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "server/timeouts.hpp"
#include "sql/can_listen.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/installation_state.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/require.hpp"
#include "upgrade/requirement.hpp"

#include <functional>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

constexpr double between_reads = 1000;       // milliseconds
constexpr double largest_lock_timeout = 1e9; // milliseconds
// A call reads no notifications, and the server keeps those that a listening session has not read.
// So it stops listening from time to time.
constexpr std::int64_t longest_listening = 60'000'000; // microseconds

// LISTEN "procrastinate_schema" for the duration of the wait, unless the session listens already or
// cannot. An error in run() ends it.
class Listening
{
  public:
    // Runs `body` in a transaction of its own. The subtransaction lets that transaction end the
    // listening if `body` fails.
    template <typename Body> void run(Body &&body)
    {
        spi::connected(spi::Mode::may_commit, [&] {
            try
            {
                server::in_subtransaction(body);
            }
            catch (...)
            {
                stop();
                throw;
            }
            spi::commit();
        });
    }

    void begin()
    {
        run([this] {
            is_ours_ = server::with_search_path(
                nullptr, [] { return spi::read_latest(sql::can_listen).boolean(0, 1); });
            if (is_ours_)
                server::call([] { Async_Listen("procrastinate_schema"); });
        });
        began_ = server::now();
        was_woken_ = false;
    }

    // From PostgreSQL 19 on the server does not wake a session again before it has read its
    // notifications.
    bool is_stale() const
    {
        return is_ours_ && (was_woken_ || server::now() - began_ > longest_listening);
    }

    void pause(double milliseconds)
    {
        run([&] { was_woken_ = server::pause_until_woken(milliseconds); });
    }

    void end()
    {
        spi::connected(spi::Mode::may_commit, [this] { stop(); });
    }

  private:
    void stop()
    {
        if (!is_ours_)
            return;
        is_ours_ = false;
        server::call([] { Async_Unlisten("procrastinate_schema"); });
        spi::commit();
    }

    bool is_ours_ = false;
    bool was_woken_ = false;
    std::int64_t began_ = 0;
};

// Reads the history in a transaction of its own. Throws the server's 55P03 if the history is locked
// for `left` milliseconds, and Refusal 3F000 if the schema has been dropped. A renamed schema is
// the same one.
upgrade::InstallationState read_state(const Installation &installation, Listening &listening,
                                      std::optional<double> left)
{
    upgrade::InstallationState state;
    listening.run([&] {
        const int level = server::open_settings();
        // Rounded up, so that no time is left when it ends. The interval may be of any length.
        const double longest = LockTimeout == 0 ? largest_lock_timeout : LockTimeout;
        if (left && *left < longest)
            server::set("lock_timeout",
                        std::to_string(1 + static_cast<int>(std::max(0.0, *left))).c_str());
        catalog::require_there(installation);
        state = server::with_search_path(nullptr,
                                         [&] { return upgrade::read_current_state(installation); });
        server::close_settings(level);
    });
    return state;
}

std::string detail_of(const upgrade::InstallationState &state)
{
    if (!state.current.revision)
        return common::sentence(std::string(state.current.why_unknown));
    return "The schema is at " + std::string(chain::name(*state.current.revision)) + ".";
}

std::string hint_for(const upgrade::InstallationState &state, const Installation &installation)
{
    if (!state.current.revision && state.is_foreign())
        return upgrade::foreign_history(state, installation).hint;
    return "To see what has changed it: SELECT * FROM " +
           common::own_function("procrastinate_log") + "(schema => " + installation.quoted_text +
           ");";
}

std::string hint_to_see_locks(const Installation &installation)
{
    return "To see that session: SELECT pid, mode, relation::regclass FROM pg_locks WHERE granted "
           "AND "
           "relation IN (SELECT oid FROM pg_class WHERE relnamespace = " +
           common::quoted_literal(installation.quoted) + "::regnamespace);";
}

// Names the schema as it is called now.
[[noreturn]] void fail_in_time(const Installation &installation, const std::string &wanted,
                               const std::string &why,
                               const std::function<std::string(const Installation &)> &hint)
{
    const Installation now = catalog::locate(installation.schema);
    throw common::Refusal{common::sqlstate::not_in_time,
                          "schema \"" + now.name + "\" is not " + wanted + " in time", why,
                          hint(now)};
}

upgrade::Met met(const upgrade::Requirement &requirement, const upgrade::InstallationState &state)
{
    return state.current.revision ? requirement.by(*state.current.revision) : upgrade::Met::not_yet;
}

std::string same_call(const Installation &installation, std::string_view target,
                      std::optional<double> milliseconds)
{
    return "CALL " + common::own_function("procrastinate_wait") + "(" +
           common::quoted_literal(target) +
           (milliseconds ? ", timeout => " + interval_literal(*milliseconds) : "") +
           ", schema => " + installation.quoted_text + ");";
}

// WARNING if statement_timeout comes before the wait's own timeout, of which `left` milliseconds
// are left; no value is no timeout.
void warn_of_timeout(std::optional<double> left)
{
    const std::optional<server::TimeLimit> limit = server::statement_limit();
    if (!limit || (left && *left <= limit->left))
        return;
    server::warning("statement_timeout ends the wait before its own timeout",
                    "statement_timeout is " + limit->value + " for the whole call.",
                    "SET statement_timeout = 0;");
}

void wait_until_met(const Installation &installation, std::string_view target,
                    std::optional<double> milliseconds)
{
    catalog::require_usage(installation);
    const std::int64_t began = server::now();
    const auto left = [&]() -> std::optional<double> {
        if (!milliseconds)
            return std::nullopt;
        return *milliseconds - static_cast<double>(server::now() - began) / 1000;
    };
    const SessionMarker marker(server::LockKey::waiting, installation.schema);
    Listening listening;
    std::string wanted = "at " + std::string(target);
    const auto read_in_time = [&] {
        try
        {
            return read_state(installation, listening, left());
        }
        catch (const server::ServerError &error)
        {
            if (!server::is_of_lock(error) || left().value_or(between_reads) > 0)
                throw;
            fail_in_time(installation, wanted, "Another session has locked its history or tables.",
                         hint_to_see_locks);
        }
    };
    upgrade::InstallationState state = read_in_time();
    const upgrade::Requirement requirement(target, state.current);
    upgrade::Met now = met(requirement, state);
    if (now == upgrade::Met::yes)
        return;
    if (now == upgrade::Met::never)
        upgrade::refuse_past(installation, target, *state.current.revision);
    wanted = requirement.text();
    warn_of_timeout(left());
    listening.begin();
    for (;;)
    {
        if (listening.is_stale())
        {
            listening.end();
            listening.begin();
        }
        state = read_in_time();
        now = met(requirement, state);
        if (now != upgrade::Met::not_yet)
            break;
        const double pause = left().value_or(between_reads);
        if (pause <= 0)
        {
            listening.end();
            fail_in_time(installation, wanted, detail_of(state),
                         [&](const Installation &named) { return hint_for(state, named); });
        }
        listening.pause(std::min(pause, between_reads));
    }
    listening.end();
    if (now == upgrade::Met::never)
        upgrade::refuse_past(installation, target, *state.current.revision);
}

} // namespace

void wait(const Installation &installation, std::string_view target,
          std::optional<double> milliseconds)
{
    server::explaining_statement_timeout(
        [&] { wait_until_met(installation, target, milliseconds); },
        [&]() -> server::Explanation {
            return {"The schema has not reached the target meanwhile.",
                    same_call(installation, target, milliseconds)};
        });
}

} // namespace procrastinate::online
