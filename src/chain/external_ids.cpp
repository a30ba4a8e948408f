#include "chain/external_ids.hpp"

#include <algorithm>
#include <array>

namespace procrastinate::chain
{

namespace
{

constexpr std::string_view zero_based_prefix = "procrastinate_";

// Numbers of Django's migrations without SQL. Each puts the later ones one further behind ours.
constexpr std::array without_sql{25, 30, 36};

std::string four_digits(int number)
{
    std::string digits = std::to_string(number);
    digits.insert(0, 4 - digits.size(), '0');
    return digits;
}

// The number that four digits say; nothing for any other text.
std::optional<int> number_of(std::string_view digits)
{
    if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(),
                                           [](char one) { return one >= '0' && one <= '9'; }))
        return std::nullopt;
    int number = 0;
    for (const char one : digits)
        number = 10 * number + (one - '0');
    return number;
}

std::optional<Revision> known(int revision)
{
    return revision > base && revision <= head() ? std::optional(revision) : std::nullopt;
}

} // namespace

std::string alembic_id(Revision revision, AlembicIds ids)
{
    if (revision == base)
        return {};
    if (ids == AlembicIds::plain)
        return std::string(name(revision));
    return std::string(zero_based_prefix) + four_digits(revision - 1);
}

std::optional<Revision> revision_of_alembic(std::string_view id)
{
    if (const std::optional<int> number = number_of(id))
        return known(*number);
    return revision_of_zero_based_id(id);
}

std::optional<Revision> revision_of_zero_based_id(std::string_view id)
{
    if (!id.starts_with(zero_based_prefix))
        return std::nullopt;
    const std::optional<int> number = number_of(id.substr(zero_based_prefix.size()));
    return number ? known(*number + 1) : std::nullopt;
}

std::optional<Revision> revision_of_django(std::string_view last)
{
    const std::optional<int> number = number_of(last.substr(0, last.find('_')));
    if (!number || *number < 1 || *number == 2)
        return std::nullopt;
    return known(*number -
                 static_cast<int>(std::count_if(without_sql.begin(), without_sql.end(),
                                                [&number](int one) { return *number >= one; })));
}

std::string django_prefix(Revision revision)
{
    // Our 0002 is Django's 0003.
    return four_digits(revision == 2 ? 3 : django_count(revision).with_sql);
}

DjangoCount django_count(Revision revision)
{
    const auto has_none = [](int number) {
        return std::find(without_sql.begin(), without_sql.end(), number) != without_sql.end();
    };
    // Django applies our 0003 before our 0002: at 0002 only its first migration has been applied.
    int number = revision == 2 ? 1 : revision;
    for (const int one : without_sql)
        if (number >= one)
            ++number;
    DjangoCount count{number, number};
    while (revision != base && has_none(count.all + 1))
        ++count.all;
    return count;
}

DjangoNames::DjangoNames(std::string_view words)
{
    constexpr std::string_view between = " \t\r\n,";
    std::vector<std::pair<int, std::string>> found;
    while (!words.empty())
    {
        const std::string_view word = words.substr(0, words.find_first_of(between));
        words.remove_prefix(std::min(words.size(), word.size() + 1));
        if (word.size() > 5 && word[4] == '_')
            if (const std::optional<int> number = chain::number_of(word.substr(0, 4)))
                found.emplace_back(*number, word);
    }
    std::sort(found.begin(), found.end());
    for (const auto &[number, name] : found)
    {
        if (number <= count()) // the number is there twice
        {
            names_.clear();
            return;
        }
        if (number != count() + 1)
            return;
        names_.push_back(name);
    }
}

std::optional<int> DjangoNames::number_of(std::string_view name) const
{
    const auto found = std::find(names_.begin(), names_.end(), name);
    return found == names_.end() ? std::nullopt
                                 : std::optional(static_cast<int>(found - names_.begin()) + 1);
}

} // namespace procrastinate::chain
