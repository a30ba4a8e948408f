#include "online/batches.hpp"

#include "common/refusal.hpp"
#include "server/pause.hpp"
#include "server/spi.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr std::int64_t smallest = 100;
constexpr std::int64_t biggest = 50'000;
constexpr double wanted = 100; // milliseconds

std::optional<std::int64_t> read_number(const std::string &query,
                                        std::span<const spi::Parameter> parameters = {})
{
    const spi::Rows rows = spi::read_latest(query.c_str(), parameters);
    const std::optional<Datum> value = rows.datum(0, 1);
    return value ? std::optional(DatumGetInt64(*value)) : std::nullopt;
}

std::string table_of(const catalog::Installation &installation, const chain::Step &step)
{
    return std::string(installation.quoted) + "." + std::string(step.table);
}

// A trigger or a rule may keep rows as they are, and nobody would look at them again.
void require_changed(const catalog::Installation &installation, const chain::Step &step,
                     std::span<const spi::Parameter> range)
{
    const std::string where(step.sql.substr(step.sql.find("\nWHERE ") + 1));
    const std::int64_t left = read_number("select count(*) from " + table_of(installation, step) +
                                              " " + where.substr(0, where.rfind(';')),
                                          range)
                                  .value_or(0);
    if (left > 0)
        throw common::Refusal{common::sqlstate::rows_unchanged,
                              "could not change all rows of table \"" + std::string(step.table) +
                                  "\"",
                              "A trigger or a rule on the table keeps " + std::to_string(left) +
                                  " of them from being changed.",
                              "Disable it for as long as the migration takes, and call it again."};
}

} // namespace

void Batches::begin(const catalog::Installation &installation, const chain::Step &step,
                    const std::optional<chain::Position> &reached)
{
    const std::string table = table_of(installation, step);
    *this = Batches();
    step_ = step.name();
    first_ = read_number("select min(id)::int8 - 1 from " + table).value_or(0);
    last_ = read_number("select max(id)::int8 from " + table).value_or(first_);
    done_ = next_ = reached ? std::max<std::int64_t>(first_, reached->done) : first_;
}

void Batches::run(const catalog::Installation &installation, const chain::Step &step)
{
    const std::int64_t started = server::now();
    const std::array from{spi::int8_parameter(done_), spi::int8_parameter(size_)};
    next_ =
        read_number("select max(id)::int8 from (select id from " + table_of(installation, step) +
                        " where id > $1 order by id limit $2) as batch",
                    from)
            .value_or(last_);
    next_ = std::min(next_, last_);
    const std::array rows{spi::int8_parameter(done_), spi::int8_parameter(next_)};
    newly_changed_ = static_cast<std::int64_t>(spi::execute(std::string(step.sql).c_str(), rows));
    if (newly_changed_ < size_)
        require_changed(installation, step, rows);
    milliseconds_ = static_cast<double>(server::now() - started) / 1000;
}

void Batches::keep()
{
    done_ = next_;
    changed_ += newly_changed_;
    const double factor = std::clamp(wanted / std::max(milliseconds_, 0.1), 0.5, 2.0);
    size_ = std::clamp(static_cast<std::int64_t>(static_cast<double>(size_) * factor), smallest,
                       biggest);
}

double Batches::percent() const
{
    const auto first = static_cast<double>(first_);
    return last_ == first_
               ? 100
               : 100 * (static_cast<double>(done_) - first) / (static_cast<double>(last_) - first);
}

} // namespace procrastinate::online
