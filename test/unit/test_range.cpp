// Unit tests of ranges of revisions.
#include "chain/range.hpp"
#include "common/refusal.hpp"

#include <gtest/gtest.h>

namespace
{

using namespace procrastinate::chain;
using procrastinate::common::Refusal;

const CurrentRevision at_26{26, {}, {}};

struct Resolved
{
    std::string_view range;
    Revision start;
    Revision end;
};

class Ranges : public testing::TestWithParam<Resolved>
{
};

TEST_P(Ranges, HaveTheEndsThatTheGrammarSays)
{
    const Range range = resolve_range(GetParam().range, at_26);
    EXPECT_EQ(range.start, GetParam().start);
    EXPECT_EQ(range.end, GetParam().end);
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, Ranges,
    testing::Values(Resolved{"base:head", 0, head()}, Resolved{":", 0, head()},
                    Resolved{":0003", 0, 3}, Resolved{"0030:", 30, head()},
                    Resolved{"0025:0030", 25, 30}, Resolved{"25:25", 25, 25},
                    Resolved{"base:base", 0, 0}, Resolved{"-3:current", 23, 26},
                    Resolved{"-3:head", head() - 3, head()}, Resolved{"-3:", head() - 3, head()},
                    Resolved{"-3:0010", 7, 10}, Resolved{"-2:-1", 23, 25}, Resolved{":-1", 0, 25},
                    Resolved{"current:+2", 26, 28}, Resolved{"+1:+2", 27, 28},
                    Resolved{"current-1:current+1", 25, 27}, Resolved{"2.15.1:3.1.0@pre", 29, 32},
                    Resolved{"-99:current", 0, 26}, Resolved{"current:+99", 26, head()},
                    Resolved{"0003-9:head+9", 0, head()}, Resolved{"3.0.0:", 31, head()}));

Refusal refusal_of(std::string_view range)
{
    try
    {
        (void)resolve_range(range, at_26);
        ADD_FAILURE() << range;
    }
    catch (const Refusal &refusal)
    {
        return refusal;
    }
    return {};
}

TEST(Range, NeedsOneColon)
{
    for (const std::string_view range : {"", "head", "0025", "a:b:c", "::", "base..head"})
    {
        const Refusal refusal = refusal_of(range);
        EXPECT_EQ(refusal.sqlstate, "PM003") << range;
        EXPECT_EQ(refusal.detail, "History range requires [start]:[end], [start]:, or :[end].")
            << range;
    }
    EXPECT_EQ(refusal_of(std::string(129, ':')).sqlstate, "PM003");
}

TEST(Range, DoesNotRunBackwards)
{
    const Refusal refusal = refusal_of("0010:0005");
    EXPECT_EQ(refusal.sqlstate, "PM003");
    EXPECT_EQ(refusal.message,
              "Requested range 0010:0005 does not refer to ancestor/descendant revisions");
    EXPECT_NE(refusal.hint.find("0005:0010"), std::string::npos);
    EXPECT_EQ(refusal_of("head:base").sqlstate, "PM003");
}

TEST(Range, HasEndsThatAreTargets)
{
    EXPECT_EQ(refusal_of("nonsense:head").sqlstate, "PM001");
    EXPECT_EQ(refusal_of("base:nonsense").sqlstate, "PM001");
    EXPECT_EQ(refusal_of(" :head").sqlstate, "PM001");
}

} // namespace
