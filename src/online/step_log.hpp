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
    // A build begins. From then on an index with the step's name counts as built by this step:
    void record_start(const chain::Step &step);
    // Batches have done `percent` of the step and have reached an id. Written with the first batch,
    // then every 5 s, but at most 1000 times a call, because each look at the history reads them:
    void record_position(const chain::Step &step, const chain::Position &reached, double percent);

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
    double recorded_percent_ = 0;
};

} // namespace procrastinate::online
