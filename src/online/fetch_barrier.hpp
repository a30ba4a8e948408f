// The fetch barrier: while columns of procrastinate_jobs change, fetch functions return no job.
//
// A fetch function returns rows of procrastinate_jobs. If a column is added or dropped while a
// fetch waits for the table, the worker's query fails with SQLSTATE 42804. So a step installs the
// barrier: it puts PL/pgSQL around the bodies of the fetch functions
// (src/sql/fetch_barrier_body.sql). The next step closes the barrier and changes the columns:
// fetches that run finish first, new ones return NULL at once, which workers take as "no job now".
// A last step removes the barrier from the bodies.
//
// The barrier is the lock of a table, procrastinate_fetch_barrier, which exists as long as the
// bodies have the barrier: fetches hold ACCESS SHARE to the end of their transactions, the session
// that closes it holds ACCESS EXCLUSIVE across transactions. It opens if that session ends. Only
// roles that may change jobs can lock the table, and only its owner exclusively. A script for psql
// cannot hold a lock across transactions: it closes the barrier for a moment more by a row of the
// table.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "server/session_lock.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

using catalog::fetch_barrier_table;

// What PL/pgSQL stands around the body of a fetch function that has the barrier: the template
// src/sql/fetch_barrier_body.sql, split where the schema's quoted name stands, which it does twice.
struct BarrierText
{
    std::string before_lock; // then the name
    std::string before_look; // then the name
    std::string before_body; // then the function's own body
    std::string after_body;
};
BarrierText barrier_text();

// All functions from here on run inside an SPI connection and under a search_path of the server's
// own, in the caller's transaction. Installing, and removing, twice does no harm. Replacing a
// function takes no lock on a table.

// Throws Refusal 42501 if the steps that are left on the path replace a fetch function that has a
// setting (ALTER FUNCTION ... SET) which the current role may not set.
void require_barrier_settings(const catalog::Installation &installation,
                              const upgrade::UpgradePath &path);

// Both throw Refusal 42501 for such a setting, too: a superuser may have set it meanwhile. A
// function whose body is not written as Procrastinate's is left as it is, with a
// WARNING.
void install_fetch_barrier(const catalog::Installation &installation);
void remove_fetch_barrier(const catalog::Installation &installation);

// True if fetch functions have the barrier of a schema with another name, as after ALTER SCHEMA.
bool is_fetch_barrier_outdated(const catalog::Installation &installation);

// Notifies waiting workers of all queues, by the channels of the releases that work on that
// revision. Reads procrastinate_jobs (ACCESS SHARE).
void notify_workers(const catalog::Installation &installation, chain::Revision revision);

// notify_workers() for workers that found the barrier closed: they would fetch again only after
// their polling interval. Does nothing if a lock cannot be had within `lock_timeout` milliseconds.
void notify_workers_briefly(const catalog::Installation &installation, chain::Revision revision,
                            double lock_timeout);

// The barrier as this session closes and opens it. It is open when the object is destroyed.
class FetchBarrier
{
  public:
    explicit FetchBarrier(const catalog::Installation &installation);

    // Waits for running fetches as long as the setting lock_timeout says. Returns false, with the
    // barrier open, if that was too short, or if the barrier has been removed meanwhile. Runs
    // inside an SPI connection.
    bool try_close();
    bool is_closed() const { return lock_ && lock_->is_held(); }
    void open() { lock_.reset(); }

  private:
    const catalog::Installation &installation_;
    std::optional<server::SessionLock> lock_;
};

} // namespace procrastinate::online
