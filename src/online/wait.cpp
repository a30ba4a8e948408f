#include "online/wait.hpp"

#include "chain/refusal.hpp"
#include "chain/target.hpp"
#include "migrate/history.hpp"
#include "migrate/journey.hpp"
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

// The session hears of changes, unless it does already or cannot.
class Listening
{
  public:
    Listening() { begin(); }

    void begin()
    {
        began_ = server::now();
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

    bool is_stale() const { return is_ours_ && server::now() - began_ > listen_again; }

    // Not by a destructor, which must not fail.
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
    bool is_ours_ = false;
    std::int64_t began_ = 0;
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

std::string where_it_is(const migrate::State &state)
{
    if (!state.standing.revision)
        return "But " + std::string(state.standing.why_unknown) + ".";
    return "It is at " + std::string(chain::name(*state.standing.revision)) + ".";
}

// In a subtransaction, so that there is a transaction to go on with when it is cancelled.
void pause(double milliseconds)
{
    const server::Subtransaction transaction = server::Subtransaction::begin();
    try
    {
        server::pause_until_woken(milliseconds);
    }
    catch (const server::ServerError &)
    {
        transaction.roll_back();
        throw;
    }
    transaction.commit();
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
    Listening listening;
    for (;;)
    {
        if (listening.is_stale())
        {
            listening.end();
            listening.begin();
        }
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
                where_it_is(state),
                "Find out who was to upgrade it: SELECT * FROM procrastinate_log(schema => " +
                    std::string(installation.quoted_text) + ");"};
        }
        try
        {
            pause(std::min(left, look_again));
        }
        catch (const server::ServerError &)
        {
            listening.end(); // a session that lives on hears of nothing it did not ask for
            throw;
        }
    }
    listening.end();
}

} // namespace procrastinate::online
