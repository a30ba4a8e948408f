#include "entry/schema_argument.hpp"

#include "common/own_function.hpp"
#include "common/quoting.hpp"
#include "common/refusal.hpp"

namespace procrastinate::entry
{

namespace
{

using common::Refusal;

// For a name that no schema has: the one that is meant if the text is read as an identifier of SQL,
// in double quotes or not. Nothing if there is none.
std::optional<std::string> schema_as_identifier(const std::string &text)
{
    const char *const name = server::call([&text]() -> const char * {
        List *names = NIL;
        if (!SplitIdentifierString(pstrdup(text.c_str()), '.', &names) || list_length(names) != 1)
            return nullptr;
        auto *const one = static_cast<const char *>(linitial(names));
        return OidIsValid(get_namespace_oid(one, true)) ? one : nullptr;
    });
    return name == nullptr ? std::nullopt : std::optional<std::string>(name);
}

Oid schema_named(const std::string &name)
{
    const Oid schema = server::call([&name] { return get_namespace_oid(name.c_str(), true); });
    if (OidIsValid(schema))
        return schema;
    const std::string problem = "schema \"" + name + "\" does not exist";
    if (const std::optional<std::string> meant = schema_as_identifier(name))
        throw Refusal{common::sqlstate::undefined_schema, problem,
                      "A text is the exact name of a schema: its case counts, and double quotes "
                      "would be part of the name.",
                      "Write the argument so: schema => " + common::quoted_literal(*meant)};
    std::string hint;
    if (!name.empty())
        hint = "To create it: CREATE SCHEMA " +
               std::string(server::call([&name] { return quote_identifier(name.c_str()); })) +
               ";\n";
    throw Refusal{common::sqlstate::undefined_schema,
                  problem,
                  {},
                  hint + "To see where Procrastinate is installed: SELECT * FROM " +
                      common::own_function("procrastinate_installations") + ";"};
}

} // namespace

std::optional<Oid> schema_argument(const server::Arguments &arguments, int number)
{
    if (arguments.is_null(number))
        return std::nullopt;
    const Oid given = arguments.type(number);
    const Oid type = server::call([given] { return getBaseType(given); });
    switch (type)
    {
    case REGNAMESPACEOID:
    case OIDOID:
        return arguments.oid(number);
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case NAMEOID:
        break;
    default:
        throw Refusal{
            common::sqlstate::datatype_mismatch,
            std::string("schema must be the name of a schema or a regnamespace, not of type ") +
                server::call([given] { return format_type_be(given); }),
            {},
            {}};
    }
    std::string name(*(type == NAMEOID ? arguments.name(number) : arguments.text(number)));
    if (type == BPCHAROID) // blanks at its end have no meaning
        name.erase(name.find_last_not_of(' ') + 1);
    return schema_named(name);
}

} // namespace procrastinate::entry
