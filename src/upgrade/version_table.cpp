#include "upgrade/version_table.hpp"

#include "chain/target.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/messages.hpp"
#include "server/schema_name_lock.hpp"
#include "sql/setting_steered.hpp"
#include "upgrade/privileges.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using common::Refusal;

struct Opened
{
    Oid oid;
    Oid schema;
    const char *name;
    bool is_safe; // no trigger, rule or policy would run on a write
};

// Runs before the lock is taken, so that a caller cannot lock a table that it may not write, and
// its owner cannot make the caller wait. Inside call().
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
                        errdetail("You need SELECT, INSERT, UPDATE and DELETE on the table.")));
    if (!is_trusted)
        ereport(ERROR, (errcode(server::detail::encoded(common::sqlstate::untrusted_object)),
                        errmsg("cannot sync table %s", name->relname),
                        errdetail("It is not a table, or it belongs to another role."),
                        errhint("Name a table of role %s.",
                                quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

Opened open(const std::string &value)
{
    return server::call([&value]() -> Opened {
        List *const names = textToQualifiedNameList(cstring_to_text(value.c_str()));
        if (list_length(names) != 2)
            return {InvalidOid, InvalidOid, nullptr, false};
        const Oid oid = RangeVarGetRelidExtended(makeRangeVarFromNameList(names),
                                                 ShareRowExclusiveLock, 0, check_table, nullptr);
        Relation const relation = relation_open(oid, NoLock);
        const auto *const form = relation->rd_rel;
        const bool has_policies = check_enable_rls(oid, InvalidOid, true) == RLS_ENABLED;
        const bool is_safe = !has_policies && !form->relhasrules && !form->relhastriggers;
        const Oid schema = form->relnamespace;
        const char *const name =
            quote_qualified_identifier(get_namespace_name(schema), NameStr(form->relname));
        relation_close(relation, NoLock);
        return {oid, schema, name, is_safe};
    });
}

std::string setting_name(std::string_view setting)
{
    return "procrastinate_migrate." + std::string(setting);
}

bool is_steered(std::string_view setting)
{
    if (!server::call([] { return superuser(); }))
        return false;
    const std::array parameters{spi::text_parameter(setting_name(setting))};
    return spi::read_latest(sql::setting_steered, parameters).boolean(0, 1);
}

} // namespace

std::vector<chain::AlembicId> own_alembic_ids(const server::RawTable &rows, chain::AlembicIds ids)
{
    std::vector<chain::AlembicId> plain;
    std::vector<chain::AlembicId> named;
    for (std::size_t i = 0; i < rows.count(); ++i)
        if (const auto id = chain::read_alembic_id(rows.row(i).text(0)))
        {
            if (id->form.is_plain())
                plain.push_back(*id);
            else if (ids != chain::AlembicIds::zero_based || id->form == chain::zero_based_form)
                named.push_back(*id);
        }
    const bool are_plain =
        ids == chain::AlembicIds::plain || (ids == chain::AlembicIds::found && named.empty());
    return are_plain ? plain : named;
}

void warn_if_steered(std::string_view setting, std::string_view value)
{
    if (!value.empty() && is_steered(setting))
        server::warning(setting_name(setting) + " is ignored",
                        "Its value is a default of this database, whose owner is no superuser. A "
                        "superuser does not write to the table that another role has chosen.",
                        "To sync the table in this session: SET " + setting_name(setting) + " = " +
                            common::quoted_literal(value) + ";");
}

std::optional<VersionTable> open_version_table(std::string_view setting, std::string_view value)
{
    if (value.empty() || is_steered(setting))
        return std::nullopt;
    const std::string text(value);
    const std::string option = setting_name(setting);
    const Opened table = open(text);
    if (!OidIsValid(table.oid))
        throw Refusal{common::sqlstate::invalid_parameter,
                      option + " is \"" + chain::excerpt(value) + "\"",
                      "It must name a table with its schema.",
                      "SET " + option + " = 'public." + std::string(setting) + "';"};
    if (!table.is_safe)
        throw Refusal{
            common::sqlstate::untrusted_object, std::string("cannot sync table ") + table.name,
            "It has triggers or rules, or policies that apply to the role that writes it.",
            "RESET " + option + ";"};
    if (std::string code = foreign_code_of(table.oid); !code.empty())
        throw Refusal{common::sqlstate::untrusted_object,
                      std::string("cannot sync table ") + table.name, std::move(code),
                      "RESET " + option + ";"};
    // Statements use the name.
    (void)server::lock_schema_name(table.schema);
    const Oid again = server::call([&text] {
        return RangeVarGetRelid(
            makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(text.c_str()))),
            NoLock, true);
    });
    if (again != table.oid)
        throw Refusal{common::sqlstate::untrusted_object,
                      std::string("table ") + table.name + " has been moved by another session",
                      {},
                      "Set " + option + " to the table that is meant."};
    return VersionTable{table.oid, table.schema, table.name, option};
}

server::RawTable VersionTable::read(std::span<const server::RawColumn> columns,
                                    std::string_view whose) const
{
    const server::RawTable rows = server::scan_raw_table(oid, columns, most_version_rows);
    if (!rows.is_plain)
        throw Refusal{common::sqlstate::untrusted_object, "cannot sync table " + name,
                      "It does not have " + std::string(whose) + " columns.",
                      "RESET " + setting + ";"};
    return rows;
}

void VersionTable::write(std::string_view sql_template,
                         std::span<const spi::Parameter> parameters) const
{
    const std::string statement = common::substitute(sql_template, {{"table", name}});
    server::with_context("sync of table " + name,
                         [&] { spi::execute(statement.c_str(), parameters); });
}

} // namespace procrastinate::upgrade
