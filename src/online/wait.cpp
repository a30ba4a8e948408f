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
#include "upgrade/drift_findings.hpp"
#include "upgrade/installation_state.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/require.hpp"

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

// What is asked for, and whether the installation is there.
class Gate
{
  public:
    explicit Gate(std::string_view target) : target_(target), wanted_("at " + std::string(target))
    {
    }

    // Inside an SPI connection and under a search_path of the server's own. The first call reads
    // the target.
    void look(const Installation &installation)
    {
        state_ = upgrade::read_compared_state(installation);
        const bool is_first = !requirement_;
        if (is_first)
        {
            requirement_.emplace(target_, state_.current);
            wanted_ = requirement_->text();
        }
        if (!told_)
            upgrade::notice_if_by_catalog(state_, installation);
        told_ = told_ || state_.is_by_catalog;
        met_ = upgrade::Met::not_yet;
        if (!state_.current.revision)
        {
            require_under_way(installation);
            return;
        }
        upgrade::require_not_partitioned(installation);
        met_ = requirement_->by(*state_.current.revision);
        if (met_ == upgrade::Met::never)
            upgrade::refuse_past(installation, target_, *state_.current.revision);
        if (met_ == upgrade::Met::yes)
            check(installation, is_first);
        else if (is_first)
            warn_if_different(installation);
    }

    bool is_open() const { return met_ == upgrade::Met::yes; }
    const upgrade::InstallationState &state() const { return state_; }
    // Once look() has been called.
    const upgrade::Requirement &requirement() const { return *requirement_; }
    // "at 0037", as far as it is known.
    const std::string &wanted() const { return wanted_; }

  private:
    // Throws the refusal of a schema whose revision is unknown and that no migration can bring to
    // the target: the jobs table has been renamed or moved, or no revision matches tables without a
    // history.
    void require_under_way(const Installation &installation) const
    {
        if (state_.under_way)
            return;
        upgrade::require_not_moved(installation);
        if (state_.last && !state_.is_foreign())
            upgrade::require_tables(installation, *state_.recorded_revision);
        if (!state_.last && !state_.is_foreign())
            (void)upgrade::require_known(state_, installation);
    }

    // Throws Refusal PM009 if differences break Procrastinate: no wait repairs them.
    void check(const Installation &installation, bool is_first) const
    {
        const chain::Revision current = *state_.current.revision;
        if (!requirement_->is_release())
        {
            if (is_first)
                upgrade::notice_if_past(installation, current, requirement_->revision(), target_);
            return;
        }
        const upgrade::DriftFindings drift = upgrade::find_drift(installation, state_);
        if (drift.errors.any())
            throw upgrade::drift_refusal(drift, installation, current);
    }

    // Another session may repair them while this one waits.
    void warn_if_different(const Installation &installation) const
    {
        const upgrade::DriftFindings drift = upgrade::find_drift(installation, state_);
        if (!drift.errors.any())
            return;
        const common::Refusal refusal =
            upgrade::drift_refusal(drift, installation, *state_.current.revision);
        server::warning(refusal.message + ", which may stop an upgrade", refusal.detail,
                        upgrade::hint_for_drift(drift, installation));
    }

    std::string_view target_;
    std::string wanted_;
    std::optional<upgrade::Requirement> requirement_;
    upgrade::InstallationState state_;
    upgrade::Met met_ = upgrade::Met::not_yet;
    bool told_ = false;
};

// Looks in a transaction of its own. Throws the server's 55P03 if the history is locked for `left`
// milliseconds, and Refusal 3F000 if the schema has been dropped. A renamed schema is the same one.
void look(Gate &gate, const Installation &installation, Listening &listening,
          std::optional<double> left)
{
    listening.run([&] {
        const int level = server::open_settings();
        // Rounded up, so that no time is left when it ends. The interval may be of any length.
        const double longest = LockTimeout == 0 ? largest_lock_timeout : LockTimeout;
        if (left && *left < longest)
            server::set("lock_timeout",
                        std::to_string(1 + static_cast<int>(std::max(0.0, *left))).c_str());
        catalog::require_there(installation);
        server::with_search_path(nullptr, [&] { gate.look(installation); });
        server::close_settings(level);
    });
}

// DETAIL and HINT of a timeout.
struct Explanation
{
    std::string detail;
    std::string hint;
};

// Inside an SPI connection and under a search_path of the server's own.
Explanation explanation(const Gate &gate, std::string_view target, const Installation &installation)
{
    const upgrade::InstallationState &state = gate.state();
    if (state.current.revision)
    {
        common::Refusal refusal =
            upgrade::not_reached(installation, state, gate.requirement(), target);
        if (state.current.revision == chain::base && !state.under_way)
            refusal.detail = common::sentence(refusal.message) +
                             (refusal.detail.empty() ? "" : " ") + refusal.detail;
        return {refusal.detail, refusal.hint};
    }
    return {common::sentence(std::string(state.current.why_unknown)),
            state.is_foreign() ? upgrade::foreign_history(state, installation).hint
                               : "To see what has changed it: SELECT * FROM " +
                                     common::own_function("procrastinate_log") + "(schema => " +
                                     installation.quoted_text + ");"};
}

std::string hint_to_see_locks(const Installation &installation)
{
    return "To see that session: SELECT pid, mode, relation::regclass FROM pg_locks WHERE granted "
           "AND "
           "relation IN (SELECT oid FROM pg_class WHERE relnamespace = " +
           common::quoted_literal(installation.quoted) + "::regnamespace);";
}

// `explain` is given the schema as it is called now.
[[noreturn]] void fail_in_time(const Installation &installation, const std::string &wanted,
                               const std::function<Explanation(const Installation &)> &explain)
{
    const Installation now = catalog::locate(installation.schema);
    const Explanation why = explain(now);
    throw common::Refusal{common::sqlstate::not_in_time,
                          "schema \"" + now.name + "\" is not " + wanted + " in time", why.detail,
                          why.hint};
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
    Gate gate(target);
    const auto look_in_time = [&] {
        try
        {
            look(gate, installation, listening, left());
        }
        catch (const server::ServerError &error)
        {
            if (!server::is_of_lock(error) || left().value_or(between_reads) > 0)
                throw;
            fail_in_time(installation, gate.wanted(), [](const Installation &named) {
                return Explanation{"Another session has locked its history or tables.",
                                   hint_to_see_locks(named)};
            });
        }
    };
    look_in_time();
    if (gate.is_open())
        return;
    warn_of_timeout(left());
    listening.begin();
    for (;;)
    {
        if (listening.is_stale())
        {
            listening.end();
            listening.begin();
        }
        look_in_time();
        if (gate.is_open())
            break;
        const double pause = left().value_or(between_reads);
        if (pause <= 0)
        {
            listening.end();
            fail_in_time(installation, gate.wanted(), [&](const Installation &named) {
                return spi::connected(spi::Mode::may_commit, [&] {
                    return server::with_search_path(
                        nullptr, [&] { return explanation(gate, target, named); });
                });
            });
        }
        listening.pause(std::min(pause, between_reads));
    }
    listening.end();
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
