// What a call tells and records of the steps that it takes.
#pragma once

#include "catalog/installation.hpp"
#include "online/progress_report.hpp"

namespace procrastinate::online
{

// "migration 0031 (03.00.00_50_post_cancel_notification.sql), step 3 (update the aborting jobs that are left)"
std::string label_of(const chain::Step &step);

class StepLog
{
  public:
    explicit StepLog(const catalog::Installation &installation) : installation_(installation) {}

    // Tells of a step, and of its migration, the first time. An earlier call may have begun that.
    void begin(const chain::Step &step, std::optional<TimestampTz> began);

    // Rows of the history, in the transaction of what they tell; with search_path set to the schema. That
    // the step is done, and with the last one its migration:
    void record(const chain::Step &step);
    // that its index may be found though no step is done:
    void record_start(const chain::Step &step);
    // and at first and every five seconds that its batches have come to an id:
    void record_position(const chain::Step &step, std::int64_t done, std::int64_t last);

    // Tells how long a migration took, once the last of its steps has been committed.
    void end(const chain::Step &step) const;

    ProgressReport &progress() { return progress_; }

  private:
    void append(const chain::StepName &name);

    const catalog::Installation &installation_;
    ProgressReport progress_;
    chain::Revision revision_ = chain::base;
    TimestampTz began_ = 0; // the migration
    std::string step_;
    TimestampTz step_began_ = 0;
    TimestampTz position_told_ = 0;
};

} // namespace procrastinate::online
