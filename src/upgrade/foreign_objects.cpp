#include "upgrade/foreign_objects.hpp"

#include "chain/facts.hpp"
#include "common/template.hpp"
#include "sql/foreign_objects.hpp"
#include "sql/shadowing_objects.hpp"

#include <set>

namespace procrastinate::upgrade
{

std::string object_names()
{
    using chain::Kind;
    std::set<std::string> signatures;
    for (const chain::Fact &fact : chain::facts())
        if (fact.kind == Kind::function)
        {
            std::string signature(fact.key);
            std::erase(signature, ' ');
            signatures.insert(std::move(signature));
        }
    std::string names = chain::names_of({Kind::table, Kind::index, Kind::enum_type, Kind::composite,
                                         Kind::sequence, Kind::function});
    for (const std::string &signature : signatures)
        names.append(" ").append(signature);
    return names;
}

std::string foreign_objects_sql(std::string_view schema, std::string_view names,
                                std::string_view table)
{
    return common::substitute(sql::foreign_objects,
                              {{"schema", schema},
                               {"names", names},
                               {"table", table},
                               {"shadowing_objects", shadowing_objects_sql(schema)}});
}

std::string shadowing_objects_sql(std::string_view schema)
{
    return common::substitute(sql::shadowing_objects, {{"schema", schema}});
}

} // namespace procrastinate::upgrade
