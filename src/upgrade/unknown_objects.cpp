#include "upgrade/unknown_objects.hpp"

#include "catalog/named_objects.hpp"
#include "catalog/structure.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "upgrade/settings.hpp"

namespace procrastinate::upgrade
{

namespace
{

std::string has_unknown_objects(const catalog::Installation &installation)
{
    return catalog::in_schema(installation) +
           " holds objects of Procrastinate's names that no known revision has";
}

} // namespace

common::Findings unknown_objects(std::span<const catalog::CatalogObject> structure)
{
    common::Findings findings;
    for (const catalog::CatalogObject &object : structure)
        if (object.flaw == catalog::Flaw::unknown)
            findings.add(common::capitalized(std::string(chain::kind_name(object.kind)) + " " +
                                             std::string(object.key)));
    return findings;
}

std::string advice_for_unknown_objects()
{
    return "If a newer release of Procrastinate has created the objects that no known revision "
           "has, "
           "install a newer version of procrastinate_migrate.\nIf they are yours, rename them or "
           "move them to another schema.";
}

void require_no_unknown_objects(const catalog::Installation &installation,
                                std::span<const catalog::CatalogObject> structure)
{
    if (verify_level() == VerifyLevel::off)
        return;
    const common::Findings findings = unknown_objects(structure);
    if (findings.any() && verify_level() == VerifyLevel::error)
        throw common::Refusal{common::sqlstate::catalog_contradicts,
                              has_unknown_objects(installation), findings.text(),
                              advice_for_unknown_objects() +
                                  "\nTo go on in spite of them: SET procrastinate_migrate.verify = "
                                  "'warn';"};
    if (findings.any())
        server::warning(has_unknown_objects(installation), findings.text(),
                        advice_for_unknown_objects());
}

void require_no_unknown_objects(const catalog::Installation &installation)
{
    // In an empty schema the first look of a session need not plan the query of the structure.
    if (verify_level() == VerifyLevel::off || !catalog::holds_names_like_ours(installation.schema))
        return;
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    require_no_unknown_objects(installation, server::span_of(structure));
}

void warn_of_unknown_objects(const catalog::Installation &installation,
                             std::span<const catalog::CatalogObject> structure)
{
    const common::Findings findings = unknown_objects(structure);
    if (findings.any())
        server::warning(has_unknown_objects(installation), findings.text(),
                        advice_for_unknown_objects());
}

} // namespace procrastinate::upgrade
