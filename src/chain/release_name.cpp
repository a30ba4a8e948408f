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

struct Parsed
{
    Version version;
    std::string_view suffix; // "rc1", ".post1"
};

// The suffix of a pre-release, post-release or development release, as PEP 440 spells it.
bool is_suffix(std::string_view text)
{
    constexpr std::array<std::string_view, 8> words{"alpha", "beta", "post", "dev",
                                                    "rc",    "a",    "b",    "c"};
    while (!text.empty())
    {
        if (text.front() == '.')
            text.remove_prefix(1);
        const auto *const word =
            std::find_if(words.begin(), words.end(),
                         [text](std::string_view one) { return text.starts_with(one); });
        if (word == words.end())
            return false;
        text.remove_prefix(word->size());
        text.remove_prefix(std::min(text.find_first_not_of("0123456789"), text.size()));
    }
    return true;
}

std::optional<Parsed> parse_with_suffix(std::string_view name)
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
        if (*at == '0' && at + 1 != end && at[1] >= '0' && at[1] <= '9')
            return std::nullopt;
        const auto [next, error] = std::from_chars(at, end, version[part]);
        if (error != std::errc())
            return std::nullopt;
        const std::string_view suffix(next, static_cast<std::size_t>(end - next));
        if (part > 0 && is_suffix(suffix))
            return Parsed{version, suffix};
        if (!suffix.starts_with('.'))
            return std::nullopt;
        at = next + 1;
    }
    return std::nullopt;
}

// Releases of the chain have no suffix.
std::optional<Version> parse(std::string_view name)
{
    const std::optional<Parsed> parsed = parse_with_suffix(name);
    return parsed && parsed->suffix.empty() ? std::optional(parsed->version) : std::nullopt;
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
    const bool is_assumed = !may_migrate_in_patches(*newest) && *version > *parse(newest->name);
    return {is_assumed ? newest : nullptr, is_assumed};
}

bool may_migrate_in_patches(const Release &release)
{
    constexpr int first_major_without_migrations_in_patches = 3;
    return (*parse(release.name))[0] < first_major_without_migrations_in_patches;
}

bool is_newer_release(std::string_view name)
{
    (void)remove_pre(name);
    const std::optional<Parsed> parsed = parse_with_suffix(name);
    if (!parsed || find_release(name).release != nullptr)
        return false;
    const Version newest = *parse(releases().back().name);
    return parsed->version > newest ||
           (parsed->version == newest && parsed->suffix.starts_with(".post"));
}

bool is_release_name(std::string_view name)
{
    (void)remove_pre(name);
    return parse_with_suffix(name).has_value();
}

const Release *newest_of_minor(std::string_view name)
{
    (void)remove_pre(name);
    const std::optional<Parsed> parsed = parse_with_suffix(name);
    const Release *newest = nullptr;
    for (const Release &release : releases())
        if (parsed && is_same_minor(*parse(release.name), parsed->version))
            newest = &release;
    return newest;
}

const Release *assumed_release(std::string_view name)
{
    name = name.substr(0, name.find_last_of("+-")); // a relative target
    (void)remove_pre(name);
    const NamedRelease named = find_release(name);
    return named.is_assumed ? named.release : nullptr;
}

} // namespace procrastinate::chain
