// Functions that change an installation in one transaction: procrastinate_upgrade, _stamp, _adopt,
// _repair, _downgrade.
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
using procrastinate::entry::schema_argument;
using procrastinate::entry::target_argument;

} // namespace

// (target text, schema, dry_run boolean) → the revision reached
ENTRY_POINT(procrastinate_upgrade)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const bool dry_run = arguments.required_boolean(2, "dry_run");
    const catalog::Installation installation =
        catalog::locate_to_change(schema_argument(arguments, 1));
    return server::text_result(chain::name(dry_run ? upgrade::dry_run(installation, target)
                                                   : upgrade::upgrade(installation, target)));
}

// (revision text, verify boolean, schema) → the revision recorded
ENTRY_POINT(procrastinate_stamp)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view revision = target_argument(arguments, 0, "revision");
    const bool verify = arguments.required_boolean(1, "verify");
    return server::text_result(
        chain::name(upgrade::stamp(catalog::locate_to_change(schema_argument(arguments, 2)),
                                   revision, verify ? upgrade::Verify::yes : upgrade::Verify::no)));
}

// (schema, copy boolean) → the revision recorded
ENTRY_POINT(procrastinate_adopt)
{
    const server::Arguments arguments(fcinfo);
    const bool is_copy = arguments.required_boolean(1, "copy");
    return server::text_result(chain::name(
        upgrade::adopt(catalog::locate_to_change(schema_argument(arguments, 0)),
                       is_copy ? upgrade::Evidence::copied_history : upgrade::Evidence::catalog)));
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
                : catalog::locate_to_change(schema_argument(arguments, 1));
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
