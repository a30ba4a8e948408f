#include "migrate/in_step.hpp"

#include "chain/other_tools.hpp"
#include "chain/refusal.hpp"
#include "chain/target.hpp"
#include "migrate/options.hpp"
#include "server/messages.hpp"
#include "server/plain_table.hpp"
#include "server/schema_lock.hpp"
#include "server/spi.hpp"

namespace procrastinate::migrate
{

namespace
{

namespace spi = server::spi;
using chain::AlembicIds;
using chain::Refusal;
using chain::Revision;

constexpr std::array<server::PlainColumn, 1> columns{{{"version_num", VARCHAROID}}};
constexpr std::size_t most_rows = 10'000;

struct Table
{
    Oid oid;
    Oid schema;
    const char *name; // qualified and quoted
    bool is_safe;     // nothing that writing would run
};

// Before a lock is taken: nobody is kept from a table that the caller may not write, or by its owner.
// Inside call().
void check_table(const RangeVar *name, Oid table, Oid, void *)
{
    if (!OidIsValid(table))
        return;
    HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        return;
    const auto *const form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const bool is_trusted = form->relkind == RELKIND_RELATION &&
                            (form->relowner == GetUserId() || superuser_arg(form->relowner));
    ReleaseSysCache(tuple);
    if (pg_class_aclcheck(table, GetUserId(), ACL_INSERT) != ACLCHECK_OK ||
        pg_class_aclcheck(table, GetUserId(), ACL_UPDATE) != ACLCHECK_OK ||
        pg_class_aclcheck(table, GetUserId(), ACL_DELETE) != ACLCHECK_OK ||
        pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied for table %s", name->relname),
                        errdetail("To keep it in step takes SELECT, INSERT, UPDATE and DELETE.")));
    if (!is_trusted)
        ereport(ERROR, (errcode(MAKE_SQLSTATE('P', 'M', '0', '1', '0')),
                        errmsg("table %s is not kept in step", name->relname),
                        errdetail("It is no table, or another role's.")));
}

// Holds new triggers off to the end of the transaction.
Table open_table(std::string_view setting)
{
    const std::string text(setting);
    const Table table = server::call([&text]() -> Table {
        List *const names = textToQualifiedNameList(cstring_to_text(text.c_str()));
        if (list_length(names) != 2)
            return {InvalidOid, InvalidOid, nullptr, false};
        const Oid oid = RangeVarGetRelidExtended(makeRangeVarFromNameList(names),
                                                 ShareRowExclusiveLock, 0, check_table, nullptr);
        Relation const relation = relation_open(oid, NoLock);
        const auto *const form = relation->rd_rel;
        const bool is_safe = !form->relrowsecurity && !form->relhasrules && !form->relhastriggers;
        const Oid schema = form->relnamespace;
        const char *const name =
            quote_qualified_identifier(get_namespace_name(schema), NameStr(form->relname));
        relation_close(relation, NoLock);
        return {oid, schema, name, is_safe};
    });
    if (!OidIsValid(table.oid))
        throw Refusal{chain::sqlstate::invalid_parameter,
                      "procrastinate_migrate.alembic_version is \"" + chain::excerpt(setting) +
                          "\"",
                      "It must name a table with its schema.",
                      "SET procrastinate_migrate.alembic_version = 'public.alembic_version';"};
    if (!table.is_safe)
        throw Refusal{chain::sqlstate::untrusted_object,
                      std::string("table ") + table.name + " is not kept in step",
                      "It has triggers, rules or row-level security.",
                      "RESET procrastinate_migrate.alembic_version;"};
    // Written by its name.
    (void)server::hold_schema(table.schema);
    const Oid again = server::call([&text] {
        return RangeVarGetRelid(
            makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(text.c_str()))),
            NoLock, true);
    });
    if (again != table.oid)
        throw Refusal{chain::sqlstate::untrusted_object,
                      std::string("table ") + table.name + " has been moved by another session",
                      {},
                      "Call it again with the table that is meant."};
    return table;
}

AlembicIds ids_in_use()
{
    return are_alembic_ids_plain() ? AlembicIds::plain : AlembicIds::zero_based;
}

struct Rows
{
    bool has_from; // the revision that is left
    bool has_to;   // the one that is reached
    bool has_any;  // of this chain, by ids of this kind
};

Rows rows_of(const Table &table, Revision from, Revision to)
{
    const server::PlainTable plain = server::read_plain_table(table.oid, columns, most_rows);
    if (!plain.is_plain)
        throw Refusal{chain::sqlstate::untrusted_object,
                      std::string("table ") + table.name + " is not kept in step",
                      "It has no column version_num of Alembic's.",
                      "RESET procrastinate_migrate.alembic_version;"};
    Rows rows{false, false, false};
    for (std::size_t i = 0; i < plain.count(); ++i)
    {
        const std::string_view id = plain.row(i).text(0);
        const std::optional<Revision> revision = chain::revision_of_alembic(id);
        if (!revision || id != chain::alembic_id(*revision, ids_in_use()))
            continue;
        rows.has_any = true;
        rows.has_from = rows.has_from || *revision == from;
        rows.has_to = rows.has_to || *revision == to;
    }
    return rows;
}

void write(const Table &table, std::string_view statement, std::string_view first,
           std::string_view second = {})
{
    std::string text(statement);
    text.replace(text.find("TABLE"), 5, table.name);
    const std::array parameters{spi::text_parameter(first), spi::text_parameter(second)};
    server::with_context(std::string("in step with table ") + table.name, [&] {
        spi::execute(text.c_str(), std::span(parameters).first(second.empty() ? 1 : 2));
    });
}

} // namespace

void require_alembic_table()
{
    if (!alembic_table().empty())
        (void)rows_of(open_table(alembic_table()), chain::base, chain::base);
}

void keep_alembic_in_step(Revision from, Revision to)
{
    if (alembic_table().empty() || from == to)
        return;
    const Table table = open_table(alembic_table());
    const Rows rows = rows_of(table, from, to);
    const std::string left = chain::alembic_id(from, ids_in_use());
    const std::string reached = chain::alembic_id(to, ids_in_use());
    if (rows.has_from && (to == chain::base || rows.has_to))
        write(table, "DELETE FROM ONLY TABLE WHERE version_num OPERATOR(pg_catalog.=) $1", left);
    else if (rows.has_from)
        write(table,
              "UPDATE ONLY TABLE SET version_num = $2 WHERE version_num OPERATOR(pg_catalog.=) $1",
              left, reached);
    else if (from == chain::base && !rows.has_any)
        write(table, "INSERT INTO TABLE (version_num) VALUES ($1)", reached);
    else if (!rows.has_to && (to != chain::base || rows.has_any))
        server::warning(std::string("table ") + table.name + " is out of step and was left so",
                        "It has no row " + (left.empty() ? "to go on from" : "'" + left + "'") +
                            ".",
                        "alembic stamp " + (reached.empty() ? "base" : reached));
}

} // namespace procrastinate::migrate
