#include "upgrade/leftovers.hpp"

#include "catalog/named_objects.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"

namespace procrastinate::upgrade
{

namespace
{

// Functions with the arguments of ones that migrations create: CREATE OR REPLACE replaces only
// those of an earlier migration.
void add_taken_functions(NamesTaken &taken, std::span<const catalog::CatalogObject> structure,
                         chain::Revision current, chain::Revision target)
{
    for (const catalog::CatalogObject &object : structure)
    {
        if (object.kind != chain::Kind::function)
            continue;
        const auto maker = chain::maker_of(
            [&object](const chain::Fact &fact) {
                return fact.kind == object.kind && fact.key == object.key;
            },
            current, target);
        if (!maker)
            continue;
        taken.first_maker = std::min(taken.first_maker, *maker);
        taken.findings.push_back("There is function " + std::string(object.key));
        taken.can_be_moved = true;
    }
}

} // namespace

NamesTaken names_taken(const catalog::Installation &installation,
                       std::span<const catalog::CatalogObject> structure, chain::Revision current,
                       chain::Revision target)
{
    using chain::Kind;
    server::ContextResource memory;
    const auto named_objects = catalog::named_objects(installation, memory);
    NamesTaken taken;
    taken.first_maker = target;
    for (const catalog::NamedObject &object :
         catalog::name_conflicts(server::span_of(named_objects), current, target, memory))
    {
        taken.findings.push_back("There is " + std::string(chain::kind_name(object.kind)) + " " +
                                 std::string(object.name));
        taken.first_maker = std::min(taken.first_maker, object.maker);
        taken.can_be_moved =
            taken.can_be_moved || (object.kind != Kind::column && object.kind != Kind::constraint &&
                                   object.kind != Kind::trigger);
    }
    add_taken_functions(taken, structure, current, target);
    return taken;
}

common::Refusal leftovers(const catalog::Installation &installation, const NamesTaken &taken)
{
    common::Findings findings;
    findings.add(taken.findings);
    return {common::sqlstate::no_history,
            catalog::in_schema(installation) +
                " holds Procrastinate's objects, but no history of them",
            findings.text(), advice_for_leftovers(installation)};
}

std::string advice_for_leftovers(const catalog::Installation &installation)
{
    return "If they are the rest of an installation that nobody needs, run the statements that "
           "this lists. They delete its tables with all rows:\nSELECT repair FROM " +
           common::own_function("procrastinate_check") + "('base', schema => " +
           installation.quoted_text +
           ");\nIf not, install Procrastinate into another schema, or move them there.";
}

} // namespace procrastinate::upgrade
