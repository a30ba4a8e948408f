#include "catalog/definition_text.hpp"

#include "common/quoting.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

bool is_of_word(char one)
{
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') ||
           one == '_';
}

bool is_looked_up(std::string_view name)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [name](const chain::Fact &fact) {
        switch (fact.kind)
        {
        case chain::Kind::table:
        case chain::Kind::enum_type:
        case chain::Kind::composite:
        case chain::Kind::sequence:
        case chain::Kind::function:
            return fact.name == name;
        default:
            return false;
        }
    });
}

} // namespace

std::string qualified(std::string_view text, std::string_view schema)
{
    const std::string in_literal = common::doubled(schema, "'");
    std::string result;
    for (std::size_t at = 0; at < text.size();)
    {
        std::size_t end = at;
        while (end < text.size() && is_of_word(text[end]))
            ++end;
        if (end == at)
        {
            result += text[at++];
            continue;
        }
        const std::string_view word = text.substr(at, end - at);
        if ((word == "now" || word == "nextval") && end < text.size() && text[end] == '(')
            result += "pg_catalog.";
        else if (is_looked_up(word))
            result.append(at > 0 && text[at - 1] == '\'' ? in_literal : schema).append(".");
        result += word;
        at = end;
    }
    return result;
}

bool has_word(std::string_view text, std::string_view word)
{
    for (std::size_t at = text.find(word); at != std::string_view::npos;
         at = text.find(word, at + 1))
    {
        const std::size_t end = at + word.size();
        if ((at == 0 || !is_of_word(text[at - 1])) &&
            (end == text.size() || !is_of_word(text[end])))
            return true;
    }
    return false;
}

bool has_index(const chain::Definition &constraint)
{
    return constraint.kind == chain::Kind::constraint &&
           (constraint.clause.starts_with("PRIMARY KEY") ||
            constraint.clause.starts_with("UNIQUE") || constraint.clause.starts_with("EXCLUDE"));
}

bool is_of_constraint(const chain::Fact &index)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&index](const chain::Fact &fact) {
        return has_index(fact) && fact.name == index.name && fact.table == index.table &&
               fact.first <= index.last && index.first <= fact.last;
    });
}

} // namespace procrastinate::catalog
