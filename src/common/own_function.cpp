#include "common/own_function.hpp"

#include <array>

namespace procrastinate::common
{

namespace
{

// A name has at most 63 bytes, and each may be a quotation mark, which is doubled.
constexpr std::size_t longest_quoted_name = 2 * 63 + 2;

std::array<char, longest_quoted_name> buffer;
std::size_t length = 0;

} // namespace

void set_extension_schema(std::string_view quoted) noexcept
{
    length = quoted.copy(buffer.data(), buffer.size());
}

std::string own_function(std::string_view name)
{
    std::string text(buffer.data(), length);
    if (length != 0)
        text += '.';
    return text.append(name);
}

} // namespace procrastinate::common
