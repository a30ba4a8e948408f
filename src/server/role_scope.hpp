// Runs a piece of work as another role, as the server's own REINDEX and REFRESH MATERIALIZED VIEW
// do: as the owner, in a security-restricted operation.
//
// In such an operation the server refuses SET ROLE, SET SESSION AUTHORIZATION, temporary tables,
// cursors WITH HOLD and deferred triggers. So code that the owner has planted in the objects runs
// with the owner's rights only, and leaves nothing behind in the session.
#pragma once

#include "server/error_boundary.hpp"

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

// Runs `body` as the role.
template <typename Body> auto as_role(Oid role, Body &&body) -> std::invoke_result_t<Body &>
{
    const RoleScope scope(role);
    return body();
}

} // namespace procrastinate::server
