// Revisions that other tools have recorded in their own tables: Alembic in alembic_version, Django
// in django_migrations. For messages only: the catalog decides which revision a schema is at.
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
    std::string id;    // as the tool has written it
    chain::Revision revision;
    bool is_django; // else Alembic's

    // The shell command by which the tool records another revision.
    std::string correction(chain::Revision to) const;
};

// The records in tables of the installation's schema; if there are none, those of all schemas that
// the current role may use. Skips tables that are locked or that the current role may not read.
// Takes ACCESS SHARE on the others. Inside an SPI connection and under a search_path of the
// server's own.
std::vector<ExternalVersion> read_external_versions(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
