// Rows of a big table gone through by their ids, some at a time.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"

namespace procrastinate::online
{

class Batches
{
  public:
    // From the first row, or from where an earlier call has come to, to the last that there is now; later
    // ones are others' business. Inside an SPI connection.
    void begin(const catalog::Installation &installation, const chain::Step &step,
               const std::optional<chain::Position> &reached);

    // Where the rows of run() end, and where all of them do.
    std::int64_t next() const { return next_; }
    std::int64_t last() const { return last_; }

    // Of the step that has been begun. The statement runs over the next rows, and has to have no longer
    // than about a tenth of a second: how many they are depends on how long the last ones took. Throws
    // Refusal 55000 where rows stay as they were. Inside a transaction.
    void run(const catalog::Installation &installation, const chain::Step &step);
    // What run() did has been committed.
    void keep();

    bool is_at(const chain::Step &step) const { return step_ == step.name(); }
    bool is_over() const { return done_ >= last_; }
    bool will_be_over() const { return next_ >= last_; } // once that has been committed
    double percent() const;
    double milliseconds() const { return milliseconds_; } // that the last one took
    std::int64_t changed() const { return changed_; }     // rows, up to now

  private:
    std::string step_;
    std::int64_t first_ = 0;
    std::int64_t done_ = 0; // the id
    std::int64_t next_ = 0; // the same once run() has been committed
    std::int64_t last_ = 0;
    std::int64_t size_ = 1000;
    std::int64_t changed_ = 0;
    std::int64_t newly_changed_ = 0;
    double milliseconds_ = 0;
};

} // namespace procrastinate::online
