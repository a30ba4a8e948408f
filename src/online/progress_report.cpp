#include "online/progress_report.hpp"

#include "online/lock_retry.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"

namespace procrastinate::online
{

namespace
{

// ", for session 12 and session 34"
std::string list_of(const std::vector<pid_t> &pids)
{
    std::string list;
    for (const pid_t pid : pids)
    {
        list += list.empty() ? ", for " : " and ";
        list += pid == 0 ? "a prepared transaction" : "session " + std::to_string(pid);
    }
    return list;
}

std::string first_line(std::string_view text)
{
    return std::string(text.substr(0, text.find('\n')));
}

} // namespace

void ProgressReport::begin() { last_notice_ = server::now(); }

bool ProgressReport::is_due() const { return server::now() - last_notice_ >= 1'000'000; }

void ProgressReport::tell(const std::string &about, const std::string &what)
{
    last_notice_ = server::now();
    server::notice(about + ": " + what);
}

void ProgressReport::tell_rows(const chain::Step &step, double percent, std::int64_t rows)
{
    if (is_due())
        tell(request_of(step).name(), std::to_string(static_cast<int>(percent)) + "%, " +
                                          std::to_string(rows) + " rows changed");
}

void ProgressReport::tell_counting(const chain::Step &step)
{
    if (is_due())
        tell(in_use_check_request().name(), "counting calls of the functions that migration " +
                                                std::string(chain::name(step.revision)) + " drops");
}

void ProgressReport::tell_lag(const chain::Step &step, int sender)
{
    if (is_due())
        tell(request_of(step).name(), "waiting for the replica of walsender " +
                                          std::to_string(sender) +
                                          ", which is behind by more than "
                                          "procrastinate_migrate.max_replication_lag");
}

void ProgressReport::tell_waiting(const LockRequest &request, int failures,
                                  const std::vector<pid_t> &pids, std::string_view error)
{
    show_blockers(pids);
    if (is_due())
        tell(request.name(), "waiting for locks, " + tried(failures) + list_of(pids) +
                                 (error.empty() ? "" : ": ") + first_line(error));
}

} // namespace procrastinate::online
