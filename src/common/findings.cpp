#include "common/findings.hpp"

namespace procrastinate::common
{

void Findings::add(const std::string &finding)
{
    if (++count_ <= limit_)
        text_.append(text_.empty() ? "" : "\n").append(finding).append(".");
}

void Findings::add(const std::vector<std::string> &findings)
{
    for (const std::string &finding : findings)
        add(finding);
}

std::string Findings::text() const
{
    if (count_ <= limit_)
        return text_;
    return text_ + "\nAnd " + std::to_string(count_ - limit_) + " more.";
}

std::string sentence(std::string clause)
{
    if (!clause.ends_with('.'))
        clause += '.';
    return capitalized(std::move(clause));
}

std::string capitalized(std::string text)
{
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
        text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

} // namespace procrastinate::common
