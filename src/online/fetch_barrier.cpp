#include "online/fetch_barrier.hpp"

#include "common/findings.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "online/channels.hpp"
#include "online/lock_timeout_scope.hpp"
#include "server/current_role.hpp"
#include "server/messages.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "sql/create_fetch_barrier.hpp"
#include "sql/drop_fetch_barrier.hpp"
#include "sql/fetch_barrier_body.hpp"
#include "sql/fetch_barrier_grant.hpp"
#include "sql/fetch_functions.hpp"
#include "sql/notify_workers.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/sql_text.hpp"
#include "upgrade/step_estimate.hpp"

#include <vector>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;

} // namespace

BarrierText barrier_text()
{
    constexpr std::string_view mark = "\001"; // not in the template, which is printable
    // A body begins in the line after its opening quotes.
    std::string text =
        "\n" + common::substitute(sql::fetch_barrier_body, {{"schema", mark}, {"body", mark}});
    const auto take_part = [&text, mark] {
        const std::size_t end = text.find(mark);
        std::string part = text.substr(0, end);
        text.erase(0, end + 1);
        return part;
    };
    BarrierText barrier{take_part(), take_part(), take_part(), {}};
    barrier.after_body = text;
    return barrier;
}

namespace
{

// What stands before the function's own body. `schema`: its name, quoted.
std::string opening_of(const BarrierText &barrier, std::string_view schema)
{
    return barrier.before_lock + std::string(schema) + barrier.before_look + std::string(schema) +
           barrier.before_body;
}

// The function's own body; the whole if it has no barrier. The barrier may name the schema as it
// was called before.
std::string_view body_without_barrier(const BarrierText &barrier, std::string_view body)
{
    if (!body.starts_with(barrier.before_lock) || !body.ends_with(barrier.after_body))
        return body;
    const std::string_view from_schema = body.substr(barrier.before_lock.size());
    const std::string opening =
        opening_of(barrier, from_schema.substr(0, from_schema.find(barrier.before_look)));
    if (!body.starts_with(opening))
        return body;
    body.remove_prefix(opening.size());
    body.remove_suffix(barrier.after_body.size());
    return body;
}

// True if the body can stand within another block: it ends with its END, and has no #option, which
// only the outermost block may have.
bool is_block(std::string_view body)
{
    const std::size_t first = upgrade::leading_blank(body);
    const std::size_t last = body.find_last_not_of(" \t\r\n");
    if (first == body.size() || body[first] == '#' || last < first)
        return false;
    std::string_view text = body.substr(first, last - first + 1);
    constexpr std::string_view end = "END;";
    return text.size() > end.size() &&
           std::equal(end.begin(), end.end(), text.end() - end.size(), [](char left, char right) {
               return left == (right & ~0x20) || left == right;
           });
}

struct FetchFunction
{
    std::string definition;
    std::string body;
    std::string signature;
    std::string name;
    std::string fixed_settings; // that the current role may not set; empty if there are none
    std::string resets;         // the statements that reset them
};

constinit spi::PlannedQuery fetch_functions_query{[] {
    return common::substitute(
        sql::fetch_functions,
        {{"is_settable", upgrade::is_settable_sql("v.name", upgrade::RunBy::library)}});
}};

std::vector<FetchFunction> fetch_functions(const Installation &installation)
{
    std::vector<FetchFunction> found;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(fetch_functions_query, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const auto text = [&rows, row](int column) {
            return std::string(rows.text(row, column).value_or(""));
        };
        found.push_back({text(1), text(2), text(3), text(4), text(5), text(6)});
    }
    return found;
}

// CREATE OR REPLACE gives a function its settings again. Without the privilege it would fail.
void require_settable(const Installation &installation, std::span<const FetchFunction> functions)
{
    common::Findings findings;
    std::string hint = "As a superuser:";
    for (const FetchFunction &function : functions)
        if (!function.fixed_settings.empty())
        {
            findings.add("Function " + function.signature + " sets " + function.fixed_settings +
                         ", which role \"" + server::current_role() + "\" may not set");
            hint += "\n" + function.resets;
        }
    if (findings.any())
        throw common::Refusal{common::sqlstate::insufficient_privilege,
                              "cannot replace the fetch functions of " +
                                  catalog::in_schema(installation),
                              findings.text(), hint};
}

// True if a migration up to `last` drops the function, or replaces it, which resets its settings.
bool is_replaced(const FetchFunction &function, chain::Revision current, chain::Revision last)
{
    const std::string words = "FUNCTION " + function.name + "(";
    for (chain::Revision revision = current + 1; revision <= last; ++revision)
        if (chain::migration(revision).sql.find(words) != std::string_view::npos)
            return true;
    return false;
}

// pg_get_functiondef() ends with AS, a dollar quote, the body, and the same dollar quote. The new
// body is written as a string literal: it contains the schema's name, in which any dollar quote may
// occur.
void replace_body(const Installation &installation, const FetchFunction &function,
                  const std::string &body)
{
    require_settable(installation, {&function, 1});
    const std::string &definition = function.definition;
    const std::size_t quote = definition.rfind("AS $", definition.rfind(function.body));
    const std::string statement =
        definition.substr(0, quote) + "AS " + common::quoted_literal(body);
    spi::execute(statement.c_str());
}

// False if something else has its name: that is not to be dropped at the end.
bool has_table(const Installation &installation)
{
    const Oid schema = installation.schema;
    return server::call([schema] {
        const Oid table = get_relname_relid(fetch_barrier_table, schema);
        return get_rel_relkind(table) == RELKIND_RELATION &&
               get_attnum(table, "closed_until") != InvalidAttrNumber;
    });
}

// The roles that may fetch jobs may lock the table.
void create_table(const Installation &installation)
{
    if (has_table(installation))
        upgrade::require_no_foreign_objects(installation);
    else
        spi::execute(
            common::substitute(sql::create_fetch_barrier, {{"schema", installation.quoted}})
                .c_str());
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::fetch_barrier_grant, parameters);
    if (const std::optional<std::string_view> grants = rows.text(0, 1))
        spi::execute(std::string(*grants).c_str());
}

} // namespace

void require_barrier_settings(const Installation &installation, const upgrade::UpgradePath &path)
{
    const std::vector<chain::Step> steps = upgrade::steps_of(path);
    const auto first = std::find_if(steps.begin(), steps.end(), [](const chain::Step &step) {
        return step.barrier != chain::Step::none;
    });
    if (first == steps.end())
        return;
    std::vector<FetchFunction> functions = fetch_functions(installation);
    std::erase_if(functions, [&](const FetchFunction &function) {
        return !is_block(function.body) || is_replaced(function, path.current, first->revision - 1);
    });
    require_settable(installation, functions);
}

void install_fetch_barrier(const Installation &installation)
{
    create_table(installation);
    const BarrierText barrier = barrier_text();
    const std::string opening = opening_of(barrier, installation.quoted);
    for (const FetchFunction &function : fetch_functions(installation))
    {
        if (function.body.starts_with(opening))
            continue;
        if (is_block(function.body))
            replace_body(installation, function,
                         opening + std::string(body_without_barrier(barrier, function.body)) +
                             barrier.after_body);
        else
            server::warning("function " + function.signature + " is not one of Procrastinate's",
                            "The fetch barrier cannot be installed in it: a call that runs while "
                            "columns change may fail with SQLSTATE 42804.",
                            {});
    }
}

bool is_fetch_barrier_outdated(const Installation &installation)
{
    const BarrierText barrier = barrier_text();
    const std::string opening = opening_of(barrier, installation.quoted);
    const std::vector<FetchFunction> functions = fetch_functions(installation);
    return std::any_of(functions.begin(), functions.end(), [&](const FetchFunction &function) {
        return !function.body.starts_with(opening) &&
               body_without_barrier(barrier, function.body) != function.body;
    });
}

void remove_fetch_barrier(const Installation &installation)
{
    const BarrierText barrier = barrier_text();
    for (const FetchFunction &function : fetch_functions(installation))
        if (const std::string_view body = body_without_barrier(barrier, function.body);
            body != function.body)
            replace_body(installation, function, std::string(body));
    if (has_table(installation))
        spi::execute(
            common::substitute(sql::drop_fetch_barrier, {{"schema", installation.quoted}}).c_str());
}

void notify_workers(const Installation &installation, chain::Revision revision)
{
    const std::string statement =
        common::substitute(sql::notify_workers, {{"schema", installation.quoted}});
    const auto notify = [&statement](const std::string &channel, std::string_view payload) {
        const std::array parameters{spi::text_parameter("procrastinate_queue" + channel),
                                    spi::text_parameter("procrastinate_any_queue" + channel),
                                    spi::text_parameter(payload)};
        spi::execute(statement.c_str(), parameters);
    };
    server::set("row_security", "on"); // jobs that a policy hides are left out, without an error
    if (revision < end_of_old_channels)
        notify("", "procrastinate_migrate");
    if (revision >= first_of_new_channels)
        notify("_v1", R"({"type": "job_inserted", "job_id": 0})");
}

void notify_workers_briefly(const Installation &installation, chain::Revision revision,
                            double lock_timeout)
{
    (void)server::attempt([&] {
        with_lock_timeout(lock_timeout, [&] {
            server::with_search_path(nullptr, [&] {
                upgrade::lock_to_read_jobs(installation);
                notify_workers(installation, revision);
            });
        });
    });
}

FetchBarrier::FetchBarrier(const Installation &installation) : installation_(installation) {}

bool FetchBarrier::try_close()
{
    const Oid schema = installation_.schema;
    const auto find_table = [schema] {
        return server::call([schema] {
            AcceptInvalidationMessages(); // waiting for the bare lock does not process them
            return get_relname_relid(fetch_barrier_table, schema);
        });
    };
    const Oid table = find_table();
    if (!OidIsValid(table))
        return false;
    lock_.emplace(server::relation_lock_tag(table), AccessExclusiveLock);
    if (!server::attempt([this] { lock_->acquire(); }))
        return false;
    // Another call may have ended the step and dropped the table meanwhile.
    if (find_table() == table)
        return true;
    open();
    return false;
}

} // namespace procrastinate::online
