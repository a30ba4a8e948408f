#include "catalog/function_settings.hpp"

#include "catalog/named_objects.hpp"
#include "server/error_boundary.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace procrastinate::catalog
{

namespace
{

constexpr std::string_view path_setting = "search_path=";

// Each schema of a path is searched for the names.
constexpr std::size_t longest_path = 20;

// The schemas of a path, in its order; empty if it cannot be read.
std::vector<std::string> schemas_of(std::string_view path)
{
    std::string text(path);
    const List *const names = server::call([&text]() -> const List * {
        List *found = NIL;
        return SplitIdentifierString(text.data(), ',', &found) ? found : NIL;
    });
    std::vector<std::string> schemas;
    schemas.reserve(static_cast<std::size_t>(list_length(names)));
    for (int i = 0; i < list_length(names); ++i)
        schemas.emplace_back(static_cast<const char *>(list_nth(names, i)));
    return schemas;
}

Oid schema_named(const std::string &name)
{
    return server::call([&name] { return get_namespace_oid(name.c_str(), true); });
}

// What a function with this search_path finds.
Settings kind_of_path(std::string_view path, const Installation &installation,
                      std::string_view owner)
{
    const std::vector<std::string> schemas = schemas_of(path);
    for (std::size_t i = 0; i < std::min(schemas.size(), longest_path); ++i)
    {
        const bool is_of_caller = schemas[i] == "$user";
        const Oid named = schema_named(is_of_caller ? std::string(owner) : schemas[i]);
        if (named == installation.schema)
            return Settings::others;
        if (OidIsValid(named) && named != PG_CATALOG_NAMESPACE && !is_of_caller &&
            holds_known_names(named))
            break;
    }
    return Settings::other_schema;
}

} // namespace

Settings kind_of_settings(std::span<const std::string_view> settings,
                          const Installation &installation, std::string_view owner)
{
    for (const std::string_view setting : settings)
        if (setting.starts_with(path_setting))
            return kind_of_path(setting.substr(path_setting.size()), installation, owner);
    return Settings::others;
}

} // namespace procrastinate::catalog
