#include "online/progress_report.hpp"

#include "server/messages.hpp"
#include "server/pause.hpp"

namespace procrastinate::online
{

void ProgressReport::begin() { last_ = server::now(); }

bool ProgressReport::is_due() const { return server::now() - last_ >= 1'000'000; }

void ProgressReport::tell(const chain::Step &step, const std::string &what)
{
    last_ = server::now();
    server::notice((step.number == 0 ? std::string(step.title) : "step " + step.name()) + ": " +
                   what);
}

void ProgressReport::tell_rows(const chain::Step &step, double percent, std::int64_t rows)
{
    if (is_due())
        tell(step, std::to_string(static_cast<int>(percent)) + "%, " + std::to_string(rows) +
                       " rows changed");
}

void ProgressReport::tell_counting(const chain::Step &step)
{
    if (is_due())
        tell(step, "looking whether functions are called that it drops");
}

void ProgressReport::tell_lag(const chain::Step &step, int sender)
{
    if (is_due())
        tell(step, "waiting for the replica of walsender " + std::to_string(sender) +
                       ", which is behind by more than "
                       "procrastinate_migrate.max_replication_lag");
}

void ProgressReport::tell_waiting(const chain::Step &step, int failures,
                                  const std::vector<pid_t> &pids, std::string_view error)
{
    show(pids);
    if (!is_due())
        return;
    std::string who;
    for (const pid_t pid : pids)
        who +=
            (who.empty() ? ", for " : " and ") +
            (pid == 0 ? std::string("a prepared transaction") : "session " + std::to_string(pid));
    tell(step, "waiting for locks, asked " + std::to_string(failures) + " times" + who +
                   (error.empty() ? "" : ": ") + std::string(error.substr(0, error.find('\n'))));
}

} // namespace procrastinate::online
