// What other tools have written down about an installation: tables alembic_version and
// django_migrations. ExternalVersions, no more: the catalog knows better.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

struct ExternalVersion
{
    std::string table; // qualified
    std::string says;  // in the tool's own words
    chain::Revision revision;
    enum
    {
        alembic_plain,
        alembic_zero_based,
        django
    } tool;

    // The command that has the tool write down another revision.
    std::string correction(chain::Revision to) const;
};

// Of the installation's own schema; where that has none, of all schemas that the caller may use.
// Tables that are locked, or that the caller may not read, have nothing to say. Inside an SPI
// connection and under a search_path of the server's own.
std::vector<ExternalVersion> read_external_versions(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
