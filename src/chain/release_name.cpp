#include "chain/release_name.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace procrastinate::chain
{

namespace
{

constexpr int without_patch = -1;

// Major, minor and patch version.
using Version = std::array<int, 3>;

std::optional<Version> parse(std::string_view name)
{
    if (name.starts_with('v'))
        name.remove_prefix(1);
    Version version{0, 0, without_patch};
    const char *at = name.data();
    const char *const end = at + name.size();
    for (std::size_t part = 0; part < version.size(); ++part)
    {
        if (at == end || *at < '0' || *at > '9')
            return std::nullopt;
        // 03.01.00 begins the name of a file.
        if (*at == '0' && at + 1 != end && at[1] != '.')
            return std::nullopt;
        const auto [next, error] = std::from_chars(at, end, version[part]);
        if (error != std::errc())
            return std::nullopt;
        if (next == end)
            return part == 0 ? std::nullopt : std::optional(version);
        if (*next != '.')
            return std::nullopt;
        at = next + 1;
    }
    return std::nullopt;
}

bool is_same_minor(const Version &left, const Version &right)
{
    return left[0] == right[0] && left[1] == right[1];
}

} // namespace

bool remove_pre(std::string_view &name)
{
    constexpr std::string_view pre = "@pre";
    const bool has_pre = name.ends_with(pre);
    if (has_pre)
        name.remove_suffix(pre.size());
    return has_pre;
}

NamedRelease find_release(std::string_view name)
{
    constexpr int first_major_without_migrations_in_patches = 3;
    const std::optional<Version> version = parse(name);
    if (!version)
        return {nullptr, false};
    const Release *newest = nullptr; // of the minor version
    for (const Release &release : releases())
    {
        const Version known = *parse(release.name);
        if (known == *version)
            return {&release, false};
        if (is_same_minor(known, *version))
            newest = &release;
    }
    if (newest == nullptr || (*version)[2] == without_patch)
        return {newest, false};
    const bool is_assumed = (*version)[0] >= first_major_without_migrations_in_patches &&
                            *version > *parse(newest->name);
    return {is_assumed ? newest : nullptr, is_assumed};
}

bool is_newer_release(std::string_view name)
{
    (void)remove_pre(name);
    const std::optional<Version> version = parse(name);
    return version && find_release(name).release == nullptr &&
           *version > *parse(releases().back().name);
}

const Release *assumed_release(std::string_view name)
{
    name = name.substr(0, name.find_last_of("+-")); // a relative target
    (void)remove_pre(name);
    const NamedRelease named = find_release(name);
    return named.is_assumed ? named.release : nullptr;
}

} // namespace procrastinate::chain
