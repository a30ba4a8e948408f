// What procrastinate_require() and procrastinate_wait() ask for: a revision or a later one; for a
// release, a revision that the release works on.
#pragma once

#include "chain/target.hpp"

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

enum class Met
{
    yes,
    not_yet,
    never // there is no downgrade
};

class Requirement
{
  public:
    // Throws Refusal as chain::resolve_target().
    Requirement(std::string_view target, const chain::CurrentRevision &current);

    Met by(chain::Revision current) const;

    bool is_release() const { return release_ != nullptr; }
    // The target, or the revision that the release expects.
    chain::Revision revision() const { return revision_; }

    // "at 0037", "at a revision that 3.9.0 works on (0037 to 0038)".
    std::string text() const;

    // "It is at 0036. Pending: 0037 (pre), 0038 (post).", the first five of the migrations.
    std::string pending_after(chain::Revision current) const;

  private:
    const chain::Release *release_ = nullptr; // null: the target is a revision
    chain::Revision revision_ = chain::base;
};

} // namespace procrastinate::upgrade
