#include "online/plan.hpp"

#include "upgrade/current_state.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/step_estimate.hpp"

namespace procrastinate::online
{

namespace
{

using chain::Step;
using chain::StepKind;

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

PlannedStep planned(const catalog::Installation &installation, const Step &step)
{
    const upgrade::StepEstimate estimate = upgrade::estimate(installation, step);
    PlannedStep plan{step, step.count == 1 ? chain::migration(step.revision).title : step.title,
                     statement_of(step), locks_of(step), std::string(estimate.relation)};
    plan.relation_size = estimate.relation_size;
    plan.rewrites = step.is_rewrite;
    plan.scans = step.kind != StepKind::brief;
    plan.estimate = estimate.seconds;
    return plan;
}

PlannedStep planned_installation(const catalog::Installation &installation)
{
    const Step step = chain::whole_step(chain::head());
    PlannedStep plan{
        step, "Create the schema of head", chain::head_script(installation.quoted), {}, {}};
    plan.estimate = upgrade::estimate(installation, step).seconds;
    plan.is_installation = true;
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
    if (path.is_direct())
        return {planned_installation(installation)};
    for (const Step &step : upgrade::steps_of(path))
        plans.push_back(planned(installation, step));
    return plans;
}

} // namespace procrastinate::online
