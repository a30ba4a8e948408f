#include "chain/external_ids.hpp"

#include <algorithm>
#include <array>

namespace procrastinate::chain
{

namespace
{

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

// The name of a migration's file without ".sql".
std::string_view stem_of(Revision revision)
{
    std::string_view file = migration(revision).file;
    file.remove_suffix(std::string_view(".sql").size());
    return file;
}

// Ids come into messages and commands: no blanks, quotes or line ends.
bool is_prefix(std::string_view prefix)
{
    return prefix.empty() ||
           ((prefix.back() == '_' || prefix.back() == '-') && prefix.front() != '-' &&
            std::all_of(prefix.begin(), prefix.end(), [](char one) {
                return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'z') ||
                       (one >= 'A' && one <= 'Z') || one == '_' || one == '-' || one == '.';
            }));
}

// True for "procrastinate_", also with words in front of it.
bool is_zero_based(std::string_view prefix)
{
    if (!prefix.ends_with(zero_based_form.prefix))
        return false;
    prefix.remove_suffix(zero_based_form.prefix.size());
    return prefix.empty() || prefix.back() == '_' || prefix.back() == '-';
}

} // namespace

std::string alembic_id(Revision revision, const AlembicForm &form)
{
    if (revision == base)
        return {};
    std::string id = std::string(form.prefix) + four_digits(revision - 1 + form.first);
    if (form.has_file)
        id.append("_").append(stem_of(revision));
    return id;
}

std::optional<AlembicId> read_alembic_id(std::string_view id)
{
    // The number is what comes before the file's name, or else the end.
    for (Revision revision = base + 1; revision <= head(); ++revision)
    {
        const std::string_view stem = stem_of(revision);
        if (!id.ends_with(stem) || id.size() < stem.size() + 5 ||
            id[id.size() - stem.size() - 1] != '_')
            continue;
        const std::string_view before = id.substr(0, id.size() - stem.size() - 1);
        const std::string_view prefix = before.substr(0, before.size() - 4);
        const std::optional<int> number = number_of(before.substr(prefix.size()));
        if (number && is_prefix(prefix) && (*number == revision || *number == revision - 1))
            return AlembicId{revision, {prefix, 1 - (revision - *number), true}};
    }
    if (id.size() < 4)
        return std::nullopt;
    const std::string_view prefix = id.substr(0, id.size() - 4);
    const AlembicForm form{prefix, prefix.empty() ? 1 : 0, false};
    const std::optional<int> number = number_of(id.substr(prefix.size()));
    if (!number || !is_prefix(prefix) || !(prefix.empty() || is_zero_based(prefix)))
        return std::nullopt;
    const std::optional<Revision> revision = known(*number + 1 - form.first);
    return revision ? std::optional(AlembicId{*revision, form}) : std::nullopt;
}

std::optional<Revision> revision_of_alembic_name(std::string_view name)
{
    for (const std::string_view extension : {".py", ".sql"})
        if (name.ends_with(extension))
        {
            name.remove_suffix(extension.size());
            break;
        }
    const std::optional<AlembicId> id = read_alembic_id(name);
    return id && !id->form.is_plain() ? std::optional(id->revision) : std::nullopt;
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
