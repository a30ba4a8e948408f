// Names of releases: patch releases, minor versions, and releases that come after the known ones.
#include "chain/release_name.hpp"

#include <gtest/gtest.h>

#include <string>

namespace
{

using procrastinate::chain::assumed_release;
using procrastinate::chain::find_release;
using procrastinate::chain::is_newer_release;
using procrastinate::chain::is_release_name;
using procrastinate::chain::newest_of_minor;
using procrastinate::chain::Release;
using procrastinate::chain::releases;

std::string newest() { return std::string(releases().back().name); }

// "3.9" of "3.9.0".
std::string minor_of(const std::string &release) { return release.substr(0, release.rfind('.')); }

TEST(ReleaseName, EachReleaseIsFoundByItsName)
{
    for (const Release &release : releases())
    {
        EXPECT_EQ(find_release(release.name).release, &release) << release.name;
        EXPECT_EQ(find_release("v" + std::string(release.name)).release, &release);
        EXPECT_EQ(assumed_release(release.name), nullptr);
    }
}

TEST(ReleaseName, AMinorVersionIsItsNewestPatchRelease)
{
    EXPECT_EQ(find_release("3.7").release->name, "3.7.3");
    EXPECT_EQ(find_release("v3.7").release->name, "3.7.3");
    EXPECT_FALSE(find_release("3.7").is_assumed);
    EXPECT_EQ(find_release(minor_of(newest())).release, &releases().back());
}

TEST(ReleaseName, ALaterPatchReleaseIsTakenAsTheNewestKnownOne)
{
    EXPECT_EQ(assumed_release("3.7.4")->name, "3.7.3");
    EXPECT_EQ(assumed_release("3.7.99@pre")->name, "3.7.3");
    EXPECT_EQ(assumed_release(minor_of(newest()) + ".99"), &releases().back());
    EXPECT_FALSE(is_newer_release(minor_of(newest()) + ".99"));
    // Before 3.0 patch releases had migrations.
    EXPECT_EQ(find_release("2.15.99").release, nullptr);
    EXPECT_EQ(find_release("0.12.99").release, nullptr);
}

TEST(ReleaseName, LaterMinorAndMajorVersionsAreNewer)
{
    for (const char *name : {"3.999.0", "3.999", "4.0.0", "v4.0.0", "99.1.2@pre", "3.999.0rc1",
                             "3.999rc1", "4.0.0a1", "4.0.0.dev3", "v4.0.0.rc1.post2.dev3@pre"})
    {
        EXPECT_TRUE(is_release_name(name)) << name;
        EXPECT_TRUE(is_newer_release(name)) << name;
        EXPECT_EQ(find_release(name).release, nullptr) << name;
    }
    for (const char *name : {"2.99.0", "0.0.1", "3", "4", "head", "0038", "4.0.0.1", "4.0.", "4..0",
                             "", "v", "@pre", "4.x", "04.00.00", "99999999999.0.0"})
        EXPECT_FALSE(is_newer_release(name)) << name;
}

TEST(ReleaseName, ASuffixMakesAnotherRelease)
{
    EXPECT_TRUE(is_newer_release(newest() + ".post1"));
    EXPECT_FALSE(is_newer_release(newest() + "rc1"));
    EXPECT_FALSE(is_newer_release(newest()));
    for (const std::string name : {"3.7.0rc1", "3.7.0.post1", "3.7rc1", "2.15.99", "2.15.1b2@pre"})
    {
        EXPECT_EQ(find_release(name).release, nullptr) << name;
        EXPECT_EQ(assumed_release(name), nullptr) << name;
        EXPECT_FALSE(is_newer_release(name)) << name;
        EXPECT_TRUE(is_release_name(name)) << name;
    }
    EXPECT_EQ(newest_of_minor("3.7.0rc1@pre")->name, "3.7.3");
    EXPECT_EQ(newest_of_minor("2.99.0"), nullptr);
    for (const char *name : {"3.7.0.", "3.7.0rc1x", "3.7.0.0", "3.7.0 rc1", "rc1", "3rc1", "0031",
                             "3.7.0-rc1", "3.7.0_x", "03.01.00rc1"})
        EXPECT_FALSE(is_release_name(name)) << name;
}

} // namespace
