// Patterns of LIKE that choose schemas and servers by name.
#pragma once

#include <string>
#include <vector>

namespace procrastinate::fleet
{

bool fits_one(const std::string &name, const std::vector<std::string> &patterns);

// The pattern that only this name fits.
std::string pattern_of(const std::string &name);

} // namespace procrastinate::fleet
