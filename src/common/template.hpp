// SQL templates: text with named placeholders, written {{name}}, and their substitution.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace procrastinate::common
{

// The text that stands for a placeholder. It is copied as it is: quote it before.
struct Substitution
{
    std::string_view placeholder; // without the braces
    std::string_view text;
};

// Returns the template with each placeholder replaced. Substituted text is not searched for
// placeholders again. Throws std::logic_error if the template has a placeholder that no
// substitution names, or lacks one that a substitution names: both are errors in our own code.
std::string substitute(std::string_view text, std::initializer_list<Substitution> substitutions);

} // namespace procrastinate::common
