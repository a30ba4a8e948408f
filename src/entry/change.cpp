// Functions that change an installation in one transaction: procrastinate_upgrade, _stamp, _adopt,
// _repair, _downgrade.
#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "entry/schema_argument.hpp"
#include "entry/target_argument.hpp"
#include "server/arguments.hpp"
#include "server/rows.hpp"
#include "upgrade/upgrade.hpp"

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
namespace upgrade = procrastinate::upgrade;
namespace server = procrastinate::server;
using procrastinate::common::quoted_literal;
using procrastinate::entry::schema_argument;
using procrastinate::entry::target_argument;

// A call for hints, whose last argument is the schema: `select` is "SELECT " or "SELECT * FROM ",
// `arguments` the SQL of the others, with a comma after each.
catalog::CallText call_text(std::string_view select, std::string_view function,
                            const std::string &arguments)
{
    return [select, function, arguments](const std::string &quoted_schema) {
        return std::string(select) + procrastinate::common::own_function(function) + "(" +
               arguments + "schema => " + quoted_schema + ");";
    };
}

} // namespace

// (target text, schema, dry_run boolean) → the revision reached
ENTRY_POINT(procrastinate_upgrade)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const bool dry_run = arguments.required_boolean(2, "dry_run");
    const catalog::Installation installation = catalog::locate_to_change(
        schema_argument(arguments, 1),
        call_text("SELECT ", "procrastinate_upgrade",
                  quoted_literal(target) + (dry_run ? ", dry_run => true, " : ", ")));
    return server::text_result(chain::name(dry_run ? upgrade::dry_run(installation, target)
                                                   : upgrade::upgrade(installation, target)));
}

// (revision text, verify boolean, schema) → the revision recorded
ENTRY_POINT(procrastinate_stamp)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view revision = target_argument(arguments, 0, "revision");
    const bool verify = arguments.required_boolean(1, "verify");
    const catalog::Installation installation = catalog::locate_to_change(
        schema_argument(arguments, 2),
        call_text("SELECT ", "procrastinate_stamp",
                  quoted_literal(revision) + (verify ? ", " : ", verify => false, ")));
    return server::text_result(chain::name(upgrade::stamp(
        installation, revision, verify ? upgrade::Verify::yes : upgrade::Verify::no)));
}

// (schema, copy boolean) → the revision recorded
ENTRY_POINT(procrastinate_adopt)
{
    const server::Arguments arguments(fcinfo);
    const bool is_copy = arguments.required_boolean(1, "copy");
    const catalog::Installation installation = catalog::locate_to_change(
        schema_argument(arguments, 0),
        call_text("SELECT ", "procrastinate_adopt", is_copy ? "copy => true, " : ""));
    return server::text_result(chain::name(upgrade::adopt(
        installation, is_copy ? upgrade::Evidence::copied_history : upgrade::Evidence::catalog)));
}

// (revision text, schema, dry_run boolean) → kind, object, problem, repair, error; in
// the order in which the repairs run
ENTRY_POINT(procrastinate_repair)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view revision = target_argument(arguments, 0, "revision");
    const bool dry_run = arguments.required_boolean(2, "dry_run");
    const catalog::Installation installation =
        dry_run ? catalog::locate(schema_argument(arguments, 1))
                : catalog::locate_to_change(
                      schema_argument(arguments, 1),
                      call_text("SELECT * FROM ", "procrastinate_repair",
                                quoted_literal(revision) + ", dry_run => false, "));
    server::RowSet rows(fcinfo);
    for (const upgrade::Repair &repair :
         upgrade::repair(installation, revision, dry_run ? upgrade::Run::no : upgrade::Run::yes))
        rows.add(server::Row()
                     .text(chain::kind_name(repair.difference.kind))
                     .text(repair.difference.object)
                     .text(catalog::name_of(repair.difference.problem))
                     .text_or_null(repair.statement)
                     .text_or_null(repair.error));
    return server::RowSet::result();
}

// (target text, schema): never returns
ENTRY_POINT(procrastinate_downgrade) { upgrade::downgrade(); }
