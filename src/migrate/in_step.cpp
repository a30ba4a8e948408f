#include "migrate/in_step.hpp"

#include "chain/other_tools.hpp"
#include "chain/refusal.hpp"
#include "chain/target.hpp"
#include "migrate/options.hpp"
#include "server/messages.hpp"
#include "server/plain_table.hpp"
#include "server/spi.hpp"

#include <vector>

namespace procrastinate::migrate
{

namespace
{

namespace spi = server::spi;
using chain::AlembicIds;
using chain::Refusal;
using chain::Revision;

constexpr std::array<server::PlainColumn, 1> columns{{{"version_num", VARCHAROID}}};

struct Table
{
    Oid oid;
    const char *name; // qualified and quoted
    bool is_safe;     // the caller's own or a superuser's, with nothing that writing would run
};

// Holds new triggers off to the end of the transaction.
Table open_table(std::string_view setting)
{
    const std::string text(setting);
    const Table table = server::call([&text]() -> Table {
        List *const names = textToQualifiedNameList(cstring_to_text(text.c_str()));
        if (list_length(names) != 2)
            return {InvalidOid, nullptr, false};
        const Oid oid =
            RangeVarGetRelid(makeRangeVarFromNameList(names), ShareRowExclusiveLock, false);
        Relation const relation = relation_open(oid, NoLock);
        const auto *const form = relation->rd_rel;
        const bool is_safe = form->relkind == RELKIND_RELATION && !form->relrowsecurity &&
                             !form->relhasrules && !form->relhastriggers &&
                             (form->relowner == GetUserId() || superuser_arg(form->relowner));
        const char *const name = quote_qualified_identifier(get_namespace_name(form->relnamespace),
                                                            NameStr(form->relname));
        relation_close(relation, NoLock);
        return {oid, name, is_safe};
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
                      "It is another role's, or has triggers, rules or row-level security.",
                      "RESET procrastinate_migrate.alembic_version;"};
    return table;
}

// The row of this chain: an id that nobody else could have meant, or the one it was at.
struct Rows
{
    std::vector<std::string> ours;
    bool is_there; // at the new revision already
};

Rows rows_of(const Table &table, Revision from, Revision to)
{
    const server::PlainTable plain = server::read_plain_table(table.oid, columns);
    if (!plain.is_plain || !plain.is_allowed)
        throw Refusal{chain::sqlstate::untrusted_object,
                      std::string("table ") + table.name + " is not kept in step",
                      plain.is_plain ? "You may not read it."
                                     : "It has no column version_num of Alembic's.",
                      "RESET procrastinate_migrate.alembic_version;"};
    Rows rows{{}, false};
    for (std::size_t i = 0; i < plain.count(); ++i)
    {
        const std::string id(plain.row(i).text(0));
        const std::optional<Revision> revision = chain::revision_of_alembic(id);
        if (!revision)
            continue;
        const bool is_plain_id = id == chain::alembic_id(*revision, AlembicIds::plain);
        if (*revision == to)
            rows.is_there = true;
        else if (!is_plain_id || *revision == from)
            rows.ours.push_back(id);
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

void keep_alembic_in_step(Revision from, Revision to)
{
    const std::string_view setting = alembic_table();
    if (setting.empty() || from == to)
        return;
    const Table table = open_table(setting);
    const Rows rows = rows_of(table, from, to);
    if (rows.ours.size() == 1)
    {
        const std::string &old = rows.ours.front();
        const bool is_plain = old == chain::alembic_id(from, AlembicIds::plain);
        const std::string id =
            chain::alembic_id(to, is_plain ? AlembicIds::plain : AlembicIds::zero_based);
        if (id.empty())
            write(table, "DELETE FROM TABLE WHERE version_num OPERATOR(pg_catalog.=) $1", old);
        else
            write(table,
                  "UPDATE TABLE SET version_num = $2 WHERE version_num OPERATOR(pg_catalog.=) $1",
                  old, id);
        return;
    }
    if (rows.is_there || (rows.ours.empty() && to == chain::base))
        return;
    if (rows.ours.empty() && from == chain::base)
    {
        write(table, "INSERT INTO TABLE (version_num) VALUES ($1)",
              chain::alembic_id(to, AlembicIds::zero_based));
        return;
    }
    server::warning(std::string("table ") + table.name + " is out of step and was left so",
                    "It has " + std::to_string(rows.ours.size()) +
                        " rows of Procrastinate's revisions, none of them " +
                        std::string(chain::name(from)) + ".",
                    "alembic stamp " + chain::alembic_id(to, AlembicIds::zero_based));
}

} // namespace procrastinate::migrate
