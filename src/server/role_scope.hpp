// Runs a piece of work as another role, as the server's own REINDEX and REFRESH MATERIALIZED VIEW
// do: as the owner, in a security-restricted operation.
//
// In such an operation the server refuses SET ROLE, SET SESSION AUTHORIZATION, temporary tables,
// cursors WITH HOLD and deferred triggers. as_role() also restores the settings that code has
// changed, and refuses what else would outlive it:
//
//   types in the session's temporary schema, which would be found before the server's own (newer
//       minor releases of the server refuse them, too)
//   cursors: a commit in a procedure runs the query of a cursor that a language has pinned, as the
//       caller
//
// The caller's own cursors count as active meanwhile: the server runs and closes none that is. A
// FETCH would run their query as the caller sees it, and give its rows to the owner.
//
// So code that the owner has planted in the objects runs with the owner's rights only.
#pragma once

#include "server/setting_scope.hpp"

#include <set>
#include <string>
#include <vector>

namespace procrastinate::server
{

// The role changes with the object's lifetime. On error the end of the (sub)transaction restores
// the role as well. A transaction must not end in between: the next one would go on as the role
// with which it begins.
class RoleScope
{
  public:
    explicit RoleScope(Oid role)
    {
        GetUserIdAndSecContext(&role_before_, &context_before_);
        SetUserIdAndSecContext(role, context_before_ | SECURITY_RESTRICTED_OPERATION);
    }
    RoleScope(const RoleScope &) = delete;
    RoleScope &operator=(const RoleScope &) = delete;
    ~RoleScope() { SetUserIdAndSecContext(role_before_, context_before_); }

  private:
    Oid role_before_ = InvalidOid;
    int context_before_ = 0;
};

// The objects in the session's temporary schema and its cursors, as they are when the object is
// made. Until it is destroyed, no code can use or close the cursors. Inside an SPI connection.
class SessionObjects
{
  public:
    SessionObjects();
    SessionObjects(const SessionObjects &) = delete;
    SessionObjects &operator=(const SessionObjects &) = delete;
    ~SessionObjects();

    // Throws Refusal PM010 if there are others now.
    void require_unchanged(Oid role) const;

  private:
    std::set<std::string> texts_; // each with what identifies it
    std::vector<Portal> blocked_;
};

// Adds a HINT to the error if it is the server's refusal to defer a trigger in a
// security-restricted operation.
void hint_at_deferred_trigger(ServerError &error, Oid role);

template <typename Body>
auto with_deferred_trigger_hint(Oid role, Body &&body) -> std::invoke_result_t<Body &>
{
    try
    {
        return body();
    }
    catch (ServerError &error)
    {
        hint_at_deferred_trigger(error, role);
        throw;
    }
}

// Runs `body` as the role, inside an SPI connection. Throws Refusal PM010 if code that it ran has
// changed temporary objects or cursors of the session.
template <typename Body> auto as_role(Oid role, Body &&body) -> std::invoke_result_t<Body &>
{
    const SessionObjects before;
    const auto run = [&] {
        return restoring_settings([&] {
            const RoleScope scope(role);
            return with_deferred_trigger_hint(role, body);
        });
    };
    return run_and_close(run, [&] { before.require_unchanged(role); });
}

} // namespace procrastinate::server
