// The ids of Alembic's packages and of Django's app.
#include "chain/other_tools.hpp"

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
         {"", "0000", "0039", "1", "00001", "00x1", "ae1027a6acf", "procrastinate_", "0001 ",
          "procrastinate_0038", "procrastinate_-001", "Procrastinate_0001", "procrastinate_00001"})
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
    for (const char *const name : {"", "0000_any", "0042_any", "41_any", "initial", "00x1_any"})
        EXPECT_FALSE(revision_of_django(name)) << name;
}

} // namespace
