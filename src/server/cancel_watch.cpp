#include "server/cancel_watch.hpp"

#include <csignal>

namespace procrastinate::server
{

namespace
{

// The server's timeouts signal their own process.
volatile std::sig_atomic_t is_cancelled = 0;
struct sigaction before;

void note_sender(int signal, siginfo_t *info, void *context)
{
    const int saved = errno;
    if (info->si_pid != MyProcPid)
        is_cancelled = 1;
    errno = saved;
    if ((before.sa_flags & SA_SIGINFO) != 0)
        before.sa_sigaction(signal, info, context);
    else
        before.sa_handler(signal);
}

} // namespace

CancelWatch::CancelWatch()
{
    is_cancelled = 0;
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
}

} // namespace procrastinate::server
