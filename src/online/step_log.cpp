#include "online/step_log.hpp"

#include "server/messages.hpp"
#include "server/pause.hpp"
#include "upgrade/change.hpp"
#include "upgrade/notices.hpp"

namespace procrastinate::online
{

namespace
{

using chain::Step;

constexpr std::int64_t between_positions = 5'000'000; // microseconds
constexpr double percent_between_positions = 0.1;

} // namespace

void StepLog::begin(const Step &step, std::optional<TimestampTz> began)
{
    if (revision_ != step.revision)
    {
        began_ = began.value_or(server::now());
        revision_ = step.revision;
        upgrade::notice_begin(chain::migration(step.revision));
    }
    if (step_ == step.name())
        return;
    step_ = step.name();
    step_began_ = server::now();
    position_recorded_ = 0;
    progress_.begin();
    if (step.count > 1)
        server::notice("step " + step_ + " of " + std::to_string(step.count) + ": " +
                       std::string(step.title));
}

void StepLog::append(const chain::StepName &name)
{
    upgrade::record_change(installation_,
                           std::string(upgrade::event::step) + chain::step_name(name),
                           name.revision - 1, name.revision - 1, step_began_);
}

void StepLog::record(const Step &step)
{
    server::with_context("history of " + step_label(step), [&] {
        if (step.number == step.count)
            upgrade::record_change(installation_, upgrade::event::upgrade, step.revision - 1,
                                   step.revision, began_);
        else
            append({step.revision, step.number});
    });
}

void StepLog::record_start(const Step &step) { append({step.revision, chain::StepName::started}); }

void StepLog::record_position(const Step &step, const chain::Position &reached, double percent)
{
    const bool is_first = position_recorded_ == 0;
    if (!is_first && (server::now() - position_recorded_ < between_positions ||
                      percent - recorded_percent_ < percent_between_positions))
        return;
    append({step.revision, step.number - 1, reached});
    position_recorded_ = server::now();
    recorded_percent_ = percent;
}

void StepLog::end(const Step &step) const
{
    if (step.number == step.count)
        upgrade::notice_end(chain::migration(step.revision), began_);
}

} // namespace procrastinate::online
