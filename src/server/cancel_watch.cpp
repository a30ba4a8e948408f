// Detects a cancel that the server has reported as a lock timeout.
#include "server/cancel_watch.hpp"

#include <csignal>

namespace procrastinate::server
{

namespace
{

volatile std::sig_atomic_t is_cancelled = 0;
struct sigaction before;
bool is_timed = false; // statement_timeout is set

// Signal handler. The server's timeouts send SIGINT too, from the process itself.
void note_sender(int signal, siginfo_t *info, void *context)
{
    const int saved = errno;
    if (info->si_pid != MyProcPid)
        is_cancelled = 1;
    errno = saved;
    if ((before.sa_flags & SA_SIGINFO) != 0)
        before.sa_sigaction(signal, info, context);
    else if (before.sa_handler != SIG_IGN && before.sa_handler != SIG_DFL)
        before.sa_handler(signal);
}

} // namespace

CancelWatch::CancelWatch()
{
    is_cancelled = 0;
    is_timed = get_timeout_active(STATEMENT_TIMEOUT);
    (void)sigaction(SIGINT, nullptr, &before);
    struct sigaction watching = before;
    watching.sa_sigaction = note_sender;
    watching.sa_flags |= SA_SIGINFO;
    (void)sigaction(SIGINT, &watching, nullptr);
}

CancelWatch::~CancelWatch() { (void)sigaction(SIGINT, &before, nullptr); }

void CancelWatch::require_none()
{
    if (is_cancelled != 0)
        call([] {
            ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
                            errmsg("canceling statement due to user request")));
        });
    if (is_timed && !get_timeout_active(STATEMENT_TIMEOUT))
        call([] {
            ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
                            errmsg("canceling statement due to statement timeout")));
        });
}

} // namespace procrastinate::server
