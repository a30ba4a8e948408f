// A version table of another tool (Alembic's or Django's), named in a setting and updated by each
// change.
#pragma once

#include "chain/external_ids.hpp"
#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::upgrade
{

inline constexpr std::size_t most_version_rows = 10'000; // any role may have filled the table

inline constexpr std::array<server::RawColumn, 1> alembic_columns{{{"version_num", VARCHAROID}}};

// The ids of this chain among the rows of Alembic's table, as long as the rows. A number alone may
// belong to any chain: with AlembicIds::found it counts only if no id is more than a number.
std::vector<chain::AlembicId> own_alembic_ids(const server::RawTable &rows, chain::AlembicIds ids);

struct VersionTable
{
    Oid oid;
    Oid schema;
    std::string name;    // qualified and quoted
    std::string setting; // that names the table: "procrastinate_migrate.alembic_version"

    // Reads the rows. Throws Refusal PM010 if the table lacks one of the columns; `whose` names the
    // tool in the message: "Alembic's".
    server::RawTable read(std::span<const server::RawColumn> columns, std::string_view whose) const;

    // Runs a template of src/sql whose only placeholder is {{table}}.
    void write(std::string_view sql_template,
               std::span<const server::spi::Parameter> parameters) const;
};

// Finds the table that `value` of `setting` names, and locks it (SHARE ROW EXCLUSIVE, and its
// schema's name): it keeps its name and gets no trigger until the transaction ends. Returns nothing
// if the value is empty or steered (below). Throws Refusal 22023 if the value names no table.
// Before it waits for the lock: 42501 if the current role may not write the table, PM010 if another
// role that is no superuser owns it. With the lock: PM010 if the table has triggers, rules or
// policies for the current role, or code of other roles, or has been moved. Inside an SPI
// connection.
std::optional<VersionTable> open_version_table(std::string_view setting, std::string_view value);

// Raises a WARNING if the setting is not followed because it is steered: its value is a default of
// the database, whose owner is neither a superuser nor the caller, and the current role is a
// superuser. The owner of the database would choose a table that the superuser writes to.
void warn_if_steered(std::string_view setting, std::string_view value);

} // namespace procrastinate::upgrade
