// Unit tests of finding a statement and its line in a script.
#include "upgrade/sql_text.hpp"

#include <gtest/gtest.h>

namespace
{

using namespace procrastinate::upgrade;

TEST(Statement, BeginsBehindBlanksAndComments)
{
    EXPECT_EQ(leading_blank("SELECT 1"), 0U);
    EXPECT_EQ(leading_blank("  \n\tSELECT 1"), 4U);
    EXPECT_EQ(leading_blank("-- one\nSELECT 1"), 7U);
    EXPECT_EQ(leading_blank("-- one\r\n-- two\n  SELECT 1"), 17U);
    EXPECT_EQ(leading_blank("/* a */SELECT 1"), 7U);
    EXPECT_EQ(leading_blank("/* a /* b */ c */ SELECT 1"), 18U);
    EXPECT_EQ(leading_blank("- - 1"), 0U);
    EXPECT_EQ(leading_blank("/ 2"), 0U);
}

TEST(Statement, MayBeMissing)
{
    EXPECT_EQ(leading_blank(""), 0U);
    EXPECT_EQ(leading_blank("  "), 2U);
    EXPECT_EQ(leading_blank("-- only a comment"), 17U);
    EXPECT_EQ(leading_blank("/* never closed"), 15U);
    EXPECT_EQ(leading_blank("/*"), 2U);
    EXPECT_EQ(leading_blank("/"), 0U);
}

TEST(Statement, LinesCountFromOne)
{
    EXPECT_EQ(line_at("a\nb\nc", 0), 1);
    EXPECT_EQ(line_at("a\nb\nc", 1), 1);
    EXPECT_EQ(line_at("a\nb\nc", 2), 2);
    EXPECT_EQ(line_at("a\nb\nc", 5), 3);
}

} // namespace
