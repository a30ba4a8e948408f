#include "chain/suggestions.hpp"

#include "chain/chain.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace procrastinate::chain
{

namespace
{

constexpr std::size_t longest_compared = 64;

char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

// Levenshtein distance, without regard to case. Both names have at most longest_compared bytes.
std::size_t distance(std::string_view left, std::string_view right)
{
    std::array<std::size_t, longest_compared + 1> row{};
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= left.size(); ++i)
    {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= right.size(); ++j)
        {
            const std::size_t replaced =
                diagonal + (lower(left[i - 1]) == lower(right[j - 1]) ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[right.size()];
}

// Keeps the three candidates with the smallest distance. Of equals the earlier one is kept.
class Best
{
  public:
    explicit Best(std::string_view typed)
        : typed_(typed), limit_(typed.size() < 4 ? 1 : std::max<std::size_t>(2, typed.size() / 3))
    {
    }

    void consider(std::string_view candidate)
    {
        const std::size_t longer = std::max(candidate.size(), typed_.size());
        const std::size_t shorter = std::min(candidate.size(), typed_.size());
        if (longer > longest_compared || longer - shorter > limit_)
            return;
        Place place{distance(typed_, candidate), candidate};
        if (place.distance > limit_)
            return;
        for (Place &held : places_)
            if (held.name.empty() || place.distance < held.distance)
                std::swap(held, place);
    }

    std::string names() const
    {
        std::string names;
        for (const Place &place : places_)
            if (!place.name.empty())
                names.append(names.empty() ? "" : ", ").append(place.name);
        return names;
    }

  private:
    struct Place
    {
        std::size_t distance = 0;
        std::string_view name;
    };
    std::string_view typed_;
    std::size_t limit_;
    std::array<Place, 3> places_{};
};

} // namespace

std::string suggested_names(std::string_view typed)
{
    if (typed.empty() || typed.size() > longest_compared)
        return {};
    Best best(typed);
    for (const std::string_view word : {"head", "base", "current", "pre"})
        best.consider(word);
    for (const Migration &migration : migrations())
    {
        best.consider(migration.revision);
        const std::string_view ending = typed.ends_with(".sql") ? "" : ".sql";
        best.consider(migration.file.substr(0, migration.file.size() - ending.size()));
    }
    const std::span<const Release> all = releases();
    for (auto release = all.rbegin(); release != all.rend(); ++release)
        best.consider(release->name);
    return best.names();
}

} // namespace procrastinate::chain
