// The pre-check of an online run: where the installation is, and that the next migration can run.
// It is repeated in each transaction, since other sessions may have changed the installation in
// between.
#pragma once

#include "chain/step.hpp"
#include "online/next_action.hpp"
#include "upgrade/change.hpp"

#include <string>

namespace procrastinate::online
{

// All functions run inside an SPI connection and under a search_path of the server's own.
class OnlinePrecheck
{
  public:
    OnlinePrecheck(const catalog::Installation &installation, std::string_view target)
        : installation_(installation), named_target_(target),
          change_(installation, "procrastinate_migrate()", upgrade::Unfinished::continued)
    {
    }

    // Takes the installation's advisory lock to the end of the transaction; waits for it as long as
    // the setting lock_timeout says. Throws Refusal PM008 if library and extension differ in
    // version, 42501 if the caller may not act as the owner, 3F000 if the schema is gone;
    // 25006 of the server on a standby; 55P03 of the server.
    void lock_installation();

    // Runs `body` as the installation's owner, found by lock_installation().
    template <typename Body> auto as_owner(Body &&body) const -> std::invoke_result_t<Body &>
    {
        return change_.as_owner(body);
    }
    Oid owner() const { return change_.owner(); }

    // With that lock: the way to the target. Locks the history (SHARE ROW EXCLUSIVE) and, if there
    // is a migration left to run, the installation's tables (ACCESS SHARE; before 0024
    // procrastinate_events in ROW EXCLUSIVE mode). Compares the catalog with the current
    // revision once, and again after another session has changed it. Warns of timeouts once, before
    // the first step. Throws Refusal as
    // upgrade::upgrade(); errors of the server about locks leave this as it was.
    upgrade::UpgradePath read_path();

    // The first step that is left of the next migration. Throws Refusal PM006 if the migration is
    // under way by steps that this version does not know.
    chain::Step next_step(const upgrade::UpgradePath &path) const;

    // The target after the first read_path(), which resolves a relative one.
    bool is_target_resolved() const { return target_.has_value(); }
    const std::string &named_target() const { return named_target_; } // as the caller wrote it
    // The target's name; before that, what the caller asked for.
    std::string target() const
    {
        return target_ ? std::string(chain::name(*target_)) : named_target_;
    }

    // Not Unit::step if the call began at base and no other session has changed the installation
    // since.
    Unit unit() const { return unit_; }

    // This call has run the migration to `revision` to its end: the catalog need not be compared
    // again.
    void migration_ended(chain::Revision revision);

  private:
    const catalog::Installation &installation_;
    std::string named_target_;
    upgrade::Change change_;
    std::optional<chain::Revision> target_;
    std::optional<chain::Revision> compared_; // the catalog is known to be that of this revision
    Unit unit_ = Unit::step;
};

} // namespace procrastinate::online
