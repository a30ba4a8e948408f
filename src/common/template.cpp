#include "common/template.hpp"

#include <algorithm>
#include <stdexcept>

namespace procrastinate::common
{

namespace
{

constexpr std::string_view opening = "{{";
constexpr std::string_view closing = "}}";

[[noreturn]] void refuse(const char *what, std::string_view placeholder)
{
    throw std::logic_error(std::string(what) +
                           " placeholder in SQL template: " + std::string(placeholder));
}

} // namespace

std::string substitute(std::string_view text, std::initializer_list<Substitution> substitutions)
{
    for (const Substitution &one : substitutions)
        if (text.find(std::string(opening).append(one.placeholder).append(closing)) ==
            std::string_view::npos)
            refuse("unused", one.placeholder);
    std::string result;
    for (;;)
    {
        const std::size_t begin = text.find(opening);
        result += text.substr(0, begin);
        if (begin == std::string_view::npos)
            return result;
        text.remove_prefix(begin + opening.size());
        const std::size_t end = text.find(closing);
        if (end == std::string_view::npos)
            refuse("unterminated", text.substr(0, text.find('\n')));
        const std::string_view placeholder = text.substr(0, end);
        const auto *const found = std::find_if(
            substitutions.begin(), substitutions.end(),
            [placeholder](const Substitution &one) { return one.placeholder == placeholder; });
        if (found == substitutions.end())
            refuse("unknown", placeholder);
        result += found->text;
        text.remove_prefix(end + closing.size());
    }
}

} // namespace procrastinate::common
