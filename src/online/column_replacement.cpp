#include "online/column_replacement.hpp"

#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "sql/column_replacement.hpp"
#include "sql/plan_of_event_update.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

std::string hint_of(const catalog::Installation &installation, const upgrade::UpgradePath &path)
{
    std::string hint = "Drop or validate these objects, and create them again when the schema is "
                       "at 0024.";
    if (!path.under_way)
        hint += " Or stop the workers while the table is rewritten: SELECT " +
                common::own_function("procrastinate_upgrade") + "('0024', schema => " +
                installation.quoted_text + ");";
    return hint;
}

// The reason why the server refuses to update events, or empty. A publication can be one: by its
// column list, or by its WHERE.
std::string update_refusal(const catalog::Installation &installation)
{
    const std::string statement =
        common::substitute(sql::plan_of_event_update, {{"schema", installation.quoted}});
    try
    {
        server::undone([&statement] { return spi::execute(statement.c_str()); });
        return {};
    }
    catch (const server::ServerError &error)
    {
        const ErrorData &data = *error.data();
        if (data.sqlerrcode != ERRCODE_INVALID_COLUMN_REFERENCE &&
            data.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
            throw;
        const std::string detail = data.detail == nullptr ? "" : ": " + std::string(data.detail);
        return data.message + detail.substr(0, detail.find_last_not_of('.') + 1);
    }
}

} // namespace

void require_replaceable(const catalog::Installation &installation,
                         const upgrade::UpgradePath &path)
{
    if (path.current >= replaces_column || path.target < replaces_column)
        return;
    const int done =
        path.under_way && path.current + 1 == replaces_column ? path.under_way->number : 0;
    const std::vector<chain::Step> steps = chain::steps(replaces_column);
    const bool are_batches_to_come =
        std::any_of(steps.begin(), steps.end(), [done](const chain::Step &step) {
            return step.kind == chain::StepKind::batched && step.number > done;
        });
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::boolean_parameter(are_batches_to_come),
                                spi::boolean_parameter(done == 0)};
    const spi::Rows rows = spi::read_latest(sql::column_replacement, parameters);
    common::Findings findings;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        if (const auto text = rows.text(row, 1))
            findings.add(common::capitalized(std::string(*text)));
    if (are_batches_to_come)
        if (const std::string why = update_refusal(installation); !why.empty())
            findings.add(common::capitalized(why));
    if (findings.any())
        throw common::Refusal{
            common::sqlstate::catalog_contradicts,
            "cannot replace column procrastinate_events.job_id while clients work", findings.text(),
            hint_of(installation, path)};
}

} // namespace procrastinate::online
