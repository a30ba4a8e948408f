// The changes that users ask for. Each takes the installation's lock, looks where the installation
// stands, refuses before anything is touched, and keeps the history.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/installation.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// Alembic's `upgrade`: to the target in the caller's transaction, all or nothing. From base to head
// the schema is made at once. Returns the revision reached.
chain::Revision upgrade(const catalog::Installation &installation, std::string_view target);

// Does the same, tells how long it took and what it locked, and undoes it. Returns the revision that
// it had reached.
chain::Revision rehearse(const catalog::Installation &installation, std::string_view target);

enum class Verify
{
    yes,
    no
};

// Alembic's `stamp`: records a revision without running anything. Returns it.
chain::Revision stamp(const catalog::Installation &installation, std::string_view target,
                      Verify verify);

// Records the revision that the catalog shows, and refuses (PM009) where it shows none exactly.
// Returns it.
chain::Revision adopt(const catalog::Installation &installation);

// A difference between an installation and its revision, and the statement that mends it.
struct Repair
{
    catalog::Difference difference;
    std::string statement;
};

enum class Run
{
    yes,
    no
};

// What can be mended, in the order in which it is; with Run::yes it has been. The revision is that
// of the history, without one the nearest.
std::vector<Repair> repair(const catalog::Installation &installation, Run run);

// Alembic's `downgrade`: always refused.
[[noreturn]] void downgrade();

} // namespace procrastinate::upgrade
