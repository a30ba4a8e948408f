// Fault points: named places at which a process waits, so that a test can end it there.
#include "server/fault_point.hpp"

#ifdef PROCRASTINATE_FAULT_POINTS

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

namespace
{

char *wanted = nullptr; // the value of the setting; the server writes it

} // namespace

void define_fault_points()
{
    DefineCustomStringVariable("procrastinate_migrate.fault_point",
                               "Sets the point at which a process waits, for tests.", nullptr,
                               &wanted, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

void fault_point(const char *where, const char *what)
{
    const char *const here = psprintf("%s %s", where, what);
    if (wanted == nullptr || strcmp(wanted, here) != 0)
        return;
    pgstat_report_appname(here);
    for (;;)
    {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        if (InterruptPending && InterruptHoldoffCount > 0)
        {
            ereport(LOG, (errmsg("\"%s\" goes on, and is ended later", here)));
            return;
        }
        CHECK_FOR_INTERRUPTS();
    }
}

void fault_point(const char *where, const std::string &what)
{
    const char *const name = what.c_str();
    call([where, name] { fault_point(where, name); });
}

} // namespace procrastinate::server

#endif
