// SQL templates, quoting, lists of findings.
#include "common/findings.hpp"
#include "common/quoting.hpp"
#include "common/template.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace
{

using namespace procrastinate::common;

TEST(Template, ReplacesEachPlaceholderEverywhere)
{
    EXPECT_EQ(substitute("{{a}}{{b}}-{{a}}", {{"a", "1"}, {"b", ""}}), "1-1");
    EXPECT_EQ(substitute("", {}), "");
    EXPECT_EQ(substitute("no placeholder: {a} }} x::text", {}), "no placeholder: {a} }} x::text");
}

TEST(Template, DoesNotSearchSubstitutedText)
{
    EXPECT_EQ(substitute("{{a}} {{b}}", {{"a", "{{b}}"}, {"b", "{{"}}), "{{b}} {{");
}

TEST(Template, RefusesUnknownPlaceholders)
{
    EXPECT_THROW((void)substitute("{{a}} {{c}}", {{"a", "1"}}), std::logic_error);
    EXPECT_THROW((void)substitute("{{ a }}", {{"a", "1"}}), std::logic_error);
    EXPECT_THROW((void)substitute("{{a}} {{a", {{"a", "1"}}), std::logic_error);
}

TEST(Template, RefusesUnusedSubstitutions)
{
    EXPECT_THROW((void)substitute("{{a}}", {{"a", "1"}, {"b", "2"}}), std::logic_error);
    EXPECT_THROW((void)substitute("a", {{"a", "1"}}), std::logic_error);
}

TEST(Quoting, DoublesWhatWouldEndAName)
{
    EXPECT_EQ(quoted_identifier("jobs"), "\"jobs\"");
    EXPECT_EQ(quoted_identifier("a\"b\\'"), "\"a\"\"b\\'\"");
}

TEST(Quoting, MarksLiteralsWithBackslashes)
{
    EXPECT_EQ(quoted_literal("it's"), "'it''s'");
    EXPECT_EQ(quoted_literal("a\\b'c\""), "E'a\\\\b''c\"'");
}

TEST(Findings, EndEachLineWithAFullStop)
{
    Findings findings(2);
    EXPECT_FALSE(findings.any());
    EXPECT_EQ(findings.text(), "");
    findings.add("One");
    findings.add(std::vector<std::string>{"Two"});
    EXPECT_TRUE(findings.any());
    EXPECT_EQ(findings.text(), "One.\nTwo.");
}

TEST(Findings, CountWhatTheyDoNotShow)
{
    Findings findings(1);
    findings.add(std::vector<std::string>{"One", "Two", "Three"});
    EXPECT_EQ(findings.text(), "One.\nAnd 2 more.");
}

TEST(Findings, BeginWithACapital)
{
    EXPECT_EQ(capitalized("index a"), "Index a");
    EXPECT_EQ(capitalized("\"a\" b"), "\"a\" b");
    EXPECT_EQ(capitalized(""), "");
}

} // namespace
