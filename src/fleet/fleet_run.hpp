// Runs work on many installations or servers: canaries first, one after the other, then several at
// a time.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace procrastinate::fleet
{

enum class OnError
{
    stop,     // begin with no other
    carry_on, // with the others
};

struct FleetOptions
{
    int workers = 2; // how many at a time
    int canary = 1;  // how many first, one after the other
    OnError on_error = OnError::stop;
    bool dry_run = false;       // only tell what it would do
    double retry_for = 600'000; // milliseconds to wait for a place while none of the work runs
};

struct Failure
{
    std::string sqlstate;
    std::string message;
    std::string detail; // may be empty
};

// Work that has begun elsewhere: in a background worker, or on another server.
class RunningWork
{
  public:
    RunningWork() = default;
    RunningWork(const RunningWork &) = delete;
    RunningWork &operator=(const RunningWork &) = delete;
    virtual ~RunningWork() = default; // ends it, if it has not ended

    virtual bool is_running() = 0;
    // After its end: nothing if it has succeeded.
    virtual std::optional<Failure> failure() const = 0;
};

// Work that has not begun.
struct Work
{
    std::string name;  // for messages: schema "app"
    std::string alone; // the call that does only this, for a HINT
    // Begins it. Returns null if there is no place for it now. `running`: how many others run. May
    // throw, which ends the whole run.
    std::function<std::unique_ptr<RunningWork>(std::size_t running)> start;
};

// Does all of it. What fails does not end what runs; with OnError::stop, or if it is a canary,
// nothing else is begun. Tells the end of each in a NOTICE (not in a dry run) or a WARNING. Throws
// Refusal PM016 at the end if one has failed. `kind`: installations or servers, for messages. In a
// procedure that may commit, outside of an SPI connection. Commits again and again.
void run_all(std::string_view kind, std::deque<Work> works, const FleetOptions &options);

} // namespace procrastinate::fleet
