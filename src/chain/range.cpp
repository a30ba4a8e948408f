#include "chain/range.hpp"

#include "common/refusal.hpp"

namespace procrastinate::chain
{

Range resolve_range(std::string_view range, const CurrentRevision &current)
{
    const std::size_t colon = range.find(':');
    if (range.size() > longest_name || colon == std::string_view::npos ||
        range.find(':', colon + 1) != std::string_view::npos)
        throw common::Refusal{common::sqlstate::invalid_range,
                              "range \"" + excerpt(range) + "\" is not a range of revisions",
                              "History range requires [start]:[end], [start]:, or :[end].",
                              "For example base:head, 0025:0030, 3.0.0:, or -3:current."};

    const std::string_view start_name = range.substr(0, colon);
    const std::string_view end_name = range.substr(colon + 1);

    const Revision end =
        end_name.empty() ? head() : resolve_range_end(end_name, current, std::nullopt);
    const Revision start = start_name.empty() ? base : resolve_range_end(start_name, current, end);

    if (start > end)
        throw common::Refusal{common::sqlstate::invalid_range,
                              "Requested range " + std::string(range) +
                                  " does not refer to ancestor/descendant revisions",
                              "It begins at " + std::string(name(start)) + " and ends at " +
                                  std::string(name(end)) + ".",
                              "Name the older revision first: '" + std::string(name(end)) + ":" +
                                  std::string(name(start)) + "'"};
    return {start, end};
}

} // namespace procrastinate::chain
