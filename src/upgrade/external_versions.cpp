#include "upgrade/external_versions.hpp"

#include "chain/external_ids.hpp"
#include "server/raw_table_scan.hpp"
#include "server/spi.hpp"
#include "sql/external_version_tables.hpp"
#include "upgrade/version_table.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;

constexpr std::array<server::RawColumn, 2> django_columns{
    {{"app", VARCHAROID}, {"name", VARCHAROID}}};

// Alembic has a row for each branch; rows of other chains are skipped. A plain number such as 0003
// may belong to another chain too: it counts only in the installation's own schema.
void read_alembic(Oid table, const std::string &name, bool is_own, std::size_t &rows_left,
                  std::vector<ExternalVersion> &versions)
{
    const server::RawTable rows = server::scan_raw_table(table, alembic_columns, rows_left);
    rows_left -= rows.count();
    for (const chain::AlembicId &id : own_alembic_ids(rows, chain::AlembicIds::found))
        if (is_own || !id.form.is_plain())
            versions.push_back({name, chain::alembic_id(id.revision, id.form), id.revision, false});
}

void read_django(Oid table, const std::string &name, std::size_t &rows_left,
                 std::vector<ExternalVersion> &versions)
{
    const server::RawTable rows = server::scan_raw_table(table, django_columns, rows_left);
    rows_left -= rows.count();
    std::string_view last;
    for (std::size_t i = 0; i < rows.count(); ++i)
        if (rows.row(i).text(0) == "procrastinate")
            last = std::max(last, rows.row(i).text(1));
    if (const std::optional<chain::Revision> revision = chain::revision_of_django(last))
        versions.push_back({name, std::string(last.substr(0, 4)), *revision, true});
}

} // namespace

std::string ExternalVersion::correction(chain::Revision to) const
{
    if (is_django)
        return "manage.py migrate --fake procrastinate " + chain::django_prefix(to);
    const auto own = chain::read_alembic_id(id);
    return "alembic stamp " + chain::alembic_id(to, own ? own->form : chain::zero_based_form);
}

std::vector<ExternalVersion> read_external_versions(const catalog::Installation &installation)
{
    struct Table
    {
        Oid oid;
        bool is_own;
        std::string name;
        bool is_alembic;
    };
    std::vector<Table> tables;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(sql::external_version_tables, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        tables.push_back({DatumGetObjectId(rows.datum(row, 1).value_or(0)), rows.boolean(row, 2),
                          std::string(rows.text(row, 3).value_or("")), rows.boolean(row, 4)});
    std::vector<ExternalVersion> versions;
    std::size_t rows_left = most_version_rows; // of all tables: any role may have made some
    for (const bool own : {true, false})
    {
        for (const Table &table : tables)
        {
            if (table.is_own != own || rows_left == 0)
                continue;
            const std::vector<Oid> locked = server::try_lock_table(table.oid);
            if (locked.empty())
                continue;
            if (table.is_alembic)
                read_alembic(table.oid, table.name, own, rows_left, versions);
            else
                read_django(table.oid, table.name, rows_left, versions);
            server::unlock(locked);
        }
        if (!versions.empty())
            break;
    }
    return versions;
}

} // namespace procrastinate::upgrade
