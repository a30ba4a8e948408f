// Sets configuration parameters for a piece of work, as a function's SET clause does.
#include "server/setting_scope.hpp"

namespace procrastinate::server
{

int open_settings()
{
    return call([] { return NewGUCNestLevel(); });
}

void set(const char *setting, const char *value)
{
    call([=] {
        (void)set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
                                0, false);
    });
}

void set_as_server(const char *setting, const char *value)
{
    call([=] {
        (void)set_config_option(setting, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                                false);
    });
}

void close_settings(int level)
{
    // As for an abort: a plain SET of code that ran in the scope must not outlive it.
    call([level] { AtEOXact_GUC(false, level); });
}

} // namespace procrastinate::server
