#include "upgrade/require.hpp"

#include "chain/release_name.hpp"
#include "chain/route.hpp"
#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/drift_findings.hpp"
#include "upgrade/jobs_table.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::in_schema;
using catalog::Installation;
using chain::Revision;
using common::Refusal;
namespace sqlstate = common::sqlstate;

std::string advice_to_upgrade(const Installation &installation, const Requirement &requirement,
                              std::string_view target)
{
    // A release needs no more than the `pre` migrations before it.
    const std::string name = std::string(target) + (requirement.is_release() ? "@pre" : "");
    return "To upgrade it: CALL " + common::own_function("procrastinate_migrate") + "(" +
           common::quoted_literal(name) + ", schema => " + installation.quoted_text + ");";
}

void check_drift(const Installation &installation, const InstallationState &state, Drift drift)
{
    const DriftFindings findings = find_drift(installation, state, WhileLocked::waits);
    const Revision revision = *state.current.revision;
    if (findings.errors.any() && drift == Drift::error)
        throw drift_refusal(findings, installation, revision);
    const Refusal refusal = drift_refusal(findings, installation, revision);
    if (findings.errors.any())
        server::warning(refusal.message, refusal.detail, refusal.hint);
    if (findings.warnings.any())
        server::warning(refusal.message, findings.warnings.text(), refusal.hint);
}

} // namespace

Drift drift_named(std::string_view name)
{
    if (name == "error")
        return Drift::error;
    if (name == "warning")
        return Drift::warning;
    if (name == "ignore")
        return Drift::ignored;
    throw Refusal{sqlstate::invalid_parameter,
                  "invalid value for parameter \"drift\": \"" + chain::excerpt(name) + "\"",
                  {},
                  "Available values: error, warning, ignore."};
}

Refusal not_reached(const Installation &installation, const InstallationState &state,
                    const Requirement &requirement, std::string_view target)
{
    const Revision current = *state.current.revision;
    if (current == chain::base && !state.under_way)
        return nothing_installed(installation, target == "base" ? "head" : target);
    const DriftFindings drift = find_drift(installation, state);
    std::string detail = requirement.pending_after(current);
    std::string hint = advice_to_upgrade(installation, requirement, target);
    if (drift.errors.any())
    {
        detail += "\nIts differences from " + std::string(chain::name(current)) +
                  " may stop an upgrade:\n" + drift.errors.text();
        hint = hint_for_drift(drift, installation) + "\n" + hint;
    }
    return {sqlstate::not_reached, in_schema(installation) + " is not " + requirement.text(),
            std::move(detail), std::move(hint)};
}

Refusal nothing_installed(const Installation &installation, std::string_view target)
{
    const std::string message = in_schema(installation) + " holds no installation of Procrastinate";
    const std::string install = "CALL " + common::own_function("procrastinate_migrate") + "(" +
                                common::quoted_literal(target) + ", schema => " +
                                installation.quoted_text + ");";
    if (const auto other = catalog::elsewhere(installation))
        return {sqlstate::not_reached, message, common::sentence(other->text()),
                other->hint(install)};
    return {sqlstate::not_reached, message, {}, "To install it: " + install};
}

void refuse_past(const Installation &installation, std::string_view target, Revision current)
{
    const chain::Release &release = chain::resolve_release(target);
    throw Refusal{sqlstate::past_release,
                  in_schema(installation) + " is past what " + std::string(release.name) +
                      " works on",
                  "It is at " + std::string(chain::name(current)) + ", and the release works on " +
                      std::string(chain::name(release.works_from)) + " to " +
                      std::string(chain::name(release.works_to)) + ".",
                  chain::advice(release, current, installation.quoted_text)};
}

Revision require(const Installation &installation, std::string_view target, Drift drift)
{
    const InstallationState state = read_compared_state(installation);
    notice_if_by_catalog(state, installation);
    const Revision current = require_known(state, installation);
    const Requirement requirement(target, state.current);
    const Met met = requirement.by(current);
    if (met == Met::never)
        refuse_past(installation, target, current);
    if (met == Met::not_yet || current == chain::base)
        throw not_reached(installation, state, requirement, target);
    require_tables(installation, current);
    if (drift != Drift::ignored)
        check_drift(installation, state, drift);
    return current;
}

} // namespace procrastinate::upgrade
