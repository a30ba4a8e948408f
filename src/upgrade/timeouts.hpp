// Warnings before an upgrade that statement_timeout or transaction_timeout would end.
//
// idle_in_transaction_session_timeout ends none: a session that runs a statement is not idle.
#pragma once

#include "catalog/installation.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::upgrade
{

// How the steps of an upgrade are divided into transactions.
enum class Transactions
{
    one,
    many // one for each step, and for each batch
};

// WARNING for each of the two settings whose time may be over before the upgrade: if the estimate
// is more than half of the time that is left. Runs inside an SPI connection and under a search_path
// of the server's own. Takes ACCESS SHARE on the tables for an instant, if a setting is not 0.
void warn_of_timeouts(const catalog::Installation &installation, const UpgradePath &path,
                      Transactions transactions);

} // namespace procrastinate::upgrade
