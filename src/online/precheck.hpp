// Where the installation stands at the begin of each turn of a call, and that it is match to go on.
#pragma once

#include "chain/step.hpp"
#include "upgrade/change.hpp"

#include <string_view>

namespace procrastinate::online
{

class Precheck
{
  public:
    Precheck(const catalog::Installation &installation, std::string_view target)
        : installation_(installation), target_(target),
          change_(installation, "procrastinate_migrate()", upgrade::UnderWay::continued)
    {
    }

    // Takes the lock of the installation, for which it waits as long as the session's lock_timeout lets it,
    // and tells so. Throws Refusal PM008, or 42501 where the caller may not even look; 25006 of the server.
    void enter() const;

    // With that lock: where the installation stands. Throws Refusal as upgrade::upgrade() does. May be asked again
    // where it failed.
    upgrade::UpgradePath look();

    // The first that is left of the next migration, which from base is one step: there is nobody yet whom
    // anything could hold up. Throws Refusal PM006 where it is under way by steps that nobody here knows.
    chain::Step next_step(const upgrade::UpgradePath &path) const;

    // Once look() has gone well: relative targets are resolved once.
    std::optional<chain::Revision> goal() const { return goal_; }
    // As the caller named it, or resolved.
    std::string target() const { return std::string(goal_ ? chain::name(*goal_) : target_); }
    // Whether the call began at base and nobody else has been at work since.
    bool is_new() const { return is_new_; }

    // A migration has been done to its end.
    void arrive(chain::Revision revision);

  private:
    const catalog::Installation &installation_;
    std::string_view target_;
    upgrade::Change change_;
    std::optional<chain::Revision> goal_;
    std::optional<chain::Revision>
        expected_; // where this call has left the schema, or found it match
    bool is_new_ = false;
};

// What look() asks for, as if it were a step: number 0, before the first.
chain::Step precheck_step();

} // namespace procrastinate::online
