#include "upgrade/installation_state.hpp"

#include "common/own_function.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/leftovers.hpp"
#include "upgrade/library_version.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::in_schema;
using common::Refusal;
namespace sqlstate = common::sqlstate;

constexpr int longest_duration_in_days = 36'500;

bool is_step(const Event &one) { return one.name.starts_with(event::step); }

bool is_position(const Event &one) { return one.name.find(", ") != std::string::npos; }

// A duration that makes no sense counts as none: any role that owns the table can write one.
TimestampTz began(const Event &one)
{
    if (!one.duration || TIMESTAMP_NOT_FINITE(one.applied_at))
        return one.applied_at;
    const Interval &duration = *one.duration;
    if (duration.month != 0 || duration.day < 0 || duration.day > longest_duration_in_days ||
        duration.time < 0 || duration.time > USECS_PER_DAY)
        return one.applied_at;
    return one.applied_at - duration.time - duration.day * USECS_PER_DAY;
}

// Reads a history from its end to the last event that is no step.
class LastEvents
{
  public:
    static constexpr int most_steps = 100'000; // far more than a run writes

    // Returns whether an earlier event is needed.
    bool read(const Event &event)
    {
        if (!latest_)
            latest_ = event;
        if (!is_step(event))
        {
            last_ = event;
            return false;
        }
        if (is_in_step_)
            since_ = event.applied_at;
        is_in_step_ = is_in_step_ && is_position(event);
        began_ = began(event);
        return ++steps_ < most_steps;
    }

    bool is_empty() const { return !latest_; }
    bool is_too_long() const { return steps_ == most_steps; }

    void fill(InstallationState &state) const
    {
        state.last = last_ ? last_ : latest_;
        state.recorded = state.last->to;
        state.recorded_revision = upgrade::recorded_revision(state.last->to);
        state.current = {state.recorded_revision,
                         "the history ends at a revision that this version does not know",
                         sqlstate::unknown_history};
        if (!is_step(*latest_))
            return;
        // The steps belong to the migration after the current revision.
        const std::string name = latest_->name.substr(event::step.size());
        chain::StepName step{};
        if (!chain::parse_step_name(name, step) || step.revision - 1 != state.current.revision ||
            static_cast<std::size_t>(step.number) >= chain::steps(step.revision).size())
        {
            state.unknown_step = name;
            return;
        }
        state.under_way = step;
        state.since = since_;
        state.began = began_;
    }

  private:
    std::optional<Event> latest_;
    std::optional<Event> last_; // the last event that is no step
    TimestampTz since_ = 0;
    TimestampTz began_ = 0;
    bool is_in_step_ = true;
    int steps_ = 0;
};

// Of a history without rows of this database.
void read_foreign_events(InstallationState &state, const catalog::Installation &installation)
{
    int count = 0;
    (void)visit_history(
        installation, Events::all, EventOrder::newest_first, [&](const Event &event) {
            // A row that was written at no time does not come last.
            const bool is_later = !TIMESTAMP_NOT_FINITE(event.applied_at) &&
                                  (!state.foreign || event.applied_at > state.foreign->applied_at);
            if (is_later)
                state.foreign = event;
            return ++count < LastEvents::most_steps;
        });
}

} // namespace

InstallationState read_state(const catalog::Installation &installation)
{
    InstallationState state;
    LastEvents events;
    state.has_history = visit_history(installation, Events::own, EventOrder::newest_first,
                                      [&events](const Event &event) { return events.read(event); });
    if (state.has_history && events.is_empty())
        read_foreign_events(state, installation);
    if (events.is_too_long())
        throw Refusal{sqlstate::untrusted_object,
                      "the history of " + in_schema(installation) + " ends with " +
                          std::to_string(LastEvents::most_steps) + " rows of steps or more",
                      "procrastinate_migrate() writes 1000 rows a call at most for a step.",
                      "To see the roles that wrote them: SELECT * FROM " +
                          common::own_function("procrastinate_log") + "(schema => " +
                          installation.quoted_text + ");"};
    if (!events.is_empty())
        events.fill(state);
    else if (const JobsTable jobs = jobs_table_of(installation); jobs == JobsTable::other_relation)
        state.current = {std::nullopt, why_no_jobs_table(installation),
                         sqlstate::catalog_contradicts};
    else if (jobs == JobsTable::table)
        state.current = {std::nullopt,
                         state.is_foreign() ? "the schema has the history of another database only"
                                            : "there are tables of Procrastinate, but no history",
                         sqlstate::no_history};
    else if (has_tables(installation))
        state.current = {std::nullopt,
                         "there are tables of Procrastinate, but no history and no "
                         "table procrastinate_jobs",
                         sqlstate::no_history};
    else
        state.current = {chain::base, {}, {}};
    return state;
}

bool is_recorded_still(const catalog::Installation &installation, const InstallationState &state)
{
    const InstallationState now = read_state(installation);
    return !now.under_way && now.last.has_value() == state.last.has_value() &&
           (!now.last || now.last->id == state.last->id);
}

InstallationState state_after(const Event &event)
{
    InstallationState state;
    LastEvents events;
    (void)events.read(event);
    state.has_history = true;
    events.fill(state);
    return state;
}

Refusal unknown_history(const InstallationState &state, const catalog::Installation &installation)
{
    const std::string place = state.unknown_step
                                  ? "step \"" + chain::excerpt(*state.unknown_step) + "\""
                                  : "revision \"" + chain::excerpt(state.recorded) + "\"";
    return {sqlstate::unknown_history,
            in_schema(installation) + " is at " + place + ", which version " +
                std::string(library_version) + " of procrastinate_migrate does not know",
            "A newer version of procrastinate_migrate has changed this schema.",
            "Install the newer version, then run ALTER EXTENSION procrastinate_migrate UPDATE;"};
}

std::string hint_of_copy(const catalog::Installation &installation)
{
    return "If this database is a copy of that one: SELECT " +
           common::own_function("procrastinate_adopt") + "(" + installation.quoted_text +
           ", copy => true);\n";
}

std::string has_no_history(const InstallationState &state,
                           const catalog::Installation &installation)
{
    return in_schema(installation) +
           (state.is_foreign() ? " has the history of another database only" : " has no history");
}

Refusal foreign_history(const InstallationState &state, const catalog::Installation &installation)
{
    return {sqlstate::no_history, has_no_history(state, installation),
            state.is_foreign_step()
                ? "There a migration was under way, so the catalog cannot tell the revision."
                : "Its rows do not count here, and the catalog matches no revision exactly.",
            hint_of_copy(installation) + "If not, to see the nearest revisions: SELECT * FROM " +
                common::own_function("procrastinate_detect") + "(" + installation.quoted_text +
                ");"};
}

chain::Revision require_known(const InstallationState &state,
                              const catalog::Installation &installation)
{
    if (state.is_unknown_history())
        throw unknown_history(state, installation);
    if (state.current.revision)
        return *state.current.revision;
    require_tables(installation, state.recorded_revision.value_or(chain::base));
    if (state.is_foreign())
        throw foreign_history(state, installation);
    if (jobs_table_of(installation) == JobsTable::none)
        throw leftovers(installation, names_taken(installation, {}, chain::base, chain::head()));
    throw Refusal{sqlstate::no_history,
                  in_schema(installation) + " holds Procrastinate's tables but no history of them",
                  "Nothing records which migrations have been applied, and the catalog matches no "
                  "revision exactly.",
                  "To see the revisions that it may be at: SELECT * FROM " +
                      common::own_function("procrastinate_detect") + "(" +
                      installation.quoted_text +
                      ");\nTo see what differs and how to repair it: SELECT " +
                      common::own_function("procrastinate_adopt") + "(schema => " +
                      installation.quoted_text + ");"};
}

void require_finished(const std::optional<chain::StepName> &under_way,
                      const catalog::Installation &installation)
{
    if (!under_way)
        return;
    const std::string revision(chain::name(under_way->revision));
    const std::size_t count = chain::steps(under_way->revision).size();
    throw Refusal{sqlstate::under_way,
                  "migration " + revision + " is under way in " + in_schema(installation),
                  std::to_string(under_way->number) + " of its " + std::to_string(count) +
                      " steps are done.",
                  "To finish it: CALL " + common::own_function("procrastinate_migrate") + "('" +
                      revision + "', schema => " + installation.quoted_text + ");"};
}

} // namespace procrastinate::upgrade
