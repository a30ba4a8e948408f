// Changes to an installation in the caller's transaction: upgrade, stamp, adopt, repair, and the
// refusal to downgrade. upgrade/change.hpp says which checks and locks come first.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::upgrade
{

// Upgrades to the target, as Alembic's `upgrade`. From base to head it creates the schema of head
// directly. Returns the revision reached, or the current one if the target has been passed. Throws
// Refusal PM001, PM002, PM006 to PM010, PM012, 22023, 25001, 25006, 3F000, 42501, 55P03, 55000 if
// the history's row was not recorded, and the errors of the migrations' SQL. Takes ACCESS EXCLUSIVE
// on the jobs table if more than one migration is run or rows are changed, and the locks of the
// migrations.
chain::Revision upgrade(const catalog::Installation &installation, std::string_view target);

// The NOTICE before install_directly().
void tell_of_installation();

// Creates the schema of head on a path that is_direct(), and records that. The checks and locks of
// upgrade() come first. Runs inside an SPI connection, as the owner, under a search_path of the
// installation's schema.
void install_directly(const catalog::Installation &installation, const UpgradePath &path);

// Upgrades as above, reports the time taken and the locks held, and rolls the upgrade back. Returns
// the revision that it had reached.
chain::Revision dry_run(const catalog::Installation &installation, std::string_view target);

// Whether a stamp requires that the schema matches the revision.
enum class Verify
{
    yes,
    no
};

// Records a revision without running a migration, as Alembic's `stamp`. Returns it. Throws Refusal
// PM009 if the schema does not match the revision and Verify::yes is given.
chain::Revision stamp(const catalog::Installation &installation, std::string_view target,
                      Verify verify);

// What tells a revision that this database has not recorded.
enum class Evidence
{
    catalog,
    copied_history // the rows of another database, of which this one is a copy
};

// Records the revision that the catalog matches, unless it is recorded already. Returns it; base
// where nothing is installed. Throws Refusal PM009 if the catalog matches none exactly. With
// Evidence::copied_history and no row of this database, records what the last row of the other one
// says: its revision, also the step of a migration that was under way there. Throws Refusal PM006
// if this version does not know it.
chain::Revision adopt(const catalog::Installation &installation, Evidence evidence);

// A difference between an installation and its revision, and the statement that removes it.
struct Repair
{
    catalog::Difference difference;
    std::string statement;
    std::string error; // empty if it has not been run, or has not failed
};

enum class Run
{
    yes,
    no
};

// The differences from a revision that a statement can remove, in the order in which the statements
// run; with Run::yes they have been run, each in a subtransaction, with a WARNING for each that
// failed. The target "current" means the recorded revision, or without a history the nearest one.
// Throws Refusal PM009 if others are as near, or if the target is not the current revision or a
// later one that it can complete (completion.hpp), which is recorded if no statement has failed. To
// base these are the DROPs of drops_to_base(), which are only listed: Refusal 0A000 for Run::yes.
std::vector<Repair> repair(const catalog::Installation &installation, std::string_view target,
                           Run run);

// Alembic's `downgrade`. Always throws Refusal 0A000.
[[noreturn]] void downgrade();

} // namespace procrastinate::upgrade
