// Unit tests of the evidence that a schema is at no other revision: it never rules out the revision
// that a comparison of the whole schema finds.
#include "catalog/revision_evidence.hpp"
#include "schema.hpp"

#include <gtest/gtest.h>

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
using catalog::CatalogObject;
using chain::Kind;
using procrastinate::test::Bodies;
using procrastinate::test::Schema;

catalog::BodiesOf bodies_of(const Schema &schema)
{
    return [&schema](std::string_view name) {
        catalog::Bodies bodies(std::in_place);
        for (const CatalogObject &object : schema.objects())
            if (object.kind == Kind::function && object.name == name)
                bodies->emplace_back(object.body);
        return bodies;
    };
}

// For each revision that might be recorded: if the evidence rules out all others, no other matches.
void expect_agreement(const Schema &schema)
{
    const auto nearest = catalog::nearest_revision(schema.objects());
    ASSERT_TRUE(nearest);
    for (chain::Revision recorded = 1; recorded <= chain::head(); ++recorded)
        if (catalog::rules_out_others(recorded, bodies_of(schema)))
        {
            EXPECT_TRUE(nearest->revision == recorded || !nearest->is_exact())
                << "at " << nearest->revision << ", recorded " << recorded;
        }
}

TEST(RevisionEvidence, NeverContradictsAComparison)
{
    for (const Bodies bodies : {Bodies::first, Bodies::last, Bodies::turns})
        for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
            expect_agreement(Schema(revision, bodies));
}

TEST(RevisionEvidence, NeverContradictsAComparisonOfASchemaWithADifference)
{
    const std::size_t count = Schema(chain::head()).objects().size();
    for (std::size_t i = 0; i < count; ++i)
    {
        Schema schema(chain::head());
        schema.objects().erase(schema.objects().begin() + static_cast<std::ptrdiff_t>(i));
        expect_agreement(schema);
    }
}

// Its lines may be those of a known one, with other white space.
TEST(RevisionEvidence, ABodyThatIsNotKnownRulesOutNothing)
{
    Schema schema(chain::head());
    for (CatalogObject &object : schema.objects())
        if (object.kind == Kind::function)
            object.body = "0123456789abcdef0123456789abcdef";
    for (chain::Revision recorded = 1; recorded <= chain::head(); ++recorded)
        EXPECT_FALSE(catalog::rules_out_others(recorded, bodies_of(schema))) << recorded;
}

TEST(RevisionEvidence, TooManyFunctionsTellNothing)
{
    EXPECT_FALSE(catalog::rules_out_others(chain::head(),
                                           [](std::string_view) { return catalog::Bodies(); }));
}

// So that the first call of a session is quick. Some migrations change no function.
TEST(RevisionEvidence, IsEnoughAtMostRevisions)
{
    for (const Bodies bodies : {Bodies::first, Bodies::last, Bodies::turns})
    {
        int count = 0;
        for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
        {
            const Schema schema(revision, bodies);
            count += catalog::rules_out_others(revision, bodies_of(schema)) ? 1 : 0;
        }
        EXPECT_GT(count, chain::head() / 2);
    }
}

} // namespace
