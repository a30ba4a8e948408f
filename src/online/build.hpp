// An index built while others write.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "online/progress.hpp"

namespace procrastinate::online
{

// The name of the index that a concurrent step builds.
std::string index_of(const chain::Step &step);

// The statements that build it while writers wait, whatever another attempt has left behind.
std::string plain_build(const catalog::Installation &installation, const chain::Step &step);

// One build at a time in a schema, whoever asks for it.
inline constexpr std::int32_t build_class = 0x50524F62; // "PROb"; see migrate::lock_class

// By a background worker; the caller waits, without a snapshot from before: it commits first. Throws
// Refusal 53400 where no worker is to be had. Inside an SPI connection that may commit.
void build_concurrently(const catalog::Installation &installation, const chain::Step &step,
                        Progress &progress);

} // namespace procrastinate::online
