#include "upgrade/sql_text.hpp"

#include <algorithm>

namespace procrastinate::upgrade
{

namespace
{

// Comments in C's style nest in SQL.
std::size_t end_of_comment(std::string_view text, std::size_t position)
{
    int depth = 0;
    while (position < text.size())
    {
        const std::string_view pair = text.substr(position, 2);
        if (pair == "/*" || pair == "*/")
        {
            depth += pair == "/*" ? 1 : -1;
            position += 2;
            if (depth == 0)
                break;
        }
        else
            ++position;
    }
    return position;
}

} // namespace

std::size_t leading_blank(std::string_view text)
{
    std::size_t position = 0;
    for (;;)
    {
        position = std::min(text.find_first_not_of(" \t\r\n\f\v", position), text.size());
        const std::string_view pair = text.substr(position, 2);
        if (pair == "--")
            position = std::min(text.find_first_of("\r\n", position), text.size());
        else if (pair == "/*")
            position = end_of_comment(text, position);
        else
            return position;
    }
}

int line_at(std::string_view text, std::size_t position)
{
    return 1 + static_cast<int>(std::count(
                   text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
}

} // namespace procrastinate::upgrade
