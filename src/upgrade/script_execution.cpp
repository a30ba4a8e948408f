#include "upgrade/script_execution.hpp"

#include "common/quoting.hpp"
#include "server/memory.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/sql_text.hpp"

namespace procrastinate::upgrade
{

namespace
{

struct Statement
{
    std::string_view text;
    std::size_t offset;            // in the script
    std::string_view created_enum; // an enum type; empty for other statements
    std::string_view altered_enum;
};

// A name without its schema; scripts give none.
std::string_view last_name(const List *names)
{
    return static_cast<const String *>(llast(names))->sval;
}

Statement statement_of(const RawStmt &raw, std::string_view text, std::size_t offset)
{
    Statement statement{text, offset, {}, {}};
    if (nodeTag(raw.stmt) == T_CreateEnumStmt)
        statement.created_enum =
            last_name(reinterpret_cast<const CreateEnumStmt *>(raw.stmt)->typeName);
    if (nodeTag(raw.stmt) == T_AlterEnumStmt)
        statement.altered_enum =
            last_name(reinterpret_cast<const AlterEnumStmt *>(raw.stmt)->typeName);
    return statement;
}

// The server's own parser finds the ends of statements: a `;` may be part of a function body.
server::pmr::vector<Statement> split(std::string_view script, const char *terminated,
                                     server::pmr::memory_resource &memory)
{
    List *const parsed = server::call([terminated] { return pg_parse_query(terminated); });
    server::pmr::vector<Statement> statements(&memory);
    statements.reserve(static_cast<std::size_t>(list_length(parsed)));
    for (int i = 0; i < list_length(parsed); ++i)
    {
        const auto *const raw = static_cast<const RawStmt *>(list_nth(parsed, i));
        std::size_t offset = static_cast<std::size_t>(raw->stmt_location);
        std::size_t length =
            raw->stmt_len > 0 ? static_cast<std::size_t>(raw->stmt_len) : script.size() - offset;
        const std::size_t blank = leading_blank(script.substr(offset, length));
        offset += blank;
        length -= blank;
        statements.push_back(statement_of(*raw, script.substr(offset, length), offset));
    }
    return statements;
}

// The line of the error, if the server reports a position in the statement; else the statement's
// first line.
int failing_line(std::string_view script, const Statement &statement, const ErrorData &error)
{
    std::size_t position = statement.offset;
    if (error.internalquery != nullptr && error.internalquery == statement.text &&
        error.internalpos > 0)
        position += static_cast<std::size_t>(error.internalpos) - 1; // our scripts are ASCII
    return line_at(script, std::min(position, script.size()));
}

// Runs of each statement what `text_of` returns: its text, another one, or nothing.
template <typename TextOf>
void run_statements(std::string_view script, std::string_view label, TextOf text_of)
{
    if (script.empty())
        return;
    server::ContextResource memory;
    const server::pmr::string terminated = server::copy_of(script, memory);
    for (const Statement &statement : split(script, terminated.c_str(), memory))
    {
        const std::string text(text_of(statement));
        if (text.empty())
            continue;
        try
        {
            server::call([] { CHECK_FOR_INTERRUPTS(); });
            // A trigger that a statement fires must not set the search_path of the next one.
            server::restoring_settings([&text] { server::spi::execute(text.c_str()); });
        }
        catch (server::ServerError &error)
        {
            const int line = failing_line(script, statement, *error.data());
            error.add_context(std::string(label) + ", line " + std::to_string(line));
            throw;
        }
    }
}

// The text of a statement in a run that creates enum types complete; empty to skip it.
std::string text_with(const Statement &statement, EnumTypes enum_types)
{
    if (enum_types.creates(statement.altered_enum))
        return {};
    const auto labels = chain::labels_by(statement.created_enum, enum_types.target);
    if (!enum_types.creates(statement.created_enum) || labels.empty())
        return std::string(statement.text);
    std::string text = "CREATE TYPE " + common::quoted_identifier(statement.created_enum);
    for (const std::string_view label : labels)
        text.append(label == labels.front() ? " AS ENUM (" : ", ")
            .append(common::quoted_literal(label));
    return text + ")";
}

} // namespace

void run_script(std::string_view script, std::string_view label, EnumTypes enum_types)
{
    run_statements(script, label, [enum_types](const Statement &statement) {
        return text_with(statement, enum_types);
    });
}

void run_rest(std::string_view script, std::string_view label, const chain::Rest &rest)
{
    run_statements(script, label, [&rest](const Statement &statement) {
        return rest.takes(statement.text) ? statement.text : std::string_view();
    });
}

std::string rest_of(std::string_view script, const chain::Rest &rest)
{
    server::ContextResource memory;
    const server::pmr::string terminated = server::copy_of(script, memory);
    std::string text;
    for (const Statement &statement : split(script, terminated.c_str(), memory))
        if (rest.takes(statement.text))
            text.append(text.empty() ? "" : "\n").append(statement.text).append(";");
    return text;
}

void set_script_settings()
{
    server::set("row_security", "off");
    server::set("transform_null_equals", "off");
    // The bodies are tested, and the session would keep the compiled functions in memory.
    server::set("check_function_bodies", "off");
}

} // namespace procrastinate::upgrade
