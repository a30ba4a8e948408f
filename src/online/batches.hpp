// The batches of a step that changes the rows of a big table: a range of ids in each transaction.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"

#include <string>

namespace procrastinate::online
{

class Batches
{
  public:
    // Reads the smallest and the largest id of the step's table. Batches begin at the smallest, or
    // where an earlier call has come to, and end at the largest: rows that are inserted later need
    // no change. Runs inside an SPI connection; errors of the server leave this as it was.
    void begin(const catalog::Installation &installation, const chain::Step &step,
               const std::optional<chain::Position> &reached);

    // Runs the step's statement over the next rows. How many they are depends on how long the last
    // batch took: 100 ms are aimed at. Throws Refusal 55000 if rows have not changed. Runs in the
    // transaction of the batch, with the table locked.
    void run(const catalog::Installation &installation, const chain::Step &step);

    // Where the range of run() ends, and where all of them do.
    std::int64_t next() const { return next_; }
    std::int64_t last() const { return last_; }
    // True if run() was the last one.
    bool is_last() const { return next_ >= last_; }

    // To be called after the commit of run().
    void committed();

    bool are_of(const chain::Step &step) const { return step_ == step.name(); }
    bool are_over() const { return done_ && *done_ >= last_; }
    double percent() const;                               // of the ids
    double milliseconds() const { return milliseconds_; } // that run() took
    std::int64_t changed() const { return changed_; }     // rows, by this call

  private:
    // The first id that is not done. There is one: the batches are not over.
    std::int64_t from() const { return done_ ? *done_ + 1 : first_; }

    std::string step_;
    std::int64_t first_ = 0;
    std::optional<std::int64_t> done_; // the last id of what is committed, by any call
    std::int64_t next_ = 0;            // the last id of run()
    std::int64_t last_ = 0;
    std::int64_t size_ = 1000; // rows
    std::int64_t changed_ = 0;
    std::int64_t newly_changed_ = 0;
    double milliseconds_ = 0;
};

} // namespace procrastinate::online
