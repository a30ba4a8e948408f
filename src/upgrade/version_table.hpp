// A table of another tool, named in a setting, that changes are to be written into as well.
#pragma once

#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

struct VersionTable
{
    Oid oid;
    const char *name; // qualified and quoted; lives as long as the SPI connection

    // Throws Refusal PM010 where it has not these columns, which are `whose`.
    server::RawTable read(std::span<const server::RawColumn> columns, std::string_view whose) const;

    // Runs a statement in which TABLE stands for its name.
    void write(std::string_view statement,
               std::span<const server::spi::Parameter> parameters) const;

    // Tells that it was left as it is.
    void warn_not_synced(const std::string &why, const std::string &hint) const;
};

// Locks it, so that it keeps its name and gets no trigger to the end of the transaction. Throws Refusal
// 22023 where `value` of that setting names no table, 42501 and PM010 where to write it could run code
// of another role; those are told before a lock is waited for. Inside an SPI connection.
VersionTable open_version_table(std::string_view setting, std::string_view value);

} // namespace procrastinate::upgrade
