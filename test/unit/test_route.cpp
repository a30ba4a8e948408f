// Unit tests of routes: deployments without downtime between two releases.
#include "chain/route.hpp"
#include "chain/target.hpp"
#include "common/refusal.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace
{

using namespace procrastinate::chain;
using procrastinate::common::Refusal;

std::string in_words(const std::vector<RouteStep> &steps)
{
    std::string words;
    for (const RouteStep &step : steps)
        words.append(words.empty() ? "" : ", ")
            .append(step.action == RouteStep::Action::apply ? "" : "deploy ")
            .append(step.target);
    return words;
}

std::string way(std::string_view from, std::string_view to, Revision current)
{
    return in_words(route(resolve_release(from), resolve_release(to), current));
}

TEST(Route, HasTheBridgesOf3)
{
    EXPECT_EQ(
        way("2.15.1", "3.9.0", 29),
        "0030, deploy 3.0.2, 0032, deploy 3.1.0, 0034, deploy 3.3.0, 0037, deploy 3.9.0, 0038");
}

TEST(Route, IsNoneBetweenReleasesOfOneSchema)
{
    EXPECT_EQ(way("3.4.0", "3.9.0", 38), "deploy 3.9.0");
    EXPECT_EQ(way("3.9.0", "3.9.0", 38), "");
    EXPECT_EQ(way("3.9.0", "3.9.0", 37), "0038");
}

TEST(Route, GoesBackAsFarAsTheSchemaLets)
{
    EXPECT_EQ(way("3.9.0", "3.4.0", 37), "deploy 3.4.0, 0038");
    EXPECT_EQ(way("3.0.0", "2.15.1", 30), "deploy 2.15.1");
    EXPECT_THROW(way("3.0.0", "2.15.1", 31), Refusal);
}

TEST(Route, BeginsAtARevisionThatTheReleaseWorksOn)
{
    try
    {
        (void)way("2.15.1", "3.9.0", 31);
        FAIL();
    }
    catch (const Refusal &refusal)
    {
        EXPECT_EQ(refusal.sqlstate, "PM011");
        EXPECT_EQ(refusal.message, "there is no way from 2.15.1 to 3.9.0 without downtime");
        EXPECT_EQ(refusal.detail, "2.15.1 works on 0028 to 0030, and the schema is at 0031.");
    }
}

TEST(Route, CrossesAGapByAnOlderRelease)
{
    EXPECT_EQ(way("0.12.0", "0.15.0", 10), "deploy 0.11.0, 0012, deploy 0.15.0");
}

// True if some sequence of deployments and upgrades leads there. Tries all of them.
bool can_be_reached(const Release &from, const Release &to, Revision start)
{
    std::vector<std::pair<const Release *, Revision>> reached{{&from, start}};
    for (std::size_t at = 0; at < reached.size(); ++at)
    {
        const auto [running, revision] = reached[at];
        const auto reach = [&reached](const Release *release, Revision there) {
            const std::pair state(release, there);
            if (supports(*release, there) &&
                std::find(reached.begin(), reached.end(), state) == reached.end())
                reached.push_back(state);
        };
        reach(running, revision + 1);
        for (const Release &next : releases())
            reach(&next, revision);
    }
    return std::any_of(reached.begin(), reached.end(),
                       [&to](const auto &state) { return state.first == &to; });
}

// Compares the route between any two releases with the table of releases. Releases that support the
// same revisions count as one.
TEST(Route, IsRightBetweenAnyTwoReleases)
{
    std::vector<const Release *> kinds;
    for (const Release &release : releases())
        if (kinds.empty() || kinds.back()->works_from != release.works_from ||
            kinds.back()->works_to != release.works_to)
            kinds.push_back(&release);
    int found = 0;
    int none = 0;
    for (const Release *from : kinds)
        for (const Release *to : kinds)
            for (Revision start = from->works_from; start <= from->works_to; ++start)
            {
                std::vector<RouteStep> steps;
                try
                {
                    steps = route(*from, *to, start);
                }
                catch (const Refusal &)
                {
                    ++none;
                    EXPECT_FALSE(can_be_reached(*from, *to, start))
                        << from->name << " to " << to->name << " from " << start;
                    continue;
                }
                ++found;
                const Release *running = from;
                Revision at = start;
                for (const RouteStep &step : steps)
                {
                    EXPECT_GE(step.revision, at);
                    at = step.revision;
                    EXPECT_TRUE(supports(*running, at)) << running->name << " at " << at;
                    if (step.action == RouteStep::Action::deploy)
                        running = &resolve_release(step.target);
                    EXPECT_TRUE(supports(*running, at)) << running->name << " at " << at;
                }
                EXPECT_EQ(running, to);
                EXPECT_GE(at, to->head);
            }
    EXPECT_GT(found, 0);
    EXPECT_GT(none, 0);
}

TEST(Support, IsWhatTheTableSays)
{
    EXPECT_TRUE(supports(resolve_release("3.0.0"), 30));
    EXPECT_TRUE(supports(resolve_release("v3.0.0"), 32));
    EXPECT_FALSE(supports(resolve_release("3.0.0"), 29));
    EXPECT_FALSE(supports(resolve_release("3.0.0"), 33));
    EXPECT_FALSE(supports(resolve_release("0.3.0"), base));
}

TEST(Support, AdvisesWhatToDo)
{
    EXPECT_EQ(advice(resolve_release("3.9.0"), base, "'jobs'"),
              "SELECT procrastinate_upgrade('3.9.0', schema => 'jobs');");
    EXPECT_EQ(advice(resolve_release("3.9.0"), 30, "'jobs'"),
              "CALL procrastinate_migrate('3.9.0@pre', schema => 'jobs');");
    EXPECT_EQ(advice(resolve_release("2.15.1"), 33, "'jobs'"),
              "Deploy 3.1.0 or another release that works on 0033: there is no downgrade.");
    EXPECT_EQ(advice(resolve_release("2.15.1"), 38, "'jobs'"),
              "Deploy 3.2.0 or another release that works on 0038: there is no downgrade.");
}

TEST(Releases, AreFoundByTheirName)
{
    for (const std::string_view name : {"", "v", "3", "3.9.0@pre", "3.9.0 ", "head", "vv3.9.0"})
        EXPECT_THROW((void)resolve_release(name), Refusal) << name;
    EXPECT_THROW((void)resolve_release(std::string(100'000, '3')), Refusal);
}

} // namespace
