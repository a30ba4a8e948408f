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

// By a background worker; the caller waits, without a snapshot from before: it commits first, once nobody
// else can begin the same. False where another session is at it. Throws Refusal 53400 where no worker is to
// be had. With the installation's lock held, inside an SPI connection that may commit.
bool build_concurrently(const catalog::Installation &installation, const chain::Step &step,
                        Progress &progress);

} // namespace procrastinate::online
