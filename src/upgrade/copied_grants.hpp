// Privileges and settings of an installation's objects that are carried along by a change: from
// objects that it drops or replaces, and from the jobs table, to those that it creates.
#pragma once

#include "catalog/installation.hpp"

#include <string>

namespace procrastinate::upgrade
{

enum class Copied
{
    grants,             // the change resets settings of functions that it wants to be reset
    grants_and_settings // no function that the change replaces loses a setting
};

// Reads privileges and settings before a change and gives them to the new objects after it, in the
// same transaction. Inside an SPI connection, as the owner of the installation. Does nothing if
// procrastinate_migrate.copy_grants is off.
class CopiedGrants
{
  public:
    explicit CopiedGrants(const catalog::Installation &installation,
                          Copied copied = Copied::grants_and_settings);

    // Runs GRANT, REVOKE and ALTER FUNCTION ... SET. WARNING for a setting of a function that only
    // a superuser can set.
    void copy() const;

  private:
    const catalog::Installation &installation_;
    std::string before_; // empty: nothing is to copy
};

// Who runs a query: a script for psql may run on a server before 15, which has no privileges on
// settings; there a superuser may set all.
enum class RunBy
{
    library,
    script
};

// The query that CopiedGrants runs before a change, and the one it runs after it, over expressions:
// OID of the schema, text[] of names, whether settings are copied, and the first one's result.
std::string remembered_grants_sql(std::string_view schema, std::string_view names,
                                  std::string_view with_settings);
std::string copied_grants_sql(std::string_view schema, std::string_view names,
                              std::string_view before, RunBy run_by);

// The query is_settable.sql over an expression: the name of a setting.
std::string is_settable_sql(std::string_view name, RunBy run_by);

} // namespace procrastinate::upgrade
