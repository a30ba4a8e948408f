#include "migrate/preflight.hpp"

#include "catalog/contents.hpp"
#include "chain/refusal.hpp"
#include "migrate/history_sql.hpp"
#include "server/spi.hpp"

namespace procrastinate::migrate
{

namespace
{

namespace spi = server::spi;
using chain::Refusal;
namespace sqlstate = chain::sqlstate;

std::string caller()
{
    return server::call([] { return GetUserNameFromId(GetUserId(), false); });
}

// An index, a column, a trigger … belongs to whoever owns its table.
bool has_owner(const catalog::Object &object)
{
    constexpr std::array kinds{"table", "relation", "function", "enum", "composite"};
    return std::find(kinds.begin(), kinds.end(), object.kind) != kinds.end();
}

std::string described(const catalog::Object &object)
{
    return std::string(object.kind) + " " + std::string(object.name) + " belongs to role " +
           std::string(object.owner);
}

// A few lines of DETAIL out of many.
class Findings
{
  public:
    void add(const std::string &finding)
    {
        constexpr int shown = 5;
        if (++count_ <= shown)
            text_.append(text_.empty() ? "" : "\n").append(finding).append(".");
        else
            rest_ = "\nAnd " + std::to_string(count_ - shown) + " more.";
    }
    bool any() const { return count_ > 0; }
    std::string text() const { return text_ + rest_; }

  private:
    int count_ = 0;
    std::string text_;
    std::string rest_;
};

void require_rights(const catalog::Installation &installation,
                    std::span<const catalog::Object> objects)
{
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rights =
        spi::read_latest("SELECT has_schema_privilege($1, 'CREATE'), "
                         "has_schema_privilege($1, 'USAGE'), "
                         "coalesce((SELECT has_language_privilege(oid, 'USAGE') "
                         "FROM pg_language WHERE lanname = 'plpgsql'), false)",
                         parameters);
    const std::string role = caller();
    Findings findings;
    std::string hint;
    for (const auto &[column, privilege] : {std::pair(1, "CREATE"), std::pair(2, "USAGE")})
        if (!rights.boolean(0, column))
        {
            findings.add(std::string(privilege) + " on schema " + installation.quoted +
                         " is missing");
            hint = std::string("GRANT CREATE, USAGE ON SCHEMA ") + installation.quoted + " TO " +
                   server::call([&role] { return quote_identifier(role.c_str()); }) + ";";
        }
    if (!rights.boolean(0, 3))
        findings.add("USAGE on language plpgsql is missing");
    for (const catalog::Object &object : objects)
        if (has_owner(object) && !object.is_usable)
        {
            findings.add(described(object));
            hint =
                "Run it as " + std::string(object.owner) + ", or as a role that is a member of it.";
        }
    if (findings.any())
        throw Refusal{sqlstate::insufficient_privilege,
                      "role \"" + role + "\" may not change the installation in schema \"" +
                          std::string(installation.name) + "\"",
                      findings.text(), hint};
}

// A superuser would run triggers, defaults and policies of the owner with his own rights, and what
// he makes would not be the owner's.
void require_trust(const catalog::Installation &installation,
                   std::span<const catalog::Object> objects)
{
    Findings findings;
    std::string owner;
    for (const catalog::Object &object : objects)
        if (has_owner(object) && !object.is_trusted)
        {
            findings.add(described(object));
            owner = object.owner;
        }
    if (findings.any())
        throw Refusal{
            sqlstate::untrusted_object,
            "superuser \"" + caller() +
                "\" will not change another role's installation in schema \"" +
                std::string(installation.name) + "\"",
            findings.text() +
                "\nCode of its owner would run with a superuser's rights, and new objects would "
                "not be the owner's.",
            "If you trust that owner, become it first: SET ROLE " +
                std::string(server::call([&owner] { return quote_identifier(owner.c_str()); })) +
                ";"};
}

void require_free_names(const catalog::Installation &installation,
                        std::span<const catalog::Object> objects)
{
    Findings findings;
    for (const catalog::Object &object : objects)
        if (has_owner(object) && object.name != catalog::history_table)
            findings.add("There is " + std::string(object.kind) + " " + std::string(object.name));
    if (findings.any())
        throw Refusal{
            sqlstate::no_history,
            "schema \"" + std::string(installation.name) +
                "\" holds Procrastinate's objects, but its history says base",
            findings.text(),
            "Record the revision that the schema is at, for example that of release 2.15.1: "
            "SELECT procrastinate_stamp('2.15.1', schema => " +
                std::string(installation.quoted_text) + ");"};
}

} // namespace

void require_changeable(const char *command)
{
    server::call([command] { PreventCommandIfReadOnly(command); });
    const spi::Rows rows = spi::read_latest("SELECT extversion FROM pg_catalog.pg_extension WHERE "
                                            "extname::text = 'procrastinate_migrate'");
    const std::string installed(rows.count() == 1 ? rows.text(0, 1).value_or("") : "");
    if (installed == library_version)
        return;
    throw Refusal{sqlstate::version_mismatch,
                  "library procrastinate_migrate is version " + std::string(library_version) +
                      ", but the extension in this database is " +
                      (installed.empty() ? "not installed" : "version " + installed),
                  "Nothing is changed while the two differ.",
                  "If the extension was updated just now, start a new session; else run "
                  "ALTER EXTENSION procrastinate_migrate UPDATE;"};
}

void require_fit(const catalog::Installation &installation, chain::Revision current)
{
    server::ContextResource memory;
    const server::pmr::vector<catalog::Object> contents = catalog::contents(installation, memory);
    const std::span<const catalog::Object> objects = server::span_of(contents);
    require_rights(installation, objects);
    require_trust(installation, objects);
    if (current == chain::base)
        require_free_names(installation, objects);
    else if (!catalog::has_relation(installation, "procrastinate_jobs"))
        throw Refusal{sqlstate::catalog_contradicts,
                      "schema \"" + std::string(installation.name) +
                          "\" has no table procrastinate_jobs, but its "
                          "history says " +
                          std::string(chain::name(current)),
                      "Procrastinate's objects were dropped or moved, and the history was left.",
                      "To start over, drop the history: DROP TABLE " +
                          std::string(installation.quoted) + "." + catalog::history_table + ";"};
}

void require_stampable(const catalog::Installation &installation, chain::Revision revision,
                       bool verify)
{
    server::ContextResource memory;
    const server::pmr::vector<catalog::Object> contents = catalog::contents(installation, memory);
    const std::span<const catalog::Object> objects = server::span_of(contents);
    require_rights(installation, objects);
    require_trust(installation, objects);
    const std::string difference = verify ? catalog::difference(objects, revision) : std::string();
    if (difference.empty())
        return;
    const std::string wanted(chain::name(revision));
    throw Refusal{
        sqlstate::catalog_contradicts,
        "schema \"" + std::string(installation.name) + "\" is not at " + wanted, difference,
        "To record it all the same: SELECT procrastinate_stamp('" + wanted +
            "', verify => false, schema => " + std::string(installation.quoted_text) + ");"};
}

void require_current_rows(chain::Revision current)
{
    if (current == chain::base || !IsolationUsesXactSnapshot())
        return;
    throw Refusal{sqlstate::active_transaction,
                  "a migration cannot run at isolation level repeatable read or serializable",
                  "It would not see the jobs that others wrote since the transaction began, and "
                  "leave them as they are.",
                  "SET default_transaction_isolation TO 'read committed';  or  BEGIN ISOLATION "
                  "LEVEL READ COMMITTED;"};
}

} // namespace procrastinate::migrate
