// Unit tests of the steps of an online run, as the build has made them from the step files in
// src/migrations/online. What the build refuses there: test/t/031_step_files.pl.
#include "chain/step.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace
{

using namespace procrastinate::chain;

// The statements of a migration; outside of functions each begins a line.
std::vector<std::string> statements_of(Revision revision)
{
    std::vector<std::string> statements;
    bool is_inside = false;
    bool is_new = true;
    std::string_view text = migration(revision).sql;
    while (!text.empty())
    {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (is_new && !line.empty() && !line.starts_with("--"))
        {
            statements.emplace_back(line);
            is_new = false;
        }
        for (std::size_t at = line.find("$$"); at != std::string_view::npos;
             at = line.find("$$", at + 2))
            is_inside = !is_inside;
        if (!is_inside && line.ends_with(";"))
            is_new = true;
    }
    return statements;
}

TEST(Step, AMigrationIsOneStepOrMany)
{
    for (Revision revision = 1; revision <= head(); ++revision)
    {
        const std::vector<Step> all = steps(revision);
        ASSERT_FALSE(all.empty());
        int number = 0;
        for (const Step &step : all)
        {
            EXPECT_EQ(step.revision, revision);
            EXPECT_EQ(step.number, ++number);
            EXPECT_EQ(step.count, static_cast<int>(all.size()));
            EXPECT_FALSE(step.title.empty());
        }
    }
    EXPECT_EQ(steps(1).size(), 1U);
    EXPECT_EQ(steps(24).size(), 9U);
}

TEST(Step, TheHeavyOnesHaveSteps)
{
    for (const Revision revision : {7, 8, 11, 12, 20, 21, 24, 27, 29, 30, 31, 32})
        EXPECT_TRUE(std::ranges::count(written_steps(), revision, &WrittenStep::revision) != 0)
            << revision;
}

// No statement runs twice. The build checks that what a step's list names is there, and that each
// statement runs.
TEST(Step, RestsTakeEachStatementOnce)
{
    for (Revision revision = 1; revision <= head(); ++revision)
    {
        const std::vector<std::string> statements = statements_of(revision);
        ASSERT_FALSE(statements.empty()) << revision;
        for (const std::string &statement : statements)
        {
            int takers = 0;
            for (const Step &step : steps(revision))
                takers += step.rest.takes(statement) ? 1 : 0;
            EXPECT_LE(takers, 1) << revision << ": " << statement;
        }
    }
}

TEST(Step, AFetchBarrierIsInstalledAndRemoved)
{
    const std::vector<Step> all = steps(30);
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].barrier, Step::install);
    EXPECT_EQ(all[0].title, "install the fetch barrier");
    EXPECT_EQ(all[1].barrier, Step::close);
    EXPECT_EQ(all[2].barrier, Step::remove);
    EXPECT_EQ(all[2].title, "remove the fetch barrier");
    EXPECT_EQ(all[3].barrier, Step::none);
    for (const Step &added : {all[0], all[2]})
    {
        EXPECT_EQ(added.kind, StepKind::brief);
        EXPECT_TRUE(added.locks.empty());
        EXPECT_EQ(added.sql, "");
        EXPECT_FALSE(added.rest.takes("SELECT"));
    }
    EXPECT_EQ(all[3].name(), "0030.4");
}

TEST(Step, HasWhatItsFileSays)
{
    const Step change = steps(30)[1];
    EXPECT_EQ(change.kind, StepKind::brief);
    EXPECT_EQ(change.title, "add the column, functions and triggers");
    EXPECT_EQ(change.sql, "");
    ASSERT_EQ(change.locks.size(), 1U);
    EXPECT_EQ(change.locks[0].table, "procrastinate_jobs");
    EXPECT_EQ(change.locks[0].mode, "ACCESS EXCLUSIVE");
    EXPECT_FALSE(change.locks[0].may_be_gone);
    EXPECT_TRUE(change.rest.takes("CREATE FUNCTION"));
    EXPECT_FALSE(change.rest.takes("UPDATE procrastinate_jobs"));

    const Step drop = steps(8).back();
    ASSERT_EQ(drop.locks.size(), 1U);
    EXPECT_EQ(drop.locks[0].table, "procrastinate_job_locks");
    EXPECT_TRUE(drop.locks[0].may_be_gone);
    EXPECT_TRUE(drop.rest.takes("DROP TABLE IF EXISTS"));
    EXPECT_FALSE(drop.rest.takes("LOCK TABLE"));

    const Step fill = steps(24)[1];
    EXPECT_EQ(fill.kind, StepKind::batched);
    EXPECT_EQ(fill.table, "procrastinate_events");
    EXPECT_TRUE(fill.is_rewrite);
    EXPECT_TRUE(fill.sql.starts_with("UPDATE procrastinate_events\n"));
    EXPECT_TRUE(fill.sql.ends_with("IS NULL;\n\n"));
    ASSERT_EQ(fill.all_locks().size(), 1U);
    EXPECT_EQ(fill.all_locks()[0].table, "procrastinate_events");
    EXPECT_EQ(fill.all_locks()[0].mode, "ROW EXCLUSIVE");

    const Step build = steps(7).back();
    EXPECT_EQ(build.kind, StepKind::concurrent);
    EXPECT_EQ(build.index, "procrastinate_jobs_queueing_lock_idx");
    EXPECT_EQ(build.table, "procrastinate_jobs");
    ASSERT_EQ(build.all_locks().size(), 1U);
    EXPECT_EQ(build.all_locks()[0].mode, "SHARE UPDATE EXCLUSIVE");
}

TEST(Step, AheadOfALaterRevision)
{
    EXPECT_EQ(steps(27)[1].ahead_of, 29);
    EXPECT_EQ(steps(27)[2].ahead_of, base);
    EXPECT_EQ(built_ahead(29), std::vector<std::string>{"procrastinate_jobs_id_lock_idx_0029"});
    EXPECT_TRUE(built_ahead(27).empty());
    EXPECT_TRUE(built_ahead(base).empty());
    // The last step completes its revision, so it is never ahead of another.
    for (Revision revision = 1; revision <= head(); ++revision)
        EXPECT_EQ(steps(revision).back().ahead_of, base) << revision;
}

// Workers lock a job first, then their triggers write its event. Another order would deadlock.
TEST(Step, TheJobsAreLockedBeforeTheEvents)
{
    for (Revision revision = 1; revision <= head(); ++revision)
        for (const Step &step : steps(revision))
        {
            const auto events =
                std::find_if(step.locks.begin(), step.locks.end(), [](const StepLock &lock) {
                    return lock.table == "procrastinate_events";
                });
            EXPECT_TRUE(std::none_of(events, step.locks.end(), [](const StepLock &lock) {
                return lock.table == "procrastinate_jobs";
            })) << step.name();
        }
}

TEST(Step, WhatIsLeft)
{
    const auto numbers = [](int done, Revision target) {
        std::string text;
        for (const Step &step : steps_left(27, done, target))
            text += std::to_string(step.number);
        return text;
    };
    EXPECT_EQ(numbers(0, 29), "123");
    EXPECT_EQ(numbers(0, 28), "13"); // nothing is built ahead of what is not reached
    EXPECT_EQ(numbers(1, 28), "3");
    EXPECT_EQ(numbers(2, head()), "3");
    EXPECT_EQ(numbers(3, head()), "");
}

TEST(Step, Names)
{
    StepName name{};
    ASSERT_TRUE(parse_step_name("0024.12", name));
    EXPECT_EQ(name.revision, 24);
    EXPECT_EQ(name.number, 12);
    ASSERT_TRUE(parse_step_name("0024.1, 500 of 900", name));
    EXPECT_EQ(name.number, 1);
    ASSERT_TRUE(name.position);
    EXPECT_EQ(name.position->done, 500);
    EXPECT_EQ(name.position->last, 900);
    for (const char *const text : {"0024.1, 500 of 900", "0024.1, 0 of 9", "0030.3, -4000 of 5000",
                                   "0030.3, -9 of -1", "0030.3, -9 of 0"})
    {
        ASSERT_TRUE(parse_step_name(text, name)) << text;
        EXPECT_EQ(step_name(name), text);
    }
    ASSERT_TRUE(parse_step_name("0024.2", name));
    EXPECT_FALSE(name.position);
    EXPECT_EQ(step_name({24, 3}), "0024.3");
    // Histories in the field have this text for a revision that has started.
    EXPECT_EQ(step_name({24, StepName::started}), "0024.0");
    ASSERT_TRUE(parse_step_name("0024.0", name));
    EXPECT_EQ(name.number, StepName::started);
    EXPECT_FALSE(name.has_completed_step());
    ASSERT_TRUE(parse_step_name("0024.1", name));
    EXPECT_TRUE(name.has_completed_step());
    ASSERT_TRUE(parse_step_name("0024.1, -9223372036854775808 of 9223372036854775807", name));
    for (const char *const text :
         {"", "0024", "0024.", "0024.1, ", "0024.1, 5", "0024.1, x of 9", "0024.1, 5 of 0",
          "0024.1, 5 of 9223372036854775808", ".1", "24.1", "9999.1", "0000.1", "0024.00x",
          "0024.1x", "0024.1.2", "x024.1", "0024.-1"})
        EXPECT_FALSE(parse_step_name(text, name)) << text;
}

} // namespace
