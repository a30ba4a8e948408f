#include "entry/target_argument.hpp"

#include "chain/release_name.hpp"
#include "chain/target.hpp"
#include "server/messages.hpp"

namespace procrastinate::entry
{

std::string_view target_argument(const server::Arguments &arguments, int number, const char *name)
{
    const std::string_view target = arguments.required_text(number, name);
    if (const chain::Release *const release = chain::assumed_release(target))
        server::warning("release " + chain::excerpt(target) + " is taken as " +
                            std::string(release->name),
                        "It is newer than this version of procrastinate_migrate. Since 3.0 no "
                        "patch release has had a migration of its own.",
                        {});
    return target;
}

} // namespace procrastinate::entry
