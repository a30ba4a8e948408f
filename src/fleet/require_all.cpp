#include "fleet/require_all.hpp"

#include "catalog/installation.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "fleet/migrate_all.hpp"
#include "online/lock_timeout_scope.hpp"
#include "server/pause.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::fleet
{

namespace
{

// Milliseconds. An online step locks tables for an instant; another role's session could lock its
// own for ever.
constexpr double longest_wait = 1000;

} // namespace

int require_all(std::string_view target, upgrade::Drift drift,
                const std::vector<std::string> &patterns)
{
    constexpr int most_failures_told = 20;
    common::Findings failures(most_failures_told);
    const std::vector<ListedInstallation> all = selected(patterns);
    for (const ListedInstallation &listed : all)
    {
        server::check_interrupts();
        const catalog::Installation installation = catalog::locate(listed.schema);
        try
        {
            const bool is_read = server::attempt([&] {
                online::with_lock_timeout(
                    longest_wait, [&] { (void)upgrade::require(installation, target, drift); });
            });
            if (!is_read)
                failures.add(common::capitalized(catalog::in_schema(installation)) +
                             " is locked by another session");
        }
        catch (const common::Refusal &refusal)
        {
            failures.add(common::capitalized(refusal.message));
        }
    }
    const std::string count = std::to_string(all.size());
    if (all.empty())
        throw common::Refusal{common::sqlstate::not_reached,
                              "no installation that you may change fits the argument \"schemas\"",
                              {},
                              see_all_installations()};
    if (failures.any())
        throw common::Refusal{common::sqlstate::fleet_failed,
                              std::to_string(failures.count()) + " of " + count +
                                  " installations do not fit " + std::string(target),
                              failures.text(),
                              {}};
    return static_cast<int>(all.size());
}

} // namespace procrastinate::fleet
