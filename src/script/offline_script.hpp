// The offline script: what an upgrade does, as text for psql on a server without this extension.
#pragma once

#include "catalog/installation.hpp"
#include "chain/range.hpp"
#include "server/memory.hpp"

namespace procrastinate::upgrade
{

// From range.start, where the schema must be, to range.end. In one transaction where that can be.
server::pmr::string offline_script(const catalog::Installation &installation, chain::Range range,
                                   server::pmr::memory_resource &memory);

} // namespace procrastinate::upgrade
