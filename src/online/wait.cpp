#include "online/wait.hpp"

#include "chain/target.hpp"
#include "common/refusal.hpp"
#include "online/session_markers.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/installation_state.hpp"
#include "upgrade/notices.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

constexpr double look_again = 1000; // milliseconds
constexpr double most_lock_timeout = 1e9;
// Within a call no notification is read; those who still have to be, the server keeps for all.
constexpr std::int64_t listen_again = 60'000'000; // microseconds

// The session hears of changes, unless it does already or cannot; it does no more once this is over, or
// something done in between has failed.
class Listening
{
  public:
    // In a transaction of its own, which can go on where the body fails: hence the subtransaction.
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
            is_ours_ = server::with_search_path(nullptr, [] {
                return spi::read_latest(
                           "select not pg_is_in_recovery() and not exists (select from"
                           " pg_listening_channels() c where c = 'procrastinate_schema')")
                    .boolean(0, 1);
            });
            if (is_ours_)
                server::call([] { Async_Listen("procrastinate_schema"); });
        });
        began_ = server::now();
        was_woken_ = false;
    }

    // From PostgreSQL 19 on whoever has been woken is not woken again before he has read what came.
    bool is_stale() const
    {
        return is_ours_ && (was_woken_ || server::now() - began_ > listen_again);
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

// Throws the server's 55P03 where the history is locked for so many milliseconds, and Refusal 3F000 where the
// schema is gone; under a new name it is the same.
upgrade::InstallationState look(const Installation &installation, Listening &listening,
                                std::optional<double> left)
{
    upgrade::InstallationState state;
    listening.run([&] {
        const int level = server::open_settings();
        // Rounded up: when it is over, so is the time to wait.
        if (left && *left < (LockTimeout == 0 ? most_lock_timeout : LockTimeout))
            server::set("lock_timeout",
                        std::to_string(1 + std::max(0, static_cast<int>(*left))).c_str());
        catalog::require_there(installation);
        state =
            server::with_search_path(nullptr, [&] { return upgrade::read_state(installation); });
        server::close_settings(level);
    });
    return state;
}

std::string where_it_is(const upgrade::InstallationState &state)
{
    if (!state.current.revision)
        return "But " + std::string(state.current.why_unknown) + ".";
    return "It is at " + std::string(chain::name(*state.current.revision)) + ".";
}

std::string query_for_calls(const Installation &installation)
{
    return "Find out who was to upgrade it: SELECT * FROM procrastinate_log(schema => " +
           std::string(installation.quoted_text) + ");";
}

std::string query_for_locks(const Installation &installation)
{
    return "Find out who that is: SELECT pid, mode FROM pg_locks WHERE granted AND relation = "
           "(SELECT oid FROM pg_class WHERE relname = '" +
           std::string(catalog::history_table) +
           "' AND relnamespace = " + std::string(installation.quoted_text) + "::regnamespace);";
}

// Under the name that the schema has by now.
[[noreturn]] void fail_in_time(const Installation &installation, const std::string &goal,
                               const std::string &why, std::string (*hint)(const Installation &))
{
    const Installation now = catalog::locate(installation.schema);
    throw common::Refusal{common::sqlstate::not_in_time,
                          "schema \"" + std::string(now.name) + "\" is not at " + goal + " in time",
                          why, hint(now)};
}

} // namespace

void wait(const Installation &installation, std::string_view target,
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
    std::string in_words(target);
    const auto look_in_time = [&] {
        try
        {
            return look(installation, listening, left());
        }
        catch (const server::ServerError &error)
        {
            if (!server::is_of_lock(error) || left().value_or(look_again) > 0)
                throw;
            fail_in_time(installation, in_words, "Another session has locked its history.",
                         query_for_locks);
        }
    };
    upgrade::InstallationState state = look_in_time();
    const chain::Revision goal = chain::resolve_target(target, state.current);
    if (state.current.revision && *state.current.revision >= goal)
        return;
    in_words = upgrade::display_name(goal);
    listening.begin();
    for (;;)
    {
        if (listening.is_stale())
        {
            listening.end();
            listening.begin();
        }
        state = look_in_time();
        if (state.current.revision && *state.current.revision >= goal)
            break;
        const double pause = left().value_or(look_again);
        if (pause <= 0)
        {
            listening.end();
            fail_in_time(installation, in_words, where_it_is(state), query_for_calls);
        }
        listening.pause(std::min(pause, look_again));
    }
    listening.end();
}

} // namespace procrastinate::online
