// procrastinate_require(): a check of the schema for CI and for the start of an application.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "upgrade/installation_state.hpp"
#include "upgrade/requirement.hpp"

#include <string_view>

namespace procrastinate::upgrade
{

// What becomes of differences between the catalog and the revision that break Procrastinate.
enum class Drift
{
    error,
    warning,
    ignored
};

// The value of the argument `drift`. Throws Refusal 22023 for any other text.
Drift drift_named(std::string_view name);

// The current revision, if it is the target or a later one; for a release, if the release works on
// it. Differences that may break Procrastinate are a WARNING unless drift is ignored. Throws
// Refusal PM015 if migrations are pending or nothing is installed, PM004 if the schema is past what
// the release works on, PM009 for differences, PM001 and PM002 for the target, PM005 and PM006 if
// the current revision is unknown. Inside an SPI connection and under a search_path of the server's
// own; takes ACCESS SHARE on the installation's tables.
chain::Revision require(const catalog::Installation &installation, std::string_view target,
                        Drift drift);

// The refusal PM004 of a revision that is past what the target works on.
[[noreturn]] void refuse_past(const catalog::Installation &installation, std::string_view target,
                              chain::Revision current);

// The refusal PM015 of a schema whose revision is known and before what is asked for. It tells what
// is pending, and the differences that migrations would refuse.
common::Refusal not_reached(const catalog::Installation &installation,
                            const InstallationState &state, const Requirement &requirement,
                            std::string_view target);

// The refusal PM015 of a schema without an installation. It names another schema that has one.
common::Refusal nothing_installed(const catalog::Installation &installation,
                                  std::string_view target = "head");

} // namespace procrastinate::upgrade
