// What is embedded in the library, and what follows from it.
#include "chain/chain.hpp"

#include <gtest/gtest.h>

#include <string>

namespace
{

using namespace procrastinate::chain;

TEST(Chain, IsOneLineOf38Migrations)
{
    ASSERT_EQ(migrations().size(), 38U);
    ASSERT_EQ(head(), 38);
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
    {
        if (!is_at(fact, head()) || fact.kind != "function")
            continue;
        const std::string created =
            "CREATE FUNCTION \"odd ' name\"." + std::string(fact_name(fact));
        EXPECT_NE(script.find(created + "("), std::string::npos) << created;
    }
    EXPECT_NE(early_types_script().find("'aborting'"), std::string_view::npos);
}

TEST(Chain, NoMigrationEndsItsTransactionOrDropsWhatIsNotOurs)
{
    for (const Migration &one : migrations())
        for (const std::string_view word : {"COMMIT", "ROLLBACK", "CASCADE;", "search_path"})
            EXPECT_EQ(one.sql.find(word), std::string_view::npos) << one.file << " says " << word;
}

TEST(Releases, NeverGoBack)
{
    ASSERT_EQ(releases().size(), 95U);
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

TEST(Facts, BeginWithANameAndLiveOnTheChain)
{
    ASSERT_EQ(facts().size(), 149U);
    for (const Fact &fact : facts())
    {
        EXPECT_LE(1, fact.first);
        EXPECT_LE(fact.first, fact.last);
        EXPECT_LE(fact.last, head());
        EXPECT_NE(fact_name(fact).find("procrastinate"),
                  fact.kind == "constraint" ? 999U : std::string_view::npos);
    }
}

TEST(Facts, NamesLeaveOutWhatFollows)
{
    EXPECT_EQ(fact_name({1, 1, "table", "procrastinate_jobs"}), "procrastinate_jobs");
    EXPECT_EQ(fact_name({1, 1, "index",
                         "UNIQUE procrastinate_jobs_pkey ON procrastinate_jobs USING btree (id)"}),
              "procrastinate_jobs_pkey");
    EXPECT_EQ(fact_name({1, 1, "function", "procrastinate_notify_queue() returns trigger"}),
              "procrastinate_notify_queue");
    EXPECT_EQ(fact_name({1, 1, "column", "procrastinate_jobs.lock text"}),
              "procrastinate_jobs.lock");
}

TEST(Transactions, AreCutWhereLabelsAreUsedThatWereAddedBefore)
{
    EXPECT_EQ(reachable_in_one_transaction(26, 38), 28);
    EXPECT_EQ(reachable_in_one_transaction(1, 29), 28);
    EXPECT_EQ(reachable_in_one_transaction(26, 28), 28);
    EXPECT_EQ(reachable_in_one_transaction(27, 38), 38);
    EXPECT_EQ(reachable_in_one_transaction(28, 29), 29);
    EXPECT_EQ(reachable_in_one_transaction(base, 38), 38);
    EXPECT_EQ(reachable_in_one_transaction(base, 30), 30);
}

} // namespace
