// Index builds of an online run: the state of the index, the builds themselves, and what an ended
// one leaves.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "online/next_action.hpp"
#include "online/progress_report.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

// Throws Refusal PM009 if a relation has the name of an index that the migration is about to build,
// unless a step of an earlier migration builds that index ahead. To be called before the
// migration's first step.
void require_free_names(const catalog::Installation &installation, chain::Revision revision);

// The index of a concurrent step, built by any session; absent for other steps.
IndexState index_state_of(const catalog::Installation &installation, const chain::Step &step);

// Throws Refusal PM009: the index of the step is on another table.
[[noreturn]] void refuse_index(const catalog::Installation &installation, const chain::Step &step);

// A step between the last one done and this one that only a later target needs, and whose index is
// invalid: an earlier call had such a target and was ended in the build.
std::optional<chain::Step> skipped_invalid_index(const catalog::Installation &installation,
                                                 const chain::Step &step,
                                                 const upgrade::UpgradePath &path);

// Drops the step's index if it is still invalid once the table is locked (SHARE UPDATE EXCLUSIVE,
// then ACCESS EXCLUSIVE, to the end of the transaction). It does not use DROP INDEX CONCURRENTLY,
// which fails if an event trigger writes. Throws errors of the server about locks. Runs inside an
// SPI connection.
void drop_invalid_index(const catalog::Installation &installation, const chain::Step &step);

// Plain for a table smaller than the setting min_concurrent_build_size: that is done within
// milliseconds, and a background worker takes longer to begin. Locks the table with ACCESS SHARE
// while it looks.
IndexMethod method_for_size(const catalog::Installation &installation, const chain::Step &step);

// The step's statement without CONCURRENTLY: it builds the index while writers wait.
std::string plain_build(const chain::Step &step);

// The session that has the advisory lock of index builds, for a message. Runs inside an SPI
// connection.
std::string holder_of_builds(const catalog::Installation &installation);

// Builds the index as role `owner` with CREATE INDEX CONCURRENTLY in a background worker, and waits
// for that without a snapshot: it commits first. Each lock wait of the build, for older
// transactions too, takes at most `lock_timeout` milliseconds. Returns the reason if a lock could
// not be had (40P01, 55P03), or if the session's role has no place for a worker left
// (max_build_workers); else nothing. If the server has no free worker, a background worker returns
// that as the reason, too; another session throws Refusal 53400: `without_worker` is the call that
// needs none, for the hint. Throws other errors of the worker.
// Runs inside an SPI connection that may commit, with the advisory lock of index builds.
std::optional<std::string> build_concurrently(const catalog::Installation &installation, Oid owner,
                                              const chain::Step &step, double lock_timeout,
                                              const std::string &without_worker,
                                              ProgressReport &progress);

} // namespace procrastinate::online
