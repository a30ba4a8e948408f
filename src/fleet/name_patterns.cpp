#include "fleet/name_patterns.hpp"

#include "server/error_boundary.hpp"

#include <algorithm>

namespace procrastinate::fleet
{

bool fits_one(const std::string &name, const std::vector<std::string> &patterns)
{
    return std::any_of(patterns.begin(), patterns.end(), [&name](const std::string &pattern) {
        return server::call([&] {
            return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
                                                        CStringGetTextDatum(name.c_str()),
                                                        CStringGetTextDatum(pattern.c_str())));
        });
    });
}

std::string pattern_of(const std::string &name)
{
    std::string pattern;
    for (const char c : name)
    {
        if (c == '%' || c == '_' || c == '\\')
            pattern += '\\';
        pattern += c;
    }
    return pattern;
}

} // namespace procrastinate::fleet
