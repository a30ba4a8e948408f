#include "online/lock_request.hpp"

#include "upgrade/notices.hpp"

namespace procrastinate::online
{

namespace
{

// Rows of these tables decide whether a migration can fail, and whether old workers are at work;
// 0024 updates events.
std::vector<chain::StepLock> locks_of_reading()
{
    return {{"procrastinate_jobs", "ACCESS SHARE"},
            {"procrastinate_periodic_defers", "ACCESS SHARE"},
            {"procrastinate_workers", "ACCESS SHARE"},
            {"procrastinate_events", "ROW EXCLUSIVE"}};
}

} // namespace

std::string LockRequest::name() const
{
    switch (purpose)
    {
    case precheck:
        return "pre-check";
    case in_use_check:
        return "in-use check";
    case installation:
        return "installation";
    case step:
        break;
    }
    return "step " + of_step.name();
}

std::string LockRequest::failure() const
{
    switch (purpose)
    {
    case precheck:
        return "could not lock the tables to read the current revision";
    case in_use_check:
        return "could not lock the tables to look for old workers";
    case installation:
        return "the installation could not get its locks";
    case step:
        break;
    }
    return step_label(of_step) + " could not get its locks";
}

LockRequest precheck_request() { return {LockRequest::precheck, {}, locks_of_reading()}; }

LockRequest in_use_check_request() { return {LockRequest::in_use_check, {}, locks_of_reading()}; }

LockRequest installation_request() { return {LockRequest::installation, {}, {}}; }

LockRequest request_of(const chain::Step &step) { return request_of(step, step.all_locks()); }

LockRequest request_of(const chain::Step &step, std::vector<chain::StepLock> locks)
{
    return {LockRequest::step, step, std::move(locks)};
}

std::string step_label(const chain::Step &step)
{
    return upgrade::migration_label(chain::migration(step.revision)) + ", step " +
           std::to_string(step.number) + " (" + std::string(step.title) + ")";
}

} // namespace procrastinate::online
