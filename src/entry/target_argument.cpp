#include "entry/target_argument.hpp"

#include "chain/release_name.hpp"
#include "chain/target.hpp"
#include "server/messages.hpp"

namespace procrastinate::entry
{

namespace
{

void warn_if_assumed(std::string_view target)
{
    if (const chain::Release *const release = chain::assumed_release(target))
        server::warning("release " + chain::excerpt(target) + " is taken as " +
                            std::string(release->name),
                        "This version of procrastinate_migrate does not know it. Since 3.0 no "
                        "patch release has had a migration of its own.",
                        {});
}

} // namespace

std::string_view target_argument(const server::Arguments &arguments, int number, const char *name)
{
    const std::string_view target = arguments.required_text(number, name);
    warn_if_assumed(target);
    return target;
}

const chain::Release &release_argument(const server::Arguments &arguments, int number,
                                       const char *name)
{
    const std::string_view text = arguments.required_text(number, name);
    const chain::Release &release = chain::resolve_release(text);
    warn_if_assumed(text);
    return release;
}

std::string_view range_argument(const server::Arguments &arguments, int number, const char *name)
{
    const std::string_view range = arguments.required_text(number, name);
    const std::size_t colon = range.find(':');
    warn_if_assumed(range.substr(0, colon));
    if (colon != std::string_view::npos)
        warn_if_assumed(range.substr(colon + 1));
    return range;
}

} // namespace procrastinate::entry
