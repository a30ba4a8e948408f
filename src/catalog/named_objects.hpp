// The objects of a schema that have names of Procrastinate's: enough to tell an empty schema, a
// name that is taken, or a wrong revision. Members of extensions are left out.
#pragma once

#include "catalog/installation.hpp"
#include "chain/facts.hpp"
#include "server/memory.hpp"

namespace procrastinate::catalog
{

struct NamedObject
{
    chain::Kind kind;      // relation or type: an object of another kind under that name
    std::string_view name; // of a column or constraint with its table in front
    chain::Revision maker = chain::base; // of name_conflicts(): the first migration that needs it
};

// True if the schema holds a relation, a type or a function of a name that Procrastinate has had at
// some revision, or the history. For an empty schema this is much faster than named_objects().
bool holds_known_names(Oid schema);

// True if the schema holds a relation, a type or a function whose name begins as Procrastinate's do
// and that is no member of an extension. Fast as well.
bool holds_names_like_ours(Oid schema);

// Tables first. Functions that differ only in their arguments are one object each. Needs an SPI
// connection and a search_path of the server's own; the names live as long as the connection.
server::pmr::vector<NamedObject> named_objects(const Installation &installation,
                                               server::pmr::memory_resource &memory);

// The objects whose names the migrations after `current` up to `target` need for their own. From
// base no object of any revision may be there. Parts of a table that is in the list are left out.
server::pmr::vector<NamedObject> name_conflicts(std::span<const NamedObject> objects,
                                                chain::Revision current, chain::Revision target,
                                                server::pmr::memory_resource &memory);

} // namespace procrastinate::catalog
