// Channels on which workers listen for jobs.
#pragma once

#include "chain/chain.hpp"

namespace procrastinate::online
{

// The pre migration of release 3: from then on jobs are also notified on the channels
// "procrastinate_queue_v1", in JSON, on which workers of that release listen.
inline constexpr chain::Revision first_of_new_channels = 30;

// Its post migration: from then on workers listen on the new channels only.
inline constexpr chain::Revision end_of_old_channels = 31;

} // namespace procrastinate::online
