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
    std::string names;
    std::set<std::string_view> known;
    for (const chain::Fact &fact : chain::facts())
        if (fact.kind != chain::Kind::column && fact.kind != chain::Kind::constraint &&
            fact.kind != chain::Kind::trigger && known.insert(fact.name).second)
            names.append(names.empty() ? "" : " ").append(fact.name);
    return names;
}

std::string foreign_objects_sql(std::string_view schema, std::string_view names)
{
    return common::substitute(sql::foreign_objects,
                              {{"schema", schema},
                               {"names", names},
                               {"shadowing_objects", shadowing_objects_sql(schema)}});
}

std::string shadowing_objects_sql(std::string_view schema)
{
    return common::substitute(sql::shadowing_objects, {{"schema", schema}});
}

} // namespace procrastinate::upgrade
