#include "upgrade/timeouts.hpp"

#include "server/messages.hpp"
#include "server/timeouts.hpp"
#include "upgrade/step_estimate.hpp"

#include <cmath>

namespace procrastinate::upgrade
{

namespace
{

using chain::Step;
using server::TimeLimit;

// An estimate is an order of magnitude, and does not contain waits for locks.
constexpr double share_of_limit = 0.5;

struct Duration
{
    double all = 0;     // seconds, of all steps
    double longest = 0; // of those that are one transaction each
};

Duration duration_of(const catalog::Installation &installation, const UpgradePath &path)
{
    Duration duration;
    for (const Step &step : steps_of(path))
    {
        const double seconds = estimate(installation, step).seconds;
        duration.all += seconds;
        if (step.kind != chain::StepKind::batched)
            duration.longest = std::max(duration.longest, seconds);
    }
    return duration;
}

// "12 s", "0.3 s"
std::string text_of(double seconds)
{
    const auto tenths = static_cast<long long>(std::ceil(seconds * 10));
    const std::string whole = std::to_string(tenths / 10);
    return tenths >= 100 ? whole + " s" : whole + "." + std::to_string(tenths % 10) + " s";
}

void warn_if_longer(const std::optional<TimeLimit> &limit, double left, double seconds,
                    std::string_view what)
{
    if (!limit || seconds * 1000 <= left * share_of_limit)
        return;
    const std::string setting = limit->setting;
    server::warning(setting + " may end the upgrade before it is done",
                    setting + " is " + limit->value + ", " + text_of(std::max(0.0, left / 1000)) +
                        " are left of it, and " + std::string(what) + " takes about " +
                        text_of(seconds) + ".",
                    "SET " + setting + " = 0;");
}

} // namespace

void warn_of_timeouts(const catalog::Installation &installation, const UpgradePath &path,
                      Transactions transactions)
{
    // From base there are no rows yet.
    if (path.reached_target() || path.current == chain::base)
        return;
    const std::optional<TimeLimit> statement = server::statement_limit();
    const std::optional<TimeLimit> transaction = server::transaction_limit();
    if (!statement && !transaction)
        return;
    const Duration duration = duration_of(installation, path);
    warn_if_longer(statement, statement ? statement->left : 0, duration.all, "the upgrade");
    if (transactions == Transactions::one)
        warn_if_longer(transaction, transaction ? transaction->left : 0, duration.all,
                       "the upgrade");
    else
        warn_if_longer(transaction, transaction ? transaction->whole : 0, duration.longest,
                       "the longest step");
}

} // namespace procrastinate::upgrade
