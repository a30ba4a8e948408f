#include "upgrade/foreign_objects.hpp"

#include "chain/facts.hpp"
#include "common/template.hpp"
#include "sql/foreign_objects.hpp"
#include "sql/shadowing_objects.hpp"

namespace procrastinate::upgrade
{

std::string object_names()
{
    using chain::Kind;
    return chain::names_of({Kind::table, Kind::index, Kind::enum_type, Kind::composite,
                            Kind::sequence, Kind::function});
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
