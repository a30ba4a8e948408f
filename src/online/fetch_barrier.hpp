// A barrier in front of the fetch functions. They return rows of procrastinate_jobs, and a worker that is on
// its way through one while a column comes or goes would be told 42804. So they learn to look for the barrier
// (hang), which is shut while the columns change: who comes then gets no job, at once and without waiting
// for the table; who was inside is let out first. Afterwards they forget it (unhang).
//
// The barrier is an advisory lock: fetches share it to the end of their transactions, who shuts it has it
// alone. It opens by itself where the one who shut it is gone.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "server/session_lock.hpp"

namespace procrastinate::online
{

// Idempotent; in the transaction at hand. Functions that are not written as Procrastinate's are, are left
// as they are, and told of in a warning.
void install_fetch_barrier(const catalog::Installation &installation);
void remove_fetch_barrier(const catalog::Installation &installation);

// Hangs it again where functions look for that of a schema with another OID, as after a dump between two
// steps. False where there is nothing to mend.
bool reinstall_fetch_barrier(const catalog::Installation &installation);

// Notifies workers of all queues that wait, as the triggers at that revision do.
void notify_workers(const catalog::Installation &installation, chain::Revision revision);

// The same for those who came to the barrier in vain: they would look for jobs again only after a while. Not where
// that would have to wait for a lock.
void notify_turned_away_workers(const catalog::Installation &installation, chain::Revision revision,
                                double lock_timeout);

// Shut from try_close() on, until it is destroyed.
class FetchBarrier
{
  public:
    explicit FetchBarrier(const catalog::Installation &installation);

    // Waits for those inside, for as long as lock_timeout says: false where that is too short.
    bool try_close();
    bool is_closed() const { return lock_.is_held(); }
    void open() { lock_.release(); }

  private:
    server::SessionLock lock_;
};

} // namespace procrastinate::online
