#include "chain/target.hpp"

#include "chain/external_ids.hpp"
#include "chain/release_name.hpp"
#include "chain/suggestions.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"

#include <algorithm>
#include <charconv>

namespace procrastinate::chain
{

namespace
{

bool all_digits(std::string_view text)
{
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The number that digits say. A number that an int cannot hold becomes one that no chain reaches.
int to_number(std::string_view digits)
{
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() ? number : 1'000'000;
}

std::string located(std::string_view target)
{
    return "Can't locate revision identified by '" + excerpt(target) + "'";
}

[[noreturn]] void refuse(std::string_view target, std::string detail, std::string hint)
{
    throw common::Refusal{common::sqlstate::unknown_revision, located(target), std::move(detail),
                          std::move(hint)};
}

// For the refusal of a name that is, or should be, that of a release.
std::string known_releases(std::string_view refused)
{
    std::string known = "This version of procrastinate_migrate knows the releases " +
                        std::string(releases().front().name) + " to " +
                        std::string(releases().back().name);
    if (!is_release_name(refused) || is_newer_release(refused))
        return known + ".";
    const Release *const newest = newest_of_minor(refused);
    if (newest == nullptr)
        return known + ", but none of that minor version.";
    known.append("; the newest of that minor version is ").append(newest->name).append(".");
    return may_migrate_in_patches(*newest)
               ? known + " Before 3.0 a later patch release may have a migration of its own."
               : known;
}

constexpr std::string_view update_hint =
    "Install a newer version of procrastinate_migrate, then run ALTER EXTENSION "
    "procrastinate_migrate UPDATE;";

std::string see_releases()
{
    return "To see the releases: SELECT * FROM " + common::own_function("procrastinate_releases") +
           "();";
}

[[noreturn]] void refuse_unknown(std::string_view target)
{
    if (is_newer_release(target))
        refuse(target, known_releases(target), std::string(update_hint));
    if (target.ends_with("@pre") && !is_release_name(target))
        refuse(target, "@pre goes with a release, for example 3.1.0@pre.", see_releases());
    constexpr std::string_view grammar = "Targets are head, base, current, a revision (0025), a "
                                         "migration's file, a release (3.1.0, 3.1.0@pre), or "
                                         "relative (+1).";
    const bool is_release = is_release_name(target);
    const std::string nearest = all_digits(target) ? std::string() : suggested_names(target);
    refuse(target,
           is_release ? known_releases(target)
                      : "The chain has the revisions 0001 to " + std::string(name(head())) + ".",
           nearest.empty() ? is_release ? see_releases() : std::string(grammar)
                           : "Perhaps you mean " + nearest + ".");
}

Revision current_revision(std::string_view target, const CurrentRevision &current)
{
    if (!current.revision)
        throw common::Refusal{current.sqlstate_of_unknown, located(target),
                              "It counts from the current revision, and " +
                                  std::string(current.why_unknown) + ".",
                              "Name the revision itself."};
    return *current.revision;
}

// The last revision before the next post revision.
Revision before_next_post(Revision from)
{
    Revision reached = from;
    while (reached < head() && migration(reached + 1).phase != Phase::post)
        ++reached;
    return reached;
}

// The revision that the schema needs before a release is deployed: its head without the post
// revisions at the end, which come after its deployment.
Revision before_deploying(const Release &release)
{
    Revision needed = release.head;
    while (needed > base && migration(needed).phase == Phase::post)
        --needed;
    return needed;
}

std::optional<Revision> by_release(std::string_view target)
{
    const bool only_pre = remove_pre(target);
    const Release *const release = find_release(target).release;
    if (release == nullptr)
        return std::nullopt;
    return only_pre ? before_deploying(*release) : release->head;
}

// Finds a file by its name, with or without .sql, or by a prefix that holds a _ and is no other's.
std::optional<Revision> by_file(std::string_view target)
{
    if (target.find('_') == std::string_view::npos)
        return std::nullopt;
    std::optional<Revision> found;
    std::string matches;
    bool ambiguous = false;
    for (const Migration &migration : migrations())
    {
        if (!migration.file.starts_with(target))
            continue;
        const std::string_view rest = migration.file.substr(target.size());
        if (rest.empty() || rest == ".sql")
            return migration.number;
        matches.append(found ? ", " : "").append(migration.file);
        ambiguous = found.has_value();
        found = migration.number;
    }
    if (ambiguous)
        refuse(target, "More than one migration begins so: " + matches + ".",
               "Type more of the name, or name the revision by its number.");
    return found;
}

Revision resolve_name(std::string_view target, std::string_view whole,
                      const CurrentRevision &current)
{
    if (target == "head" || target == "heads")
        return head();
    if (target == "base")
        return base;
    if (target == "current")
        return current_revision(whole, current);
    if (target == "pre")
        return before_next_post(current_revision(whole, current));
    if (all_digits(target))
    {
        const Revision revision = to_number(target);
        if (revision >= 1 && revision <= head())
            return revision;
        refuse_unknown(whole);
    }
    for (const auto &lookup : {by_release, revision_of_alembic_name, by_file})
        if (const std::optional<Revision> found = lookup(target))
            return *found;
    refuse_unknown(whole);
}

struct Relative
{
    std::string_view from; // empty: from the current revision
    std::string_view sign_and_digits;
    int steps; // negative: back
};

std::optional<Relative> as_relative(std::string_view target)
{
    const std::size_t sign = target.find_last_of("+-");
    if (sign == std::string_view::npos || !all_digits(target.substr(sign + 1)))
        return std::nullopt;
    const int distance = to_number(target.substr(sign + 1));
    return Relative{target.substr(0, sign), target.substr(sign),
                    target[sign] == '-' ? -distance : distance};
}

// What becomes of a relative target beyond an end of the chain.
enum class Overshoot
{
    refused,
    ends_there
};

Revision resolve(std::string_view target, const CurrentRevision &current,
                 std::optional<Revision> anchor, Overshoot overshoot)
{
    if (target.size() > longest_name)
        refuse(target,
               "A target has at most " + std::to_string(longest_name) + " bytes, this one has " +
                   std::to_string(target.size()) + ".",
               "To see the revisions, files and releases: SELECT * FROM " +
                   common::own_function("procrastinate_history_details") + "();");
    const std::optional<Relative> relative = as_relative(target);
    if (!relative)
        return resolve_name(target, target, current);

    Revision from = base;
    if (!relative->from.empty())
        from = resolve_name(relative->from, target, current);
    else if (relative->steps < 0 && anchor)
        from = *anchor;
    else
        from = current_revision(target, current);

    const Revision reached = from + relative->steps;
    if (reached >= base && reached <= head())
        return reached;
    if (overshoot == Overshoot::ends_there)
        return reached < base ? base : head();

    const std::string_view digits = relative->sign_and_digits.substr(1);
    const bool back = relative->steps < 0;
    const int available = back ? from : head() - from;
    throw common::Refusal{common::sqlstate::relative_overshoot,
                          "Relative revision " + std::string(relative->sign_and_digits) +
                              " didn't produce " + std::string(digits) + " migrations",
                          "From " + std::string(name(from)) + " to " + (back ? "base" : "head") +
                              (available == 1
                                   ? " there is 1 migration."
                                   : " there are " + std::to_string(available) + " migrations."),
                          back ? "The chain begins at base." : "The last revision is head."};
}

} // namespace

Revision resolve_target(std::string_view target, const CurrentRevision &current)
{
    return resolve(target, current, std::nullopt, Overshoot::refused);
}

Revision resolve_range_end(std::string_view target, const CurrentRevision &current,
                           std::optional<Revision> anchor)
{
    return resolve(target, current, anchor, Overshoot::ends_there);
}

const Release &resolve_release(std::string_view name)
{
    const Release *const release =
        name.size() > longest_name ? nullptr : find_release(name).release;
    std::string_view without_pre = name;
    if (release == nullptr && remove_pre(without_pre) &&
        find_release(without_pre).release != nullptr)
        throw common::Refusal{common::sqlstate::unknown_revision,
                              "Can't locate release identified by '" + excerpt(name) + "'",
                              "With @pre it is a revision.",
                              "Name the release: '" + std::string(without_pre) + "'"};
    if (release == nullptr)
        throw common::Refusal{common::sqlstate::unknown_revision,
                              "Can't locate release identified by '" + excerpt(name) + "'",
                              known_releases(name),
                              is_newer_release(name) ? std::string(update_hint) : see_releases()};
    return *release;
}

std::string excerpt(std::string_view text)
{
    constexpr std::size_t shown = 64;
    if (text.size() <= shown)
        return std::string(text);
    std::string_view start = text.substr(0, shown);
    // In each server encoding all bytes of a multibyte character are above 127.
    while (!start.empty() && static_cast<unsigned char>(start.back()) > 127)
        start.remove_suffix(1);
    return std::string(start) + "...";
}

} // namespace procrastinate::chain
