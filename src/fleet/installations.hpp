// All installations of the database, for the function procrastinate_get_installations().
#pragma once

#include "chain/chain.hpp"
#include "server/error_boundary.hpp"

#include <string>
#include <vector>

namespace procrastinate::fleet
{

struct ListedInstallation
{
    Oid schema;
    Oid owner;                              // the role as which it is changed
    std::string revision;                   // as the history records it; empty if it does not
    std::optional<chain::Revision> current; // the same, if this library knows it
    bool is_head;
    std::string source; // the event that recorded it, or why it is not known
    std::optional<TimestampTz> under_way_since; // begin of a migration that has not ended
    std::optional<std::int64_t> jobs;           // as the server estimates
    bool may_change;                            // the current role
};

// A row for each schema that holds tables of Procrastinate's names, by name. Goes by the histories:
// no catalog is compared. Waits for no lock, and keeps none. Inside an SPI connection and under a
// search_path of the server's own.
std::vector<ListedInstallation> installations();

} // namespace procrastinate::fleet
