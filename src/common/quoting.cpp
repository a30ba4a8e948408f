#include "common/quoting.hpp"

namespace procrastinate::common
{

std::string doubled(std::string_view text, std::string_view special)
{
    std::string result;
    for (const char one : text)
        result.append(special.find(one) == std::string_view::npos ? 1 : 2, one);
    return result;
}

std::string quoted_identifier(std::string_view name) { return '"' + doubled(name, "\"") + '"'; }

std::string quoted_literal(std::string_view text)
{
    const bool has_backslash = text.find('\\') != std::string_view::npos;
    return (has_backslash ? "E'" : "'") + doubled(text, "'\\") + "'";
}

} // namespace procrastinate::common
