// Unit tests of targets: the names by which users choose a revision.
#include "chain/chain.hpp"
#include "chain/target.hpp"
#include "common/refusal.hpp"

#include <gtest/gtest.h>

#include <random>

namespace
{

using namespace procrastinate::chain;
using procrastinate::common::Refusal;

const CurrentRevision at_26{26, {}, {}};
const CurrentRevision at_base{base, {}, {}};
const CurrentRevision at_head{head(), {}, {}};
const CurrentRevision nowhere{std::nullopt,
                              "the schema holds Procrastinate's tables but no history", "PM005"};

Refusal refusal_of(std::string_view target, const CurrentRevision &current)
{
    try
    {
        const Revision revision = resolve_target(target, current);
        ADD_FAILURE() << target << " was resolved to " << revision;
    }
    catch (const Refusal &refusal)
    {
        return refusal;
    }
    return {};
}

struct Named
{
    std::string_view target;
    Revision revision;
};

class NamedTargets : public testing::TestWithParam<Named>
{
};

TEST_P(NamedTargets, AreWhatTheGrammarSays)
{
    EXPECT_EQ(resolve_target(GetParam().target, at_26), GetParam().revision);
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, NamedTargets,
    testing::Values(Named{"head", head()}, Named{"heads", head()}, Named{"base", 0},
                    Named{"current", 26},                                                         //
                    Named{"0025", 25}, Named{"25", 25}, Named{"1", 1}, Named{"000000000038", 38}, //
                    Named{"03.01.00_01_pre_add_heartbeat", 32},
                    Named{"03.01.00_01_pre_add_heartbeat.sql", 32}, //
                    Named{"03.01.00_01", 32}, Named{"03.01.00_5", 33}, Named{"00.00.00_", 1},
                    Named{"00.00.00_01_initial.s", 1}, //
                    Named{"procrastinate_0031", 32}, Named{"procrastinate_0000", 1},
                    Named{"procrastinate_0031.py", 32}, Named{"app_procrastinate_0031", 32},
                    Named{"0031_03.00.00_50_post_cancel_notification.py", 31},
                    Named{"0031_03.00.00_50_post_cancel_notification.sql", 31},
                    Named{"0031_03.00.00_50_post_cancel_notification+1", 32},
                    Named{"procrastinate_0037", 38}, //
                    Named{"3.1.0", 33}, Named{"v3.1.0", 33}, Named{"3.1", 33}, Named{"2.15.1", 29},
                    Named{"0.3.0", 1}, Named{"3.9.0", 38}, //
                    Named{"3.1.0@pre", 32}, Named{"v3.1.0@pre", 32}, Named{"3.0.0@pre", 30},
                    Named{"3.2.2@pre", 34},                                                  //
                    Named{"3.3.0@pre", 36}, Named{"3.9.0@pre", 37}, Named{"2.15.1@pre", 29}, //
                    Named{"pre", 30},                                                        //
                    Named{"+2", 28}, Named{"-2", 24}, Named{"+0", 26}, Named{"-26", 0},
                    Named{"+12", 38}, //
                    Named{"0025+1", 26}, Named{"head-1", head() - 1}, Named{"current-1", 25},
                    Named{"base+3", 3}, //
                    Named{"3.1.0+1", 34}, Named{"03.01.00_01-2", 30},
                    Named{"procrastinate_0000+1", 2}, Named{"pre+1", 31}));

class NoTargets : public testing::TestWithParam<std::string_view>
{
};

TEST_P(NoTargets, AreRefusedWithTheWordsOfAlembic)
{
    const Refusal refusal = refusal_of(GetParam(), at_26);
    EXPECT_EQ(refusal.sqlstate, "PM001");
    EXPECT_EQ(refusal.message.substr(0, 36), "Can't locate revision identified by ");
    EXPECT_FALSE(refusal.detail.empty());
    EXPECT_FALSE(refusal.hint.empty());
}

INSTANTIATE_TEST_SUITE_P(Grammar, NoTargets,
                         testing::Values("", " ", "0", "0000", "9999", "99999999999999999999",
                                         "Head", "HEAD", " head", "head ", "headx", "3.",
                                         "3.1.0@post", "head@pre", "@pre", "v", "v0025",
                                         "3.1.0 @pre", "03.01.00", "00.05.00_0", "add_heartbeat",
                                         "_", "0032_", "procrastinate_9999", "procrastinate_31",
                                         "procrastinate_", "head-1-1", "head--1", "+", "-", "+x",
                                         "0x19", "1e1", "25;", "head'--", "25.0", "\xc3\xa9",
                                         "\xff\xfe", "0025:0030"));

TEST(Target, LooksBeyondPrefixesOfDigits)
{
    // Alembic takes 00 for a prefix of every revision.
    EXPECT_EQ(refusal_of("00", at_26).sqlstate, "PM001");
    EXPECT_EQ(resolve_target("003", at_26), 3);
}

TEST(Target, HintsAtTheNearestNames)
{
    EXPECT_NE(refusal_of("haed", at_26).hint.find("head"), std::string::npos);
    EXPECT_NE(refusal_of("HEAD", at_26).hint.find("head"), std::string::npos);
    EXPECT_NE(refusal_of("3.1.O", at_26).hint.find("3.1.0"), std::string::npos);
    EXPECT_NE(refusal_of("03.01.00_01_pre_ad_heartbeat", at_26)
                  .hint.find("03.01.00_01_pre_add_heartbeat"),
              std::string::npos);
}

TEST(Target, OfAReleaseThatIsNotKnownNamesTheKnownOnes)
{
    const std::string newest(procrastinate::chain::releases().back().name);
    const std::string known =
        "This version of procrastinate_migrate knows the releases 0.3.0 to " + newest;
    for (const std::string &newer : {std::string("3.999.0rc1"), newest + ".post1"})
    {
        EXPECT_EQ(refusal_of(newer, at_26).detail, known + ".") << newer;
        EXPECT_EQ(refusal_of(newer, at_26).hint.substr(0, 23), "Install a newer version") << newer;
    }
    EXPECT_EQ(refusal_of("2.15.99", at_26).detail,
              known + "; the newest of that minor version is 2.15.1. Before 3.0 a later patch "
                      "release may have a migration of its own.");
    EXPECT_EQ(refusal_of("3.7.0rc1@pre", at_26).detail,
              known + "; the newest of that minor version is 3.7.3.");
    EXPECT_EQ(refusal_of("2.99.0", at_26).detail, known + ", but none of that minor version.");
    EXPECT_EQ(refusal_of("2.15.99", at_26).hint, "Perhaps you mean 2.15.1, 2.15.0.");
}

TEST(Target, NamesWhatAnAmbiguousPrefixMeans)
{
    const Refusal refusal = refusal_of("00.05.00_0", at_26);
    EXPECT_NE(refusal.detail.find("00.05.00_01_drop_started_at_column.sql"), std::string::npos);
    EXPECT_NE(refusal.detail.find("00.05.00_03_drop_procrastinate_version_table.sql"),
              std::string::npos);
}

TEST(Target, RefusesToOvershoot)
{
    Refusal refusal = refusal_of("+99", at_26);
    EXPECT_EQ(refusal.sqlstate, "PM002");
    EXPECT_EQ(refusal.message, "Relative revision +99 didn't produce 99 migrations");
    EXPECT_EQ(refusal.detail,
              "From 0026 to head there are " + std::to_string(head() - 26) + " migrations.");

    refusal = refusal_of("0003-4", at_26);
    EXPECT_EQ(refusal.sqlstate, "PM002");
    EXPECT_EQ(refusal.message, "Relative revision -4 didn't produce 4 migrations");
    EXPECT_EQ(refusal.detail, "From 0003 to base there are 3 migrations.");

    EXPECT_EQ(refusal_of("head+1", at_26).sqlstate, "PM002");
    EXPECT_EQ(refusal_of("base-1", at_26).sqlstate, "PM002");
    EXPECT_EQ(refusal_of("+99999999999999999999", at_26).sqlstate, "PM002");
    EXPECT_EQ(refusal_of("-99999999999999999999", at_26).sqlstate, "PM002");
}

TEST(Target, NeedsAKnownCurrentRevisionOnlyWhereItCountsFromIt)
{
    for (const std::string_view target : {"current", "+1", "-1", "pre", "current-1"})
    {
        const Refusal refusal = refusal_of(target, nowhere);
        EXPECT_EQ(refusal.sqlstate, "PM005") << target;
        EXPECT_NE(refusal.detail.find(nowhere.why_unknown), std::string::npos) << target;
    }
    EXPECT_EQ(resolve_target("head-1", nowhere), head() - 1);
    EXPECT_EQ(resolve_target("3.1.0@pre", nowhere), 32);
}

TEST(Target, PreStopsBeforeTheNextPost)
{
    EXPECT_EQ(resolve_target("pre", at_base), 30);
    EXPECT_EQ(resolve_target("pre", {30, {}, {}}), 30);
    EXPECT_EQ(resolve_target("pre", {31, {}, {}}), 32);
    EXPECT_EQ(resolve_target("pre", {33, {}, {}}), 34);
    EXPECT_EQ(resolve_target("pre", {35, {}, {}}), 37);
    EXPECT_EQ(resolve_target("pre", at_head), head());
}

TEST(Target, OfAReleaseBeforeDeploymentHoldsNoPostRevisionAfterItsPre)
{
    for (const Release &release : releases())
    {
        const Revision before = resolve_target(std::string(release.name) + "@pre", at_base);
        EXPECT_LE(before, release.head) << release.name;
        EXPECT_NE(migration(before).phase, Phase::post) << release.name;
        EXPECT_GE(before, release.works_from) << release.name;
        for (Revision after = before + 1; after <= release.head; ++after)
            EXPECT_EQ(migration(after).phase, Phase::post) << release.name;
    }
}

TEST(Target, AnyNameOfAMigrationFindsIt)
{
    for (const Migration &one : migrations())
    {
        EXPECT_EQ(resolve_target(one.revision, at_base), one.number);
        EXPECT_EQ(resolve_target(one.file, at_base), one.number);
        EXPECT_EQ(resolve_target(one.file.substr(0, one.file.size() - 4), at_base), one.number);
        char alembic[32];
        std::snprintf(alembic, sizeof alembic, "procrastinate_%04d", one.number - 1);
        EXPECT_EQ(resolve_target(alembic, at_base), one.number);
    }
}

TEST(Target, TooLongIsShownShortened)
{
    const std::string longest(longest_name, '1');
    const Refusal at_limit = refusal_of(longest, at_26);
    EXPECT_EQ(at_limit.sqlstate, "PM001");
    const Refusal refusal = refusal_of(std::string(1'000'000, 'x'), at_26);
    EXPECT_EQ(refusal.sqlstate, "PM001");
    EXPECT_LT(refusal.message.size(), 200U);
    EXPECT_NE(refusal.detail.find("1000000"), std::string::npos);
}

TEST(Excerpt, NeverEndsInsideACharacter)
{
    std::string text(63, 'a');
    for (int i = 0; i < 40; ++i)
        text += "\xe2\x82\xac"; // a euro sign
    EXPECT_EQ(excerpt(text), std::string(63, 'a') + "...");
    EXPECT_EQ(excerpt("short"), "short");
}

TEST(Target, RandomStringsAreResolvedOrRefusedAndNothingElse)
{
    std::mt19937 random(20260101); // NOLINT: the same strings every time
    constexpr std::string_view pieces[] = {
        "head", "base", "current", "pre", "+",  "-",   "0",    "9",
        "00.0", "_01",  "@pre",    "v",   ":",  "3.1", ".0",   "procrastinate_",
        "\xff", "\n",   "'",       "\"",  "\\", "%s",  "\0\0", "99999999999"};
    for (int i = 0; i < 20'000; ++i)
    {
        std::string text;
        for (unsigned count = random() % 6; count > 0; --count)
            text += pieces[random() % std::size(pieces)];
        for (unsigned count = random() % 3; count > 0; --count)
            text += static_cast<char>(random() % 255 + 1);
        try
        {
            const Revision revision = resolve_target(text, at_26);
            EXPECT_GE(revision, base);
            EXPECT_LE(revision, head());
        }
        catch (const Refusal &refusal)
        {
            EXPECT_TRUE(refusal.sqlstate == "PM001" || refusal.sqlstate == "PM002") << text;
        }
    }
}

} // namespace
