// Current revision as functions that only read tell it: the history's, else the catalog's.
#pragma once

#include "upgrade/installation_state.hpp"

namespace procrastinate::upgrade
{

// read_state(). For tables without a history the current revision is the one that the catalog
// matches exactly, if there is one; the locks of the comparison end with it. Throws as
// read_state().
InstallationState read_current_state(const catalog::Installation &installation);

// A NOTICE if the current revision is the catalog's.
void notice_if_by_catalog(const InstallationState &state,
                          const catalog::Installation &installation);

} // namespace procrastinate::upgrade
