#include "script/catalog_check.hpp"

#include "chain/facts.hpp"
#include "common/quoting.hpp"
#include "common/template.hpp"
#include "sql/catalog_check.hpp"
#include "sql/structure.hpp"

namespace procrastinate::script
{

namespace
{

using chain::Kind;
using common::quoted_literal;

// Far more than an installation has.
constexpr std::string_view most_objects = "6000";
constexpr std::string_view most_views = "100";

constexpr std::string_view between_rows = ",\n        ";

std::string facts()
{
    std::string rows;
    for (const chain::Fact &fact : chain::facts())
        rows.append(rows.empty() ? "" : between_rows)
            .append("(" + std::to_string(fact.first) + ", " + std::to_string(fact.last) + ", " +
                    quoted_literal(chain::kind_name(fact.kind)) + ", " + quoted_literal(fact.key) +
                    ", " + quoted_literal(fact.table) + ", " + quoted_literal(fact.text) + ", " +
                    quoted_literal(fact.signature) + ")");
    return rows;
}

std::string bodies()
{
    std::string rows;
    for (const chain::FunctionBody &body : chain::function_bodies())
        rows.append(rows.empty() ? "" : between_rows)
            .append("(" + std::to_string(body.first) + ", " + std::to_string(body.last) + ", " +
                    quoted_literal(body.signature) + ", " + quoted_literal(body.md5) + ", " +
                    quoted_literal(body.stripped_md5) + ")");
    return rows;
}

// structure.sql with expressions in the place of its parameters.
std::string structure_over(std::string_view schema)
{
    const std::array<std::string, 6> values{
        "(select n.oid from pg_namespace n where n.nspname = " + std::string(schema) + ")",
        quoted_literal(chain::names_of(
            {Kind::table, Kind::index, Kind::sequence, Kind::composite, Kind::enum_type})),
        quoted_literal(chain::names_of({Kind::function})),
        std::string(most_objects),
        std::string(most_views),
        quoted_literal(chain::names_of({Kind::table}))};
    // Servers before 14 have no such column. The query only asks for its size.
    constexpr std::string_view newer_column = "p.prosqlbody";
    std::string structure(sql::structure);
    structure.replace(structure.find(newer_column), newer_column.size(), "null::text");
    std::string text;
    std::string_view rest = structure;
    for (std::size_t at = rest.find('$'); at != std::string_view::npos; at = rest.find('$'))
    {
        const std::size_t number =
            at + 1 < rest.size() ? static_cast<std::size_t>(rest[at + 1] - '1') : values.size();
        const bool is_parameter = number < values.size();
        text.append(rest.substr(0, at)).append(is_parameter ? values[number] : "$");
        rest.remove_prefix(at + (is_parameter ? 2 : 1));
    }
    return text.append(rest);
}

} // namespace

std::string catalog_check(std::string_view schema, std::optional<chain::Revision> revision)
{
    return common::substitute(sql::catalog_check,
                              {{"structure", structure_over(schema)},
                               {"schema", schema},
                               {"facts", facts()},
                               {"bodies", bodies()},
                               {"head", std::to_string(chain::head())},
                               {"wanted", revision ? std::to_string(*revision) : "null::int"}});
}

} // namespace procrastinate::script
