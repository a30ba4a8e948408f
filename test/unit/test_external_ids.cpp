// Unit tests of the ids by which Alembic's packages and Django's app know the revisions.
#include "chain/external_ids.hpp"

#include <gtest/gtest.h>

namespace
{

using namespace procrastinate::chain;

TEST(Alembic, BothNumberings)
{
    EXPECT_EQ(alembic_id(1, AlembicIds::plain), "0001");
    EXPECT_EQ(alembic_id(38, AlembicIds::plain), "0038");
    EXPECT_EQ(alembic_id(1, AlembicIds::zero_based), "procrastinate_0000");
    EXPECT_EQ(alembic_id(38, AlembicIds::zero_based), "procrastinate_0037");
    EXPECT_EQ(alembic_id(base, AlembicIds::plain), "");
    for (Revision revision = 1; revision <= head(); ++revision)
        for (const AlembicIds ids : {AlembicIds::plain, AlembicIds::zero_based})
            EXPECT_EQ(revision_of_alembic(alembic_id(revision, ids)), revision);
}

TEST(Alembic, IdsOfOthers)
{
    for (const char *const id :
         {"", "0000", "9999", "1", "00001", "00x1", "ae1027a6acf", "procrastinate_", "0001 ",
          "procrastinate_9999", "procrastinate_-001", "Procrastinate_0001", "procrastinate_00001"})
        EXPECT_FALSE(revision_of_alembic(id)) << id;
}

TEST(Django, NumbersOfItsOwn)
{
    EXPECT_EQ(revision_of_django("0001_initial"), 1);
    EXPECT_EQ(revision_of_django("0002_any"), std::nullopt);
    EXPECT_EQ(revision_of_django("0003_any"), 3);
    EXPECT_EQ(revision_of_django("0024_any"), 24);
    EXPECT_EQ(revision_of_django("0025_any"), 24);
    EXPECT_EQ(revision_of_django("0026_any"), 25);
    EXPECT_EQ(revision_of_django("0029_any"), 28);
    EXPECT_EQ(revision_of_django("0030_any"), 28);
    EXPECT_EQ(revision_of_django("0031_any"), 29);
    EXPECT_EQ(revision_of_django("0035_any"), 33);
    EXPECT_EQ(revision_of_django("0036_any"), 33);
    EXPECT_EQ(revision_of_django("0037_any"), 34);
    EXPECT_EQ(revision_of_django("0041_any"), 38);
    for (Revision revision = 3; revision <= head(); ++revision)
        EXPECT_EQ(revision_of_django(django_prefix(revision)), revision);
    EXPECT_EQ(django_prefix(1), "0001");
    EXPECT_EQ(django_prefix(24), "0024");
    EXPECT_EQ(django_prefix(25), "0026");
    EXPECT_EQ(django_prefix(28), "0029");
    EXPECT_EQ(django_prefix(29), "0031");
    EXPECT_EQ(django_prefix(38), "0041");
    for (const char *const name : {"", "0000_any", "9999_any", "41_any", "initial", "00x1_any"})
        EXPECT_FALSE(revision_of_django(name)) << name;
}

TEST(Django, WhatIsAppliedAtARevision)
{
    const auto counts = [](Revision revision) {
        const DjangoCount count = django_count(revision);
        return std::pair(count.with_sql, count.all);
    };
    EXPECT_EQ(counts(base), std::pair(0, 0));
    EXPECT_EQ(counts(1), std::pair(1, 1));
    EXPECT_EQ(counts(2), std::pair(1, 1)); // Django's 0003 without its 0002
    EXPECT_EQ(counts(3), std::pair(3, 3));
    EXPECT_EQ(counts(24), std::pair(24, 25));
    EXPECT_EQ(counts(25), std::pair(26, 26));
    EXPECT_EQ(counts(28), std::pair(29, 30));
    EXPECT_EQ(counts(29), std::pair(31, 31));
    EXPECT_EQ(counts(33), std::pair(35, 36));
    EXPECT_EQ(counts(38), std::pair(41, 41));
}

TEST(Django, NamesAsItPrintsThem)
{
    const DjangoNames names("procrastinate\n [X] 0002_b\n [X] 0001_a\n [ ] 0003_c, 0004_d,0006_f");
    ASSERT_EQ(names.count(), 4);
    EXPECT_EQ(names.name(1), "0001_a");
    EXPECT_EQ(names.name(4), "0004_d");
    EXPECT_EQ(names.number_of("0003_c"), 3);
    for (const char *const name : {"0006_f", "0003", "", "0003_c "})
        EXPECT_FALSE(names.number_of(name)) << name;
}

TEST(Django, NamesThatAreNone)
{
    for (const char *const words : {"", "0002_b", "0001_a 0001_b", "0001_a 0002_b 0001_c", "1_a",
                                    "0000_z 0001_a", "0001_", "000x_a", "0001a"})
        EXPECT_EQ(DjangoNames(words).count(), 0) << words;
}

} // namespace
