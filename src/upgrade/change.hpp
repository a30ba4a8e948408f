// Every change to an installation: the checks and locks before its first write, in one fixed order,
// and the record of it afterwards. Upgrade, stamp, adopt, repair and the online run use it.
//
//   enter()          1  the transaction may write                     25006
//                    2  library and extension have the same version   PM008
//                    3  the caller may act as the owner, who may      42501
//                       use the schema and create in it
//                    4  advisory lock of the installation             55P03, 57014, 3F000
//   read_state()     5  lock of the history, which is the owner's     42501, PM010
//   or read_path()   6  a known revision, and a way to the target     PM001 to PM006, PM009
//                    7  no migration is under way                     PM012
//   prepare()        8  isolation level                               25001
//                    9  lock of the schema's name                     3F000
//                    10 privileges, and objects of other roles        42501
//
// All that follows enter() runs in as_owner(): as the role that owns the installation, in a
// security-restricted operation. A call that finds nothing to do ends after read_state() or
// read_path().
// After prepare() the caller checks what its own change needs, locks tables (upgrade/locks.hpp),
// writes, and ends with record_change(). Locks are held until the transaction ends.
//
// Everything here runs inside an SPI connection. Under a search_path of the server's own, except
// record_change(), which sets one.
#pragma once

#include "server/role_scope.hpp"
#include "upgrade/installation_state.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::upgrade
{

// A migration that procrastinate_migrate() has begun and not ended.
enum class Unfinished
{
    refused,  // PM012
    continued // by the online run
};

// Isolation levels at which the change is correct.
enum class Isolation
{
    any,           // it reads no rows of other sessions
    read_committed // repeatable read and serializable would miss rows that were written meanwhile
};

enum class Privileges
{
    required,
    checked_before // in an earlier transaction of the same call
};

// Throws the server's error 25006 in a read-only transaction, which on a standby each one is.
void require_writable(const char *command);

class Change
{
  public:
    // `command` is named in the server's error for a read-only transaction:
    // "procrastinate_stamp()".
    Change(const catalog::Installation &installation, const char *command,
           Unfinished unfinished = Unfinished::refused)
        : installation_(installation), command_(command), unfinished_(unfinished)
    {
    }

    // Stages 1 to 4. Waits for the lock as long as lock_timeout and statement_timeout allow, and
    // says so in a NOTICE. Throws Refusal 55000 if the owner is not that of an earlier transaction
    // of the call, or not the one for which the worker was started.
    void enter();

    // Runs `body` as the owner, found by enter(). The transaction must not end in it.
    template <typename Body> auto as_owner(Body &&body) const -> std::invoke_result_t<Body &>
    {
        return server::as_role(owner_, body);
    }
    Oid owner() const { return owner_; }

    // Stages 5 to 7, for a change that may find tables without a history.
    InstallationState read_state() const;

    // Stages 5 to 7, for a change that leads to a target. Adopts tables that have no history.
    // `resolved` is the target if it has been resolved before, in an earlier transaction of the
    // same call.
    UpgradePath read_path(std::string_view target,
                          std::optional<chain::Revision> resolved = {}) const;

    // Stages 8 to 10. The last call before the change's first write.
    void prepare(Isolation isolation, Privileges privileges = Privileges::required) const;

  private:
    const catalog::Installation &installation_;
    const char *command_;
    Unfinished unfinished_;
    Oid owner_ = InvalidOid;
};

// Records that an event which began at `started` has led from one revision to another: a row in the
// history, the row of Alembic and the rows of Django if the settings name their tables, and, if the
// revision has changed, NOTIFY procrastinate_schema. Throws Refusal 3F000 if the schema was renamed
// meanwhile: statements may then have changed another schema. 42501 if another role has created a
// function or operator meanwhile that statements may have called instead of the server's, and that
// is still there.
void record_change(const catalog::Installation &installation, std::string_view event,
                   chain::Revision from, chain::Revision to, TimestampTz started);

} // namespace procrastinate::upgrade
