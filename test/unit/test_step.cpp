// Unit tests of the steps of an online run, and of the step files in src/migrations/online.
#include "chain/step.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>

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
        EXPECT_FALSE(online_script(revision).empty()) << revision;
}

// No statement runs twice, and what a step's list names is there.
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
        for (const Step &step : steps(revision))
            for (const std::string_view beginning : step.rest.beginnings)
                EXPECT_TRUE(std::any_of(
                    statements.begin(), statements.end(),
                    [&](const std::string &statement) { return statement.starts_with(beginning); }))
                    << revision << ": " << beginning;
    }
}

TEST(Step, WhatIsLeftOutIsDoneOtherwise)
{
    // Statements that no rest takes concern indexes, columns, constraints, locks and rows: the
    // steps do the same in another way.
    const std::set<std::string> otherwise{"CREATE INDEX", "CREATE UNIQUE",
                                          "ALTER TABLE",  "LOCK TABLE",
                                          "DROP INDEX",   "UPDATE procrastinate_jobs"};
    for (Revision revision = 1; revision <= head(); ++revision)
        for (const std::string &statement : statements_of(revision))
        {
            const std::vector<Step> all = steps(revision);
            if (std::any_of(all.begin(), all.end(),
                            [&](const Step &step) { return step.rest.takes(statement); }))
                continue;
            EXPECT_TRUE(
                std::any_of(otherwise.begin(), otherwise.end(),
                            [&](const std::string &kind) { return statement.starts_with(kind); }))
                << revision << ": " << statement;
        }
}

TEST(Step, AFetchBarrierIsInstalledAndRemoved)
{
    const std::vector<Step> all =
        parse_steps(7, "-- why\n\n-- step brief, barrier: change\n"
                       "-- lock jobs ACCESS EXCLUSIVE, events SHARE if there\n"
                       "ALTER;\n-- rest without A B, C\n\n"
                       "-- step batched jobs: fill\nUPDATE;\n");
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].barrier, Step::install);
    EXPECT_EQ(all[1].barrier, Step::close);
    EXPECT_EQ(all[2].barrier, Step::remove);
    EXPECT_EQ(all[3].barrier, Step::none);
    EXPECT_EQ(all[1].title, "change");
    EXPECT_EQ(all[1].sql, "ALTER;\n");
    ASSERT_EQ(all[1].locks.size(), 2U);
    EXPECT_EQ(all[1].locks[0].table, "jobs");
    EXPECT_EQ(all[1].locks[0].mode, "ACCESS EXCLUSIVE");
    EXPECT_FALSE(all[1].locks[0].may_be_gone);
    EXPECT_EQ(all[1].locks[1].mode, "SHARE");
    EXPECT_TRUE(all[1].locks[1].may_be_gone);
    EXPECT_TRUE(all[1].rest.takes("B"));
    EXPECT_FALSE(all[1].rest.takes("A B of it"));
    EXPECT_FALSE(all[1].rest.takes("C"));
    EXPECT_FALSE(all[0].rest.takes("B"));
    EXPECT_EQ(all[3].kind, StepKind::batched);
    EXPECT_EQ(all[3].table, "jobs");
    EXPECT_EQ(all[3].sql, "UPDATE;\n");
    EXPECT_EQ(all[3].name(), "0007.4");
}

TEST(Step, AheadOfALaterRevision)
{
    const std::vector<Step> all =
        parse_steps(7, "-- step concurrent, ahead of 0029: build\nCREATE;\n"
                       "-- step brief: change\nALTER;\n");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].ahead_of, 29);
    EXPECT_EQ(all[1].ahead_of, base);
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

TEST(Step, RestOnly)
{
    const std::vector<Step> all =
        parse_steps(7, "-- step validated: look\n-- rest only DO, SELECT 1\n");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].sql, "");
    EXPECT_TRUE(all[0].rest.takes("DO $$"));
    EXPECT_FALSE(all[0].rest.takes("SELECT 2"));
}

TEST(Step, WrongTextsAreRefused)
{
    for (const char *const text : {"-- step quick: a\n", "-- step brief\n", "-- step batched: a\n",
                                   "-- step brief jobs: a\n", "-- step brief, window: a\n",
                                   "-- step brief: a\n-- rest but X\n"})
        EXPECT_THROW(parse_steps(7, text), std::invalid_argument) << text;
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
    for (const char *const text :
         {"", "0024", "0024.", "0024.1, ", "0024.1, 5", "0024.1, x of 9", "0024.1, 5 of 0",
          "0024.1, -9223372036854775807 of 9223372036854775807", ".1", "24.1", "9999.1", "0000.1",
          "0024.00x", "0024.1x", "0024.1.2", "x024.1", "0024.-1"})
        EXPECT_FALSE(parse_step_name(text, name)) << text;
}

} // namespace
