// What a call needs locks for: a step, the pre-check, the in-use check, or an installation of head.
//
// Messages, the look-up of blockers and the count of retries need to know which of the four could
// not have its locks.
#pragma once

#include "chain/step.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

struct LockRequest
{
    enum Purpose
    {
        precheck,     // reading the current revision and what migrations could fail at
        in_use_check, // looking for code that uses what a migration drops
        installation, // creating the schema of head directly
        step
    };
    static constexpr std::size_t purposes = step + 1;

    Purpose purpose;
    chain::Step of_step; // if the purpose is a step
    std::vector<chain::StepLock> locks;

    // The name that begins a NOTICE: "step 0024.3", "pre-check".
    std::string name() const;

    // The message of the error if the locks cannot be had, in lower case and without a full stop.
    std::string failure() const;

    // Closing the fetch barrier and removing it need its table's strongest lock, which running
    // fetches are in the way of.
    bool locks_barrier() const
    {
        return purpose == step &&
               (of_step.barrier == chain::Step::close || of_step.barrier == chain::Step::remove);
    }
    // The version tables of Alembic and Django: the pre-check reads them, the last step of a
    // migration changes them.
    bool is_of_version_tables() const { return purpose != step || of_step.number == of_step.count; }
};

LockRequest precheck_request();
LockRequest in_use_check_request();
LockRequest installation_request();

// With the locks that the step takes, or with `locks` instead: those of one of its transactions.
LockRequest request_of(const chain::Step &step);
LockRequest request_of(const chain::Step &step, std::vector<chain::StepLock> locks);

// "migration 0031 (03.00.00_50_post_cancel_notification.sql), step 3 (update the aborting jobs)"
std::string step_label(const chain::Step &step);

} // namespace procrastinate::online
