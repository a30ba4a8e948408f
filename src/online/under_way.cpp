#include "online/under_way.hpp"

#include "common/refusal.hpp"
#include "online/session_markers.hpp"
#include "server/spi.hpp"
#include "sql/histories.hpp"
#include "sql/progress.hpp"
#include "upgrade/unlocked_state.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

struct Candidate
{
    Oid schema;
    Oid history;
    bool is_running;  // procrastinate_migrate(), in a session
    bool is_readable; // by the current role
};

std::vector<Candidate> candidates()
{
    std::vector<Candidate> found;
    const std::array parameters{spi::oid_parameter(server::class_id(server::LockKey::running))};
    const spi::Rows rows = spi::read_latest(sql::histories, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        found.push_back({DatumGetObjectId(rows.datum(row, 1).value_or(0)),
                         DatumGetObjectId(rows.datum(row, 2).value_or(0)), rows.boolean(row, 3),
                         rows.boolean(row, 4)});
    return found;
}

// The step that a call begins with after its pre-check.
std::optional<UnderWay> about_to_begin(Oid schema, const upgrade::InstallationState &state)
{
    const std::optional<chain::Revision> current = state.current.revision;
    if (!current || *current == chain::head() || state.is_unknown_history())
        return std::nullopt;
    const chain::Step first = *current == chain::base ? chain::whole_step(*current + 1)
                                                      : chain::steps(*current + 1).front();
    return UnderWay{schema, first, {}, {}};
}

std::optional<UnderWay> under_way(const Candidate &candidate)
{
    const Oid schema = candidate.schema;
    if (!candidate.is_readable)
        return UnderWay{schema, {}, {}, {}};
    // It is locked, for example by DROP.
    const std::optional<upgrade::InstallationState> read =
        upgrade::read_unlocked_state(schema, candidate.history);
    if (!read)
        return std::nullopt;
    const upgrade::InstallationState &state = *read;
    if (!state.under_way)
        return candidate.is_running ? about_to_begin(schema, state) : std::nullopt;
    const auto steps = chain::steps(state.under_way->revision);
    const auto next = static_cast<std::size_t>(state.under_way->number);
    if (next >= steps.size())
        return std::nullopt;
    return UnderWay{schema, steps[next], state.since, state.under_way->position};
}

} // namespace

std::vector<UnderWay> all_under_way()
{
    std::vector<UnderWay> found;
    for (const Candidate &candidate : candidates())
        try
        {
            if (const std::optional<UnderWay> one = under_way(candidate))
                found.push_back(*one);
        }
        catch (const common::Refusal &)
        {
            // A table that only has the history's name: the other installations are shown all the
            // same.
        }
    return found;
}

Activity activity_of(const UnderWay &under_way)
{
    if (!under_way.step)
        return {};
    const auto id = [&under_way](long long chain::Position::*member) {
        return under_way.position ? spi::int8_parameter((*under_way.position).*member)
                                  : spi::Parameter{INT8OID, 0, true};
    };
    const std::array parameters{
        spi::oid_parameter(under_way.schema),
        spi::boolean_parameter(under_way.step->kind == chain::StepKind::concurrent),
        id(&chain::Position::done),
        id(&chain::Position::last),
        spi::oid_parameter(server::class_id(server::LockKey::running)),
        spi::oid_parameter(server::class_id(server::LockKey::installation)),
        spi::oid_parameter(server::class_id(server::LockKey::index_build)),
        spi::oid_parameter(server::class_id(server::LockKey::blocker)),
        spi::oid_parameter(server::class_id(server::LockKey::building))};
    const spi::Rows rows = spi::read_latest(sql::progress, parameters);
    Activity activity;
    if (const auto pid = rows.datum(0, 1))
        activity.pid = DatumGetInt32(*pid);
    activity.phase = rows.text(0, 2);
    if (const auto done = rows.datum(0, 3))
        activity.done = DatumGetInt64(*done);
    if (const auto left = rows.datum(0, 4))
        activity.left = DatumGetInt64(*left);
    activity.waiting_for = rows.datum(0, 5);
    return activity;
}

} // namespace procrastinate::online
