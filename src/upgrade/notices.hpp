// NOTICEs about the progress of an upgrade, and the words for revisions and migrations that
// messages share.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

#include <string>

namespace procrastinate::upgrade
{

// "0038 (head)", or "0037"
std::string display_name(chain::Revision revision);

// "migration 0031 (03.00.00_50_post_cancel_notification.sql)"
std::string label_of(const chain::Migration &migration);

// "Running upgrade 0030 -> 0031, Migration: post cancel notification", as Alembic logs it.
std::string running_upgrade(const chain::Migration &migration);

// The time since `started`, with its unit: "12.3 ms".
std::string time_since(TimestampTz started);

void notice_nothing_to_do(const catalog::Installation &installation, chain::Revision revision);
void notice_begin(const chain::Migration &migration);
void notice_end(const chain::Migration &migration, TimestampTz started);

} // namespace procrastinate::upgrade
