#include "upgrade/step_estimate.hpp"

#include "catalog/readable.hpp"
#include "server/spi.hpp"
#include "sql/relation_size.hpp"

#include <cmath>

namespace procrastinate::upgrade
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

std::int64_t size_of(const catalog::Installation &installation, std::string_view relation)
{
    if (relation.empty())
        return 0;
    const std::string name(relation);
    const Oid schema = installation.schema;
    const Oid oid =
        server::call([&name, schema] { return get_relname_relid(name.c_str(), schema); });
    if (OidIsValid(oid))
        catalog::require_readable(oid); // pg_total_relation_size() opens it
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

double seconds_of(const Step &step, double size)
{
    if (step.is_rewrite)
        return brief_step + size / rewrite_rate;
    switch (step.kind)
    {
    case StepKind::concurrent:
        return brief_step + size / build_rate;
    case StepKind::batched:
    case StepKind::validated:
        return brief_step + size / scan_rate;
    case StepKind::brief:
        break;
    }
    return brief_step;
}

} // namespace

std::vector<Step> steps_of(const UpgradePath &path)
{
    std::vector<Step> steps;
    for (chain::Revision revision = path.current + 1; revision <= path.target; ++revision)
    {
        const int done =
            path.under_way && path.under_way->revision == revision ? path.under_way->number : 0;
        for (const Step &step : path.current == chain::base
                                    ? std::vector{chain::whole_step(revision)}
                                    : chain::steps_left(revision, done, path.target))
            steps.push_back(step);
    }
    return steps;
}

StepEstimate estimate(const catalog::Installation &installation, const Step &step)
{
    StepEstimate estimate{relation_of(step)};
    estimate.relation_size = size_of(installation, estimate.relation);
    estimate.seconds = rounded(seconds_of(step, static_cast<double>(estimate.relation_size)));
    return estimate;
}

} // namespace procrastinate::upgrade
