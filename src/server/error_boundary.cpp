// Error boundary: copies server errors into exceptions, and raises exceptions as server errors.
#include "server/error_boundary.hpp"

#include "common/own_function.hpp"

namespace procrastinate::server
{

void ServerError::add_context(std::string_view line)
{
    ErrorData *const data = data_;
    call([data, line] {
        const int length = static_cast<int>(line.size());
        data->context = data->context == nullptr
                            ? psprintf("%.*s", length, line.data())
                            : psprintf("%s\n%.*s", data->context, length, line.data());
    });
}

void ServerError::shorten_context(const std::string &statement)
{
    constexpr int shown = 200;
    ErrorData *const data = data_;
    call([data, &statement] {
        const int length = static_cast<int>(statement.size());
        if (length <= shown)
            return;
        char *const beginning = pnstrdup(
            statement.c_str(), static_cast<Size>(pg_mbcliplen(statement.c_str(), length, shown)));
        std::replace(beginning, beginning + strlen(beginning), '\n', ' ');
        const char *const context = data->context == nullptr ? "" : data->context;
        // An error with a position in the statement has it as a field of its own.
        if (data->internalquery != nullptr && statement == data->internalquery)
        {
            data->internalquery = nullptr;
            data->internalpos = 0;
            data->context = psprintf("SQL statement \"%s...\"%s%s", beginning,
                                     *context == '\0' ? "" : "\n", context);
        }
        else if (const char *const place = strstr(context, statement.c_str()))
            data->context = psprintf("%.*s%s...%s", static_cast<int>(place - context), context,
                                     beginning, place + length);
    });
}

void ServerError::set_detail(std::string_view text)
{
    ErrorData *const data = data_;
    call([data, text] { data->detail = pnstrdup(text.data(), text.size()); });
}

void ServerError::set_hint(std::string_view text)
{
    ErrorData *const data = data_;
    call([data, text] { data->hint = pnstrdup(text.data(), text.size()); });
}

namespace detail
{

namespace
{

// Copies the current error and takes it off the server's error stack. Call it in PG_CATCH.
ErrorData *take_error(MemoryContext context) noexcept
{
    ErrorData *volatile error = nullptr;
    MemoryContextSwitchTo(context);
    // Copying may run out of memory, and that error must not jump over the C++ frames above.
    PG_TRY();
    {
        error = CopyErrorData();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error = nullptr;
    }
    PG_END_TRY();
    FlushErrorState();
    return error;
}

} // namespace

Protected protect(void (*run)(void *closure), void *closure) noexcept
{
    MemoryContext const context = CurrentMemoryContext;
    volatile bool failed = false;
    ErrorData *volatile error = nullptr;
    PG_TRY();
    {
        run(closure);
    }
    PG_CATCH();
    {
        error = take_error(context);
        failed = true;
    }
    PG_END_TRY();
    return {failed, error};
}

namespace
{

// A copy that ends with a NUL; nullptr if the text is empty or there is no memory.
char *copy(MemoryContext context, std::string_view text) noexcept
{
    if (text.empty() || !AllocSizeIsValid(text.size() + 1))
        return nullptr;
    char *const copied = static_cast<char *>(
        MemoryContextAllocExtended(context, text.size() + 1, MCXT_ALLOC_NO_OOM));
    if (copied != nullptr)
    {
        std::copy(text.begin(), text.end(), copied);
        copied[text.size()] = '\0';
    }
    return copied;
}

} // namespace

int encoded(std::string_view sqlstate) noexcept
{
    return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
}

Raised current_exception(MemoryContext context) noexcept
{
    const common::SourceLocation here = common::SourceLocation::current();
    const Raised no_memory{nullptr, ERRCODE_OUT_OF_MEMORY, "out of memory", nullptr, nullptr, here};
    constexpr const char *unexpected = "unexpected C++ exception";
    try
    {
        throw;
    }
    catch (const ServerError &error)
    {
        return {error.data(), 0, nullptr, nullptr, nullptr, {}};
    }
    catch (const common::Refusal &refusal)
    {
        const char *const message = copy(context, refusal.message);
        if (message == nullptr)
            return no_memory;
        return {nullptr,
                encoded(refusal.sqlstate),
                message,
                copy(context, refusal.detail),
                copy(context, refusal.hint),
                refusal.location};
    }
    catch (const std::bad_alloc &)
    {
        return no_memory;
    }
    catch (const std::exception &exception)
    {
        return {nullptr,    ERRCODE_INTERNAL_ERROR,
                unexpected, copy(context, exception.what()),
                nullptr,    here};
    }
    catch (...)
    {
        return {nullptr, ERRCODE_INTERNAL_ERROR, unexpected, nullptr, nullptr, here};
    }
}

// As ereport(ERROR, …), which would name this file and line.
void raise(const Raised &raised)
{
    if (raised.server_error != nullptr)
        ReThrowError(raised.server_error);
    if (errstart(ERROR, TEXTDOMAIN))
    {
        errcode(raised.sqlstate);
        errmsg_internal("%s", raised.message);
        if (raised.detail != nullptr)
            errdetail_internal("%s", raised.detail);
        if (raised.hint != nullptr)
            errhint("%s", raised.hint);
        errfinish(raised.location.file, raised.location.line, raised.location.function);
    }
    pg_unreachable();
}

void note_extension_schema(FunctionCallInfo fcinfo)
{
    const char *const schema = get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid));
    common::set_extension_schema(schema == nullptr ? "" : quote_identifier(schema));
}

} // namespace detail

} // namespace procrastinate::server
