#include "online/batches.hpp"

#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "sql/batch_end.hpp"
#include "sql/batch_range.hpp"
#include "sql/batch_unchanged.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr std::int64_t smallest_size = 100; // rows
constexpr std::int64_t largest_size = 50'000;
constexpr double wanted_duration = 100; // milliseconds

std::string table_of(const catalog::Installation &installation, const chain::Step &step)
{
    return installation.quoted + "." + std::string(step.table);
}

// The condition of the step's statement, from WHERE on.
std::string condition_of(const chain::Step &step)
{
    const std::string_view where = step.sql.substr(step.sql.find("\nWHERE ") + 1);
    return std::string(where.substr(0, where.rfind(';')));
}

std::optional<std::int64_t> number_in(const spi::Rows &rows, int column)
{
    const std::optional<Datum> value = rows.datum(0, column);
    return value ? std::optional(DatumGetInt64(*value)) : std::nullopt;
}

// A trigger or a rule can keep rows from being changed, and no later batch would change them.
void require_changed(const catalog::Installation &installation, const chain::Step &step,
                     std::span<const spi::Parameter> range)
{
    const std::string query =
        common::substitute(sql::batch_unchanged, {{"table", table_of(installation, step)},
                                                  {"condition", condition_of(step)}});
    const std::int64_t unchanged = number_in(spi::read_latest(query.c_str(), range), 1).value_or(0);
    if (unchanged > 0)
        throw common::Refusal{common::sqlstate::rows_unchanged,
                              "could not change all rows of table \"" + std::string(step.table) +
                                  "\"",
                              "A trigger or a rule on the table keeps " +
                                  std::to_string(unchanged) + " of them from being changed.",
                              "Disable it for as long as the migration takes, and call it again."};
}

} // namespace

void Batches::begin(const catalog::Installation &installation, const chain::Step &step,
                    const std::optional<chain::Position> &reached)
{
    const std::string query =
        common::substitute(sql::batch_range, {{"table", table_of(installation, step)}});
    const spi::Rows rows = spi::read_latest(query.c_str());
    Batches begun;
    begun.step_ = step.name();
    begun.first_ = number_in(rows, 1).value_or(0);
    begun.last_ = number_in(rows, 2).value_or(begun.first_);
    if (reached && reached->done >= begun.first_)
        begun.done_ = std::min<std::int64_t>(reached->done, begun.last_);
    *this = begun;
}

void Batches::run(const catalog::Installation &installation, const chain::Step &step)
{
    const std::int64_t started = server::now();
    const std::string query =
        common::substitute(sql::batch_end, {{"table", table_of(installation, step)}});
    // The last rows may have been deleted since an earlier call: the step ends with an empty batch.
    const std::int64_t first = are_over() ? last_ : from();
    const std::array size{spi::int8_parameter(first), spi::int8_parameter(size_)};
    next_ = std::min(number_in(spi::read_latest(query.c_str(), size), 1).value_or(last_), last_);
    const std::array range{spi::int8_parameter(first), spi::int8_parameter(next_)};
    // A trigger must not set the search_path of the next query.
    newly_changed_ = static_cast<std::int64_t>(server::restoring_settings(
        [&] { return spi::execute(std::string(step.sql).c_str(), range); }));
    require_changed(installation, step, range);
    milliseconds_ = static_cast<double>(server::now() - started) / 1000;
}

void Batches::committed()
{
    done_ = next_;
    changed_ += newly_changed_;
    const double factor = std::clamp(wanted_duration / std::max(milliseconds_, 0.1), 0.5, 2.0);
    size_ = std::clamp(static_cast<std::int64_t>(static_cast<double>(size_) * factor),
                       smallest_size, largest_size);
}

double Batches::percent() const
{
    if (are_over())
        return 100;
    const double ids = static_cast<double>(last_) - static_cast<double>(first_) + 1;
    return 100 * (static_cast<double>(from()) - static_cast<double>(first_)) / ids;
}

} // namespace procrastinate::online
