// Runs a piece of work as another role, as the server's own REINDEX and REFRESH MATERIALIZED VIEW
// do: as the owner, in a security-restricted operation.
//
// In such an operation the server refuses SET ROLE, SET SESSION AUTHORIZATION, temporary tables,
// cursors WITH HOLD and deferred triggers. as_role() also restores the settings that code has
// changed, and refuses new types in the session's temporary schema, which would be found before the
// server's own; newer minor releases of the server refuse them, too. So code that the owner has
// planted in the objects runs with the owner's rights only, and leaves no role, setting or type
// behind in the session.
#pragma once

#include "server/setting_scope.hpp"

#include <set>
#include <string>

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

// The objects in the session's temporary schema, each as class, OID and name.
std::set<std::string> temporary_objects();

// Throws Refusal PM010 if there are others now than `before`.
void require_temporary_objects(const std::set<std::string> &before, Oid role);

// Runs `body` as the role. Throws Refusal PM010 if code that it ran has left a temporary type.
template <typename Body> auto as_role(Oid role, Body &&body) -> std::invoke_result_t<Body &>
{
    const int level = open_settings();
    const std::set<std::string> before = temporary_objects();
    const auto end = [&] {
        close_settings(level);
        require_temporary_objects(before, role);
    };
    const auto run = [&] {
        const RoleScope scope(role);
        return body();
    };
    if constexpr (std::is_void_v<std::invoke_result_t<Body &>>)
    {
        run();
        end();
    }
    else
    {
        auto result = run();
        end();
        return result;
    }
}

} // namespace procrastinate::server
