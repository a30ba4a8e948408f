#include "online/wait.hpp"

#include "chain/refusal.hpp"
#include "chain/target.hpp"
#include "migrate/history.hpp"
#include "migrate/journey.hpp"
#include "server/settings.hpp"
#include "server/spi.hpp"
#include "server/waiting.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

constexpr double look_again = 1000; // milliseconds

// The session hears of changes, unless it does already or cannot.
class Listening
{
  public:
    Listening()
    {
        is_ours_ = spi::connected(spi::Mode::may_commit, [] {
            const bool may = server::with_search_path(nullptr, [] {
                return spi::read_latest(
                           "select not pg_is_in_recovery() and not exists (select from"
                           " pg_listening_channels() c where c = 'procrastinate_schema')")
                    .boolean(0, 1);
            });
            if (may)
                server::call([] { Async_Listen("procrastinate_schema"); });
            spi::commit();
            return may;
        });
    }

    // Not by a destructor: after an error there is no transaction to do it in.
    void end() const
    {
        if (!is_ours_)
            return;
        spi::connected(spi::Mode::may_commit, [] {
            server::call([] { Async_Unlisten("procrastinate_schema"); });
            spi::commit();
        });
    }

  private:
    bool is_ours_;
};

migrate::State look(const Installation &installation)
{
    return spi::connected(spi::Mode::may_commit, [&] {
        migrate::State state =
            server::with_search_path(nullptr, [&] { return migrate::read_state(installation); });
        state.last.reset(); // its texts go with the connection
        spi::commit();
        return state;
    });
}

} // namespace

void wait(const Installation &installation, std::string_view target,
          std::optional<double> milliseconds)
{
    const std::int64_t began = server::now();
    migrate::State state = look(installation);
    const chain::Revision goal = chain::resolve_target(target, state.standing);
    if (state.standing.revision && *state.standing.revision >= goal)
        return;
    const Listening listening;
    for (;;)
    {
        state = look(installation);
        if (state.standing.revision && *state.standing.revision >= goal)
            break;
        const double left = milliseconds
                                ? *milliseconds - static_cast<double>(server::now() - began) / 1000
                                : look_again;
        if (left <= 0)
        {
            listening.end();
            throw chain::Refusal{
                chain::sqlstate::not_in_time,
                "schema \"" + std::string(installation.name) + "\" is not at " +
                    migrate::in_words(goal) + " in time",
                "It is at " + (state.recorded.empty() ? "base" : state.recorded) + ".",
                "Find out who was to upgrade it: SELECT * FROM procrastinate_log(schema => " +
                    std::string(installation.quoted_text) + ");"};
        }
        server::pause_until_woken(std::min(left, look_again));
    }
    listening.end();
}

} // namespace procrastinate::online
