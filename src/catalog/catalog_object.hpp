// Something in the catalog as it is. Plain data without a server.
#pragma once

#include <cstdint>
#include <string_view>

namespace procrastinate::catalog
{

// `flaw` is what keeps it from working.
struct CatalogObject
{
    std::string_view kind; // as in chain::Fact; also rule, view: what others put on the tables
    std::string_view key;  // as chain::fact_key
    std::string_view definition; // in the words of the facts
    std::string_view body;       // of a function: md5 of its text; else empty
    std::string_view flaw;       // invalid, unvalidated, disabled, broken;
                                 // of an extra column required, of a rule instead; else empty
    std::string_view owner;      // a role; empty for what has none of its own
    std::uint32_t class_id = 0;  // where pg_depend finds it: the catalog, the object, the column
    std::uint32_t object_id = 0;
    std::int32_t column = 0;
};

} // namespace procrastinate::catalog
