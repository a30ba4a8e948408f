// How severe a difference between a schema and its revision is. Plain data without a server.
#pragma once

#include "catalog/catalog_object.hpp"

namespace procrastinate::catalog
{

enum class Severity
{
    info,    // what a user has added and Procrastinate does not notice
    warning, // Procrastinate works, but slower or not exactly as intended
    error    // breaks Procrastinate
};

// "info", "warning" or "error".
std::string_view name_of(Severity severity);

Severity severity_of_missing(const chain::Definition &expected);
Severity severity_of_extra(const CatalogObject &object);
// Also of an object that is invalid, disabled or has another body.
Severity severity_of_altered(const chain::Definition &expected, const CatalogObject &object);
// Of an object that has another name.
Severity severity_of_renamed(const chain::Definition &expected);
// Of a function that only settings (ALTER FUNCTION ... SET) were added to, or of a sequence that
// only counts otherwise.
Severity severity_of_settings(const CatalogObject &object);

// True if an enum type has all the expected labels in their order. More labels do no harm.
bool has_labels(std::span<const std::string_view> expected,
                std::span<const std::string_view> actual);

} // namespace procrastinate::catalog
