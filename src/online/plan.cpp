#include "online/plan.hpp"

#include "server/spi.hpp"
#include "sql/relation_size.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/upgrade_path.hpp"

#include <cmath>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using chain::Step;
using chain::StepKind;

// Bytes a second on a machine with two cores, while clients work. They give an order of magnitude.
constexpr double scan_rate = 100e6;
constexpr double build_rate = 50e6;
constexpr double rewrite_rate = 6e6;
constexpr double brief_step = 0.01; // seconds

std::string_view relation_of(const Step &step)
{
    const std::vector<chain::StepLock> locks = step.all_locks();
    // Jobs are locked first, and there are more events than jobs.
    return locks.empty() ? std::string_view() : locks.back().table;
}

std::string locks_of(const Step &step)
{
    std::string text;
    for (const chain::StepLock &lock : step.all_locks())
        text +=
            (text.empty() ? "" : ", ") + std::string(lock.mode) + " on " + std::string(lock.table);
    return text;
}

std::string statement_of(const Step &step)
{
    if (step.barrier == Step::install || step.barrier == Step::remove)
        return "-- CREATE OR REPLACE FUNCTION for each fetch function";
    std::string text(step.sql);
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    const std::string rest = upgrade::rest_of(chain::migration(step.revision).sql, step.rest);
    return text + (text.empty() || rest.empty() ? "" : "\n") + rest;
}

std::int64_t size_of(const catalog::Installation &installation, std::string_view relation)
{
    if (relation.empty())
        return 0;
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::text_parameter(relation)};
    const spi::Rows rows = spi::read_latest(sql::relation_size, parameters);
    return DatumGetInt64(rows.datum(0, 1).value_or(0));
}

// To two digits: the estimate is no better than that.
double rounded(double seconds)
{
    const double unit = std::pow(10.0, std::floor(std::log10(seconds)) - 1);
    return std::round(seconds / unit) * unit;
}

PlannedStep planned(const catalog::Installation &installation, const Step &step)
{
    PlannedStep plan{step, statement_of(step), locks_of(step), std::string(relation_of(step))};
    plan.relation_size = size_of(installation, relation_of(step));
    plan.rewrites = step.is_rewrite;
    plan.scans = step.kind != StepKind::brief;
    plan.estimate = brief_step;
    const auto size = static_cast<double>(plan.relation_size);
    if (plan.rewrites)
        plan.estimate += size / rewrite_rate;
    else if (step.kind == StepKind::concurrent)
        plan.estimate += size / build_rate;
    else if (plan.scans)
        plan.estimate += size / scan_rate;
    plan.estimate = rounded(plan.estimate);
    return plan;
}

} // namespace

std::vector<PlannedStep> plan(const catalog::Installation &installation, std::string_view target)
{
    const upgrade::InstallationState state = upgrade::read_current_state(installation);
    upgrade::notice_if_by_catalog(state, installation);
    const upgrade::UpgradePath path = upgrade::plan_upgrade_path(installation, state, target);
    upgrade::notice_if_past(installation, path.current, path.target, target);
    std::vector<PlannedStep> plans;
    for (chain::Revision revision = path.current + 1; revision <= path.target; ++revision)
    {
        const int done =
            path.under_way && path.under_way->revision == revision ? path.under_way->number : 0;
        for (const Step &step : path.current == chain::base
                                    ? std::vector{chain::whole_step(revision)}
                                    : chain::steps_left(revision, done, path.target))
            plans.push_back(planned(installation, step));
    }
    return plans;
}

} // namespace procrastinate::online
