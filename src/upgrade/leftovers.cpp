#include "upgrade/leftovers.hpp"

#include "catalog/named_objects.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"

namespace procrastinate::upgrade
{

NamesTaken names_taken(const catalog::Installation &installation, chain::Revision current,
                       chain::Revision target)
{
    using chain::Kind;
    server::ContextResource memory;
    const auto named_objects = catalog::named_objects(installation, memory);
    NamesTaken taken;
    for (const catalog::NamedObject &object :
         catalog::name_conflicts(server::span_of(named_objects), current, target, memory))
    {
        taken.findings.push_back("There is " + std::string(chain::kind_name(object.kind)) + " " +
                                 std::string(object.name));
        taken.can_be_moved =
            taken.can_be_moved || (object.kind != Kind::column && object.kind != Kind::constraint &&
                                   object.kind != Kind::trigger);
    }
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
