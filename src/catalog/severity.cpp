#include "catalog/severity.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace procrastinate::catalog
{

namespace
{

// Of "name (todo, doing)".
std::vector<std::string_view> labels_of(std::string_view definition)
{
    std::vector<std::string_view> labels;
    for (std::size_t at = definition.find('('); at < definition.size();)
    {
        at = definition.find_first_not_of(" (,", at);
        const std::size_t end = std::min(definition.find_first_of(",)", at), definition.size());
        labels.push_back(definition.substr(at, end - at));
        at = definition.find(',', end);
    }
    return labels;
}

bool is_unique(std::string_view index) { return index.starts_with("UNIQUE "); }

} // namespace

std::string_view name_of(Severity severity)
{
    switch (severity)
    {
    case Severity::info:
        return "info";
    case Severity::warning:
        return "warning";
    case Severity::error:
        return "error";
    }
    return {};
}

bool has_labels(std::string_view enum_definition, std::string_view actual)
{
    const std::vector<std::string_view> there = labels_of(actual);
    auto place = there.begin();
    for (const std::string_view label : labels_of(enum_definition))
    {
        place = std::find(place, there.end(), label);
        if (place == there.end())
            return false;
    }
    return true;
}

Severity severity_of_missing(std::string_view kind, std::string_view definition)
{
    // Without a key or a unique index jobs run twice; the others only keep the data tidy, or fast.
    const bool is_harmless =
        (kind == "index" && !is_unique(definition)) ||
        (kind == "constraint" && definition.find(" FOREIGN KEY ") != std::string_view::npos) ||
        (kind == "constraint" && definition.find(" CHECK ") != std::string_view::npos);
    return is_harmless ? Severity::warning : Severity::error;
}

Severity severity_of_extra(const CatalogObject &object)
{
    if (object.kind == "column")
        return object.flaw == "required" ? Severity::error : Severity::info;
    if (object.kind == "index")
        return is_unique(object.definition) ? Severity::warning : Severity::info;
    if (object.kind == "trigger" || object.kind == "view")
        return Severity::info;
    if (object.kind == "rule")
        return object.flaw == "instead" ? Severity::error : Severity::warning;
    return Severity::warning;
}

bool has_settings(const CatalogObject &function)
{
    return function.definition.find(" set ") != std::string_view::npos;
}

// Settings of a table's storage are its owner's choice; that it is none is not.
Severity severity_of_altered(const chain::Fact &fact, const CatalogObject &object)
{
    if (fact.kind == "table")
        return object.definition.find(" as ") == std::string_view::npos ? Severity::warning
                                                                        : Severity::error;
    if (fact.kind == "function" &&
        object.definition.starts_with(std::string(fact.definition) + " set "))
        return Severity::warning;
    if (fact.kind == "column" && object.definition.find(" collate ") != std::string_view::npos)
        return Severity::warning;
    if (fact.kind == "enum" && has_labels(fact.definition, object.definition))
        return Severity::warning;
    return severity_of_missing(fact.kind, fact.definition);
}

} // namespace procrastinate::catalog
