// Unit tests of the chain and the releases as they are embedded in the library.
#include "chain/facts.hpp"

#include <gtest/gtest.h>

#include <string>

namespace
{

using namespace procrastinate::chain;

TEST(Chain, IsOneLineOfMigrations)
{
    ASSERT_GE(head(), 38);
    ASSERT_EQ(migrations().size(), static_cast<std::size_t>(head()));
    for (Revision revision = 1; revision <= head(); ++revision)
    {
        EXPECT_EQ(migration(revision).number, revision);
        EXPECT_EQ(std::stoi(std::string(migration(revision).revision)), revision);
        EXPECT_EQ(name(revision), migration(revision).revision);
        EXPECT_TRUE(migration(revision).file.ends_with(".sql"));
        EXPECT_FALSE(migration(revision).title.empty());
        EXPECT_TRUE(migration(revision).sql.starts_with("--"))
            << "says nothing to a DBA: " << revision;
        EXPECT_TRUE(migration(revision).sql.ends_with(";\n"));
    }
    EXPECT_EQ(name(base), "base");
}

TEST(Chain, HasPhasesFromTheThirtiethOn)
{
    for (const Migration &one : migrations())
    {
        const std::string_view expected = one.file.find("_pre_") != std::string_view::npos ? "pre"
                                          : one.file.find("_post_") != std::string_view::npos
                                              ? "post"
                                              : "";
        EXPECT_EQ(phase_name(one.phase), expected) << one.file;
    }
}

TEST(Chain, EmbedsHeadWithItsFunctions)
{
    const std::string script = head_script(R"("odd ' name")");
    EXPECT_NE(script.find(R"(CREATE TABLE "odd ' name".procrastinate_jobs ()"), std::string::npos);
    EXPECT_NE(script.find(R"(nextval('"odd '' name".procrastinate_jobs_id_seq'::regclass))"),
              std::string::npos);
    EXPECT_EQ(script.find("{{"), std::string::npos);
    for (const Fact &fact : facts())
        if (fact.kind == Kind::function && is_at(fact, head()))
        {
            const std::string create = "CREATE FUNCTION \"odd ' name\"." + std::string(fact.name);
            EXPECT_NE(script.find(create + "("), std::string::npos) << fact.signature;
        }
}

TEST(Chain, NoMigrationEndsItsTransactionOrDropsWhatIsNotOurs)
{
    for (const Migration &one : migrations())
        for (const std::string_view word : {"COMMIT", "ROLLBACK", "CASCADE;", "search_path"})
            EXPECT_EQ(one.sql.find(word), std::string_view::npos) << one.file << " says " << word;
}

TEST(Releases, NeverGoBack)
{
    ASSERT_GE(releases().size(), 95U);
    Revision last = base;
    for (const Release &release : releases())
    {
        EXPECT_GE(release.head, last) << release.name;
        EXPECT_LE(release.works_from, release.head) << release.name;
        EXPECT_GE(release.works_to, release.head) << release.name;
        last = release.head;
    }
    EXPECT_EQ(last, head());
}

} // namespace
