// Tells the caller which step runs, and records steps in the history.
#pragma once

#include "catalog/installation.hpp"
#include "online/progress_report.hpp"

namespace procrastinate::online
{

class StepLog
{
  public:
    explicit StepLog(const catalog::Installation &installation) : installation_(installation) {}

    // Raises a NOTICE when a step begins, and another when its migration does. `began`: when an
    // earlier call began the migration.
    void begin(const chain::Step &step, std::optional<TimestampTz> began);

    // Rows of the history, in the transaction that changes what they tell of. All three run with
    // search_path set to the schema, and throw Refusal 3F000 if the schema was renamed meanwhile.
    // The step is done, and after the last one its migration:
    void record(const chain::Step &step);
    // An index of the step's name is ours, though no step is done:
    void record_start(const chain::Step &step);
    // Batches have come to the id `done`; written with the first batch and then every 5 s:
    void record_position(const chain::Step &step, std::int64_t done, std::int64_t last);

    // Raises a NOTICE with the time that a migration took, after the commit of its last step.
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
    TimestampTz position_recorded_ = 0;
};

} // namespace procrastinate::online
