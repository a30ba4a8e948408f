#include "catalog/function_settings.hpp"

#include "server/error_boundary.hpp"

namespace procrastinate::catalog
{

namespace
{

constexpr std::string_view path_setting = "search_path=";

bool finds(std::string_view path, const Installation &installation, std::string_view owner)
{
    std::string text(path);
    const std::string user(owner);
    const Oid schema = installation.schema;
    return server::call([&text, &user, schema] {
        List *names = NIL;
        if (!SplitIdentifierString(text.data(), ',', &names))
            return false;
        const ListCell *cell = nullptr;
        foreach (cell, names)
        {
            const auto *const written = static_cast<const char *>(lfirst(cell));
            const char *const name = strcmp(written, "$user") == 0 ? user.c_str() : written;
            const Oid named = get_namespace_oid(name, true);
            if (named == schema)
                return true;
            if (OidIsValid(named) && OidIsValid(get_relname_relid("procrastinate_jobs", named)))
                return false;
        }
        return false;
    });
}

} // namespace

Settings kind_of_settings(std::span<const std::string_view> settings,
                          const Installation &installation, std::string_view owner)
{
    for (const std::string_view setting : settings)
        if (setting.starts_with(path_setting))
        {
            if (!finds(setting.substr(path_setting.size()), installation, owner))
                return Settings::other_schema;
            return settings.size() == 1 ? Settings::this_schema : Settings::other;
        }
    return Settings::other;
}

} // namespace procrastinate::catalog
