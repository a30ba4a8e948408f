// An index built while others write.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "online/progress_report.hpp"
#include "server/concurrent_build.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

// Nothing is called like the indexes that a migration is about to build, unless a step before has built
// them ahead. Throws Refusal PM009 otherwise; before the first step.
void require_free_names(const catalog::Installation &installation, chain::Revision revision);

// Whether the index of a step is there by now, by whomever. Throws Refusal PM009 where it is on another table.
server::IndexState state_of_build(const catalog::Installation &installation,
                                  const chain::Step &step);

// Of the steps before this one that are only for a later target than the path's: one whose build, by a call
// that had such a target, was ended.
std::optional<chain::Step> skipped_invalid_index(const catalog::Installation &installation,
                                                 const chain::Step &step,
                                                 const upgrade::UpgradePath &path);

// What is left of a build that was ended, if it is still that once the table's lock is there. Not concurrently,
// which fails where an event trigger writes. Inside an SPI connection.
void drop_invalid_index(const catalog::Installation &installation, const chain::Step &step);

// The statement that builds it while writers wait.
std::string plain_build(const chain::Step &step);

// Tells, now and then, who has that lock. Inside an SPI connection that may commit; commits.
void tell_other_build(const catalog::Installation &installation, const chain::Step &step,
                      ProgressReport &progress);

// By a background worker; the caller waits, without a snapshot from before: it commits first. Throws
// Refusal 53400 where no worker is to be had, with `instead` as the call that needs none. Returns the error
// of one that could not have a lock, else nothing. Inside an SPI connection that may commit.
std::optional<std::string> build_concurrently(const catalog::Installation &installation,
                                              const chain::Step &step, const std::string &instead,
                                              ProgressReport &progress);

} // namespace procrastinate::online
