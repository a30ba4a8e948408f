// What of Procrastinate a schema holds, by the names of the facts: enough to tell an empty schema,
// a stranger's object and a wrong revision. Objects of extensions and the user's own are left out.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "server/memory.hpp"

namespace procrastinate::catalog
{

struct NamedObject
{
    std::string_view
        kind; // as in chain::Fact; relation, type: something else in such a one's place
    std::string_view name; // as chain::fact_name
};

// Whether the schema holds a relation, a type or a function of a name that Procrastinate has had at
// some revision, or the history: for an empty schema much faster than to ask for its named_objects.
bool holds_known_names(const Installation &installation);

// Inside an SPI connection and under a search_path of the server's own. Functions that differ in
// their arguments only are one object each.
server::pmr::vector<NamedObject> named_objects(const Installation &installation,
                                               server::pmr::memory_resource &memory);

// Objects in the way of what the migrations after `current` up to `target` make: a name of theirs
// that is taken. At base nothing of any revision may be there.
server::pmr::vector<NamedObject> name_conflicts(std::span<const NamedObject> objects,
                                                chain::Revision current, chain::Revision target,
                                                server::pmr::memory_resource &memory);

} // namespace procrastinate::catalog
