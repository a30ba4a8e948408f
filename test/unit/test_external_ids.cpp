// Unit tests of the ids by which Alembic's packages and Django's app know the revisions.
#include "chain/external_ids.hpp"

#include <gtest/gtest.h>

namespace
{

using namespace procrastinate::chain;

TEST(Alembic, FormsOfIds)
{
    const AlembicForm file{"", 1, true};
    const AlembicForm prefixed{"our-app_procrastinate_", 0, false};
    const AlembicForm prefixed_file{"jobs_", 0, true};
    EXPECT_EQ(alembic_id(1, plain_form), "0001");
    EXPECT_EQ(alembic_id(38, plain_form), "0038");
    EXPECT_EQ(alembic_id(1, zero_based_form), "procrastinate_0000");
    EXPECT_EQ(alembic_id(38, zero_based_form), "procrastinate_0037");
    EXPECT_EQ(alembic_id(31, file), "0031_03.00.00_50_post_cancel_notification");
    EXPECT_EQ(alembic_id(31, prefixed), "our-app_procrastinate_0030");
    EXPECT_EQ(alembic_id(31, prefixed_file), "jobs_0030_03.00.00_50_post_cancel_notification");
    EXPECT_EQ(alembic_id(base, plain_form), "");
    for (Revision revision = 1; revision <= head(); ++revision)
        for (const AlembicForm &form : {plain_form, zero_based_form, file, prefixed, prefixed_file})
        {
            const std::string text = alembic_id(revision, form);
            const std::optional<AlembicId> id = read_alembic_id(text);
            ASSERT_TRUE(id) << text;
            EXPECT_EQ(id->revision, revision) << text;
            EXPECT_EQ(id->form, form) << text;
            EXPECT_EQ(revision_of_alembic_name(text),
                      form == plain_form ? std::nullopt : std::optional(revision))
                << text;
        }
}

TEST(Alembic, IdsOfOthers)
{
    for (const char *const id : {"",
                                 "0000",
                                 "9999",
                                 "1",
                                 "00001",
                                 "00x1",
                                 "ae1027a6acf",
                                 "procrastinate_",
                                 "0001 ",
                                 "procrastinate_9999",
                                 "procrastinate_-001",
                                 "Procrastinate_0001",
                                 "procrastinate_00001",
                                 "billing_0031",
                                 "procrastinate0031",
                                 "_0031",
                                 "0030_0031",
                                 "my procrastinate_0030",
                                 "vprocrastinate_0030",
                                 "a\nprocrastinate_0030",
                                 "--procrastinate_0030",
                                 "'procrastinate_0030",
                                 "0031_03.00.00_50_post_cancel",
                                 "0029_03.00.00_50_post_cancel_notification",
                                 "0032_03.00.00_50_post_cancel_notification",
                                 "03.00.00_50_post_cancel_notification",
                                 "_03.00.00_50_post_cancel_notification",
                                 "x0031_03.00.00_50_post_cancel_notification"})
    {
        EXPECT_FALSE(read_alembic_id(id)) << id;
        EXPECT_FALSE(revision_of_alembic_name(id)) << id;
    }
    EXPECT_FALSE(read_alembic_id("procrastinate_0030.py"));
}

TEST(Alembic, NamesOfFiles)
{
    for (const std::string extension : {"", ".py", ".sql"})
        for (const char *const name :
             {"0031_03.00.00_50_post_cancel_notification", "procrastinate_0030",
              "app_0031_03.00.00_50_post_cancel_notification"})
            EXPECT_EQ(revision_of_alembic_name(name + extension), 31) << name << extension;
    EXPECT_FALSE(revision_of_alembic_name("0031.py"));
    EXPECT_FALSE(revision_of_alembic_name("procrastinate_0030.py.py"));
    EXPECT_FALSE(revision_of_alembic_name(".py"));
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
