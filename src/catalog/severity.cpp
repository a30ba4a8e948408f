#include "catalog/severity.hpp"

#include <algorithm>
#include <array>

namespace procrastinate::catalog
{

namespace
{

using chain::ConstraintType;
using chain::Kind;

constexpr std::array<std::string_view, 8> flaw_names{
    "", "invalid", "unvalidated", "disabled", "broken", "required", "instead", "unknown"};

// As structure.sql writes it.
constexpr const char *row_security = " with row security";

} // namespace

std::string_view name_of(Flaw flaw) { return flaw_names[static_cast<std::size_t>(flaw)]; }

Flaw flaw_named(std::string_view name)
{
    const auto *const found = std::find(flaw_names.begin(), flaw_names.end(), name);
    return found == flaw_names.end() ? Flaw::none : static_cast<Flaw>(found - flaw_names.begin());
}

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

bool has_labels(std::span<const std::string_view> expected,
                std::span<const std::string_view> actual)
{
    auto place = actual.begin();
    for (const std::string_view label : expected)
    {
        place = std::find(place, actual.end(), label);
        if (place == actual.end())
            return false;
    }
    return true;
}

Severity severity_of_missing(const chain::Definition &expected)
{
    // Without a key or a unique index jobs run twice. Other indexes make it fast, and foreign keys
    // and checks only refuse what Procrastinate does not do.
    const bool is_harmless = (expected.kind == Kind::index && !expected.is_unique) ||
                             expected.constraint_type == ConstraintType::foreign_key ||
                             expected.constraint_type == ConstraintType::check;
    return is_harmless ? Severity::warning : Severity::error;
}

Severity severity_of_extra(const CatalogObject &object)
{
    switch (object.kind)
    {
    case Kind::column:
        return object.flaw == Flaw::required ? Severity::error : Severity::info;
    case Kind::index:
        return object.is_unique ? Severity::warning : Severity::info;
    case Kind::trigger:
    case Kind::view:
        return Severity::info;
    case Kind::rule:
        return object.flaw == Flaw::instead ? Severity::error : Severity::warning;
    default:
        return Severity::warning;
    }
}

Severity severity_of_altered(const chain::Definition &expected, const CatalogObject &object)
{
    // Its policies do not apply to the owner. Those of other roles are the user's own.
    if (expected.kind == Kind::table && object.text == std::string(expected.name) + row_security)
        return Severity::info;
    // How a table is stored, its owner may choose; a view in its place breaks Procrastinate.
    const bool is_harmless =
        (expected.kind == Kind::table && object.is_plain_table) ||
        (expected.kind == Kind::column && !object.collation.empty()) ||
        (expected.kind == Kind::enum_type && has_labels(expected.labels, object.labels));
    return is_harmless ? Severity::warning : severity_of_missing(expected);
}

Severity severity_of_renamed(const chain::Definition &expected)
{
    // Functions name a unique key in ON CONFLICT, and Procrastinate's code tells by the name of a
    // unique index which lock a job violates.
    const bool is_named_by_code = (expected.kind == Kind::index && expected.is_unique) ||
                                  expected.constraint_type == ConstraintType::unique;
    return is_named_by_code ? Severity::error : Severity::warning;
}

Severity severity_of_settings(const CatalogObject &object)
{
    // A sequence with another end, or that begins again, can run out of numbers or repeat them.
    if (object.kind == Kind::sequence)
        return Severity::warning;
    return object.kind_of_settings == Settings::other_schema ? Severity::error : Severity::info;
}

} // namespace procrastinate::catalog
