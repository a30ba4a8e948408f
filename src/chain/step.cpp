#include "chain/step.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace procrastinate::chain
{

namespace
{

constexpr std::array<std::pair<StepKind, std::string_view>, 4> kind_names{
    {{StepKind::brief, "brief"},
     {StepKind::batched, "batched"},
     {StepKind::concurrent, "concurrent"},
     {StepKind::validated, "validated"}}};

constexpr std::string_view concurrently = "CONCURRENTLY ";
constexpr std::string_view if_there = " if there";

[[noreturn]] void fail(std::string_view line)
{
    throw std::invalid_argument("no step: " + std::string(line));
}

// Removes the text up to `end`, and `end`, from the front. Returns what stood before `end`.
std::string_view take(std::string_view &text, std::string_view end)
{
    const std::size_t at = text.find(end);
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
    return taken;
}

bool take_prefix(std::string_view &text, std::string_view prefix)
{
    if (!text.starts_with(prefix))
        return false;
    text.remove_prefix(prefix.size());
    return true;
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
    long long left = 0;
    // A user may have changed the history: the difference must be a number, too.
    if (!done || !last || *done > *last || __builtin_sub_overflow(*last, *done, &left))
        return std::nullopt;
    return Position{*done, *last};
}

// "<kind>[ <table>][, barrier][, rewrites][, ahead of <revision>]: <title>"
Step read_heading(std::string_view line)
{
    const std::string_view whole = line;
    Step step{};
    std::string_view words = take(line, ": ");
    step.title = line;
    std::string_view name = take(words, ", ");
    const std::string_view kind = take(name, " ");
    step.table = name;
    const auto *const found = std::find_if(kind_names.begin(), kind_names.end(),
                                           [kind](const auto &one) { return one.second == kind; });
    if (found == kind_names.end() || step.title.empty())
        fail(whole);
    step.kind = found->first;
    while (!words.empty())
    {
        std::string_view word = take(words, ", ");
        if (word == "barrier")
            step.barrier = Step::close;
        else if (word == "rewrites")
            step.is_rewrite = true;
        else if (take_prefix(word, "ahead of "))
            step.ahead_of = number_of(word);
        else
            fail(whole);
    }
    if ((step.kind == StepKind::batched) == step.table.empty())
        fail(whole);
    return step;
}

std::vector<StepLock> read_locks(std::string_view list)
{
    std::vector<StepLock> locks;
    while (!list.empty())
    {
        std::string_view lock = take(list, ", ");
        const std::string_view table = take(lock, " ");
        const bool may_be_gone = lock.ends_with(if_there);
        if (may_be_gone)
            lock.remove_suffix(if_there.size());
        locks.push_back({table, lock, may_be_gone});
    }
    return locks;
}

Rest read_rest(std::string_view words)
{
    const std::string_view whole = words;
    Rest rest{Rest::without, {}};
    if (words.empty())
        return rest;
    if (take_prefix(words, " only "))
        rest.kind = Rest::only;
    else if (!take_prefix(words, " without "))
        fail(whole);
    while (!words.empty())
        rest.beginnings.push_back(take(words, ", "));
    return rest;
}

void number_steps(std::vector<Step> &steps, Revision revision)
{
    int number = 0;
    for (Step &step : steps)
    {
        step.revision = revision;
        step.number = ++number;
        step.count = static_cast<int>(steps.size());
    }
}

Step barrier_step(decltype(Step::barrier) barrier, std::string_view title)
{
    Step step{};
    step.kind = StepKind::brief;
    step.barrier = barrier;
    step.title = title;
    return step;
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

std::string_view Step::index() const
{
    const std::string_view rest = sql.substr(sql.find(concurrently) + concurrently.size());
    return rest.substr(0, rest.find_first_of(" \n"));
}

std::string_view Step::indexed() const
{
    constexpr std::string_view on = " ON ";
    const std::size_t at = sql.find(on);
    if (kind != StepKind::concurrent || at == std::string_view::npos)
        return {};
    const std::string_view after = sql.substr(at + on.size());
    return after.substr(0, after.find(' '));
}

std::vector<StepLock> Step::all_locks() const
{
    if (kind == StepKind::concurrent)
        return {{indexed(), "SHARE UPDATE EXCLUSIVE"}};
    if (kind == StepKind::batched)
        return {{table, "ROW EXCLUSIVE"}};
    return locks;
}

std::vector<Step> parse_steps(Revision revision, std::string_view text)
{
    std::vector<Step> parsed;
    const char *begin = nullptr; // of the statements of the last step
    const auto close = [&](const char *end) {
        if (begin != nullptr)
            parsed.back().sql = {begin, static_cast<std::size_t>(end - begin)};
        begin = nullptr;
    };
    while (!text.empty())
    {
        const char *const start = text.data();
        std::string_view line = take(text, "\n");
        if (take_prefix(line, "-- step "))
        {
            close(start);
            parsed.push_back(read_heading(line));
            begin = text.data();
        }
        else if (!parsed.empty() && take_prefix(line, "-- lock "))
        {
            parsed.back().locks = read_locks(line);
            begin = text.data();
        }
        else if (!parsed.empty() && take_prefix(line, "-- rest"))
        {
            close(start);
            parsed.back().rest = read_rest(line);
        }
    }
    close(text.data());
    std::vector<Step> all;
    for (const Step &step : parsed)
    {
        if (step.barrier == Step::close)
            all.push_back(barrier_step(Step::install, "install the fetch barrier"));
        all.push_back(step);
        if (step.barrier == Step::close)
            all.push_back(barrier_step(Step::remove, "remove the fetch barrier"));
    }
    number_steps(all, revision);
    return all;
}

std::vector<Step> steps(Revision revision)
{
    if (const std::string_view text = online_script(revision); !text.empty())
        return parse_steps(revision, text);
    return {whole_step(revision)};
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
    const std::string heading = "ahead of " + std::string(chain::name(revision)) + ":";
    for (Revision before = base + 1; before < revision; ++before)
        if (online_script(before).find(heading) != std::string_view::npos)
            for (const Step &step : steps(before))
                if (step.ahead_of == revision)
                    indexes.emplace_back(step.index());
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
           parsed.revision > base && parsed.revision <= head() && parsed.number >= 0;
}

} // namespace procrastinate::chain
