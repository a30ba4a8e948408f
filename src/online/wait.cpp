#include "online/wait.hpp"

#include "chain/refusal.hpp"
#include "chain/target.hpp"
#include "migrate/history.hpp"
#include "migrate/journey.hpp"
#include "online/presence.hpp"
#include "server/settings.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "server/waiting.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

constexpr double look_again = 1000; // milliseconds
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
    }

    bool is_stale() const { return is_ours_ && server::now() - began_ > listen_again; }

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
    std::int64_t began_ = 0;
};

migrate::State look(const Installation &installation, Listening &listening)
{
    migrate::State state;
    listening.run([&] {
        state =
            server::with_search_path(nullptr, [&] { return migrate::read_state(installation); });
        state.last.reset(); // its texts go with the connection
    });
    return state;
}

std::string where_it_is(const migrate::State &state)
{
    if (!state.standing.revision)
        return "But " + std::string(state.standing.why_unknown) + ".";
    return "It is at " + std::string(chain::name(*state.standing.revision)) + ".";
}

} // namespace

void wait(const Installation &installation, std::string_view target,
          std::optional<double> milliseconds)
{
    catalog::require_usage(installation);
    const std::int64_t began = server::now();
    const Presence presence(gate_class, installation.schema);
    Listening listening;
    migrate::State state = look(installation, listening);
    const chain::Revision goal = chain::resolve_target(target, state.standing);
    if (state.standing.revision && *state.standing.revision >= goal)
        return;
    listening.begin();
    for (;;)
    {
        if (listening.is_stale())
        {
            listening.end();
            listening.begin();
        }
        state = look(installation, listening);
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
                where_it_is(state),
                "Find out who was to upgrade it: SELECT * FROM procrastinate_log(schema => " +
                    std::string(installation.quoted_text) + ");"};
        }
        listening.run([left] { server::pause_until_woken(std::min(left, look_again)); });
    }
    listening.end();
}

} // namespace procrastinate::online
