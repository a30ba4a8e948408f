#include "chain/step.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace procrastinate::chain
{

namespace
{

constexpr std::array<std::pair<StepKind, std::string_view>, 4> kind_names{
    {{StepKind::brief, "brief"},
     {StepKind::batched, "batched"},
     {StepKind::concurrent, "concurrent"},
     {StepKind::validated, "validated"}}};

// Removes the text up to `end`, and `end`, from the front. Returns what stood before `end`.
std::string_view take(std::string_view &text, std::string_view end)
{
    const std::size_t at = text.find(end);
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
    return taken;
}

template <typename Number> std::optional<Number> read_number(std::string_view digits)
{
    Number number{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && end == digits.data() + digits.size() ? std::optional(number)
                                                                        : std::nullopt;
}

// The number that digits say, or -1.
int number_of(std::string_view digits) { return read_number<int>(digits).value_or(-1); }

// "500 of 900"
std::optional<Position> read_position(std::string_view words)
{
    const auto done = read_number<long long>(take(words, " of "));
    const auto last = read_number<long long>(words);
    // A user may have changed the history.
    if (!done || !last || *done > *last)
        return std::nullopt;
    return Position{*done, *last};
}

Step barrier_step(Revision revision, decltype(Step::barrier) barrier, std::string_view title)
{
    Step step{};
    step.revision = revision;
    step.kind = StepKind::brief;
    step.barrier = barrier;
    step.title = title;
    return step;
}

void number_steps(std::vector<Step> &steps)
{
    int number = 0;
    for (Step &step : steps)
    {
        step.number = ++number;
        step.count = static_cast<int>(steps.size());
    }
}

} // namespace

bool Rest::takes(std::string_view statement) const
{
    if (kind == none)
        return false;
    const bool is_listed =
        std::any_of(beginnings.begin(), beginnings.end(), [statement](std::string_view beginning) {
            return statement.starts_with(beginning);
        });
    return is_listed == (kind == only);
}

std::string Step::name() const { return step_name({revision, number}); }

std::vector<StepLock> Step::all_locks() const
{
    if (kind == StepKind::concurrent)
        return {{table, "SHARE UPDATE EXCLUSIVE"}};
    if (kind == StepKind::batched)
        return {{table, "ROW EXCLUSIVE"}};
    return {locks.begin(), locks.end()};
}

std::vector<Step> steps(Revision revision)
{
    std::vector<Step> all;
    for (const WrittenStep &written : written_steps())
    {
        if (written.revision != revision)
            continue;
        if (!written.has_barrier)
        {
            all.push_back({written, 0, 0, Step::none});
            continue;
        }
        all.push_back(barrier_step(revision, Step::install, "install the fetch barrier"));
        all.push_back({written, 0, 0, Step::close});
        all.push_back(barrier_step(revision, Step::remove, "remove the fetch barrier"));
    }
    if (all.empty())
        return {whole_step(revision)};
    number_steps(all);
    return all;
}

std::vector<Step> steps_left(Revision revision, int done, Revision target)
{
    std::vector<Step> left = steps(revision);
    std::erase_if(left, [done, target](const Step &step) {
        return step.number <= done || step.ahead_of > target;
    });
    return left;
}

std::vector<std::string> built_ahead(Revision revision)
{
    std::vector<std::string> indexes;
    for (const WrittenStep &written : written_steps())
        if (written.ahead_of != base && written.ahead_of == revision)
            indexes.emplace_back(written.index);
    return indexes;
}

Step whole_step(Revision revision)
{
    Step whole{};
    whole.revision = revision;
    whole.number = whole.count = 1;
    whole.kind = StepKind::brief;
    whole.title = "the whole migration";
    whole.rest.kind = Rest::without;
    return whole;
}

std::string_view kind_name(StepKind kind)
{
    return kind_names[static_cast<std::size_t>(kind)].second;
}

std::string step_name(const StepName &name)
{
    std::string text = std::string(chain::name(name.revision)) + "." + std::to_string(name.number);
    if (name.position)
        text += ", " + std::to_string(name.position->done) + " of " +
                std::to_string(name.position->last);
    return text;
}

bool parse_step_name(std::string_view name, StepName &parsed)
{
    const std::string_view revision = take(name, ".");
    const bool has_position = name.find(", ") != std::string_view::npos;
    const std::string_view number = take(name, ", ");
    parsed = {number_of(revision), number_of(number)};
    if (has_position)
        parsed.position = read_position(name);
    return has_position == parsed.position.has_value() && revision.size() == 4 &&
           parsed.revision > base && parsed.revision <= head() &&
           parsed.number >= StepName::started;
}

} // namespace procrastinate::chain
