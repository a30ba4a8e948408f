// procrastinate_migrate(): to a later revision in many short transactions, while others work. What has
// been committed stays; whoever calls it next goes on from there.
#pragma once

#include "online/call_options.hpp"

namespace procrastinate::online
{

// Throws Refusal as upgrade::upgrade() does; 55P03 with the sessions in the way where a step could not
// have its locks; PM013 where old code is at work; 53400 where there is no background worker to be had.
void migrate(const catalog::Installation &installation, std::string_view target,
             const CallOptions &options);

} // namespace procrastinate::online
