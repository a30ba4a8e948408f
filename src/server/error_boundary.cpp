#include "server/error_boundary.hpp"

#include "common/refusal.hpp"

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

namespace detail
{

namespace
{

// Inside PG_CATCH: takes the error off the server's stack.
ErrorData *take_error(MemoryContext context) noexcept
{
    ErrorData *volatile error = nullptr;
    MemoryContextSwitchTo(context);
    // Copying may run out of memory itself; nothing may jump over the frames of C++ above.
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

Outcome protect(void (*run)(void *closure), void *closure) noexcept
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

// NULL where the text is empty or there is no memory.
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

int encoded(std::string_view sqlstate) noexcept
{
    return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
}

} // namespace

Raised current_exception(MemoryContext context) noexcept
{
    constexpr const char *no_memory = "out of memory";
    try
    {
        throw;
    }
    catch (const ServerError &error)
    {
        return {error.data(), 0, nullptr, nullptr, nullptr};
    }
    catch (const common::Refusal &refusal)
    {
        const char *const message = copy(context, refusal.message);
        if (message == nullptr)
            return {nullptr, ERRCODE_OUT_OF_MEMORY, no_memory, nullptr, nullptr};
        return {nullptr, encoded(refusal.sqlstate), message, copy(context, refusal.detail),
                copy(context, refusal.hint)};
    }
    catch (const std::bad_alloc &)
    {
        return {nullptr, ERRCODE_OUT_OF_MEMORY, no_memory, nullptr, nullptr};
    }
    catch (const std::exception &exception)
    {
        return {nullptr, ERRCODE_INTERNAL_ERROR, "unexpected C++ exception",
                copy(context, exception.what()), nullptr};
    }
    catch (...)
    {
        return {nullptr, ERRCODE_INTERNAL_ERROR, "unexpected C++ exception", nullptr, nullptr};
    }
}

void raise(const Raised &raised)
{
    if (raised.server_error != nullptr)
        ReThrowError(raised.server_error);
    ereport(ERROR, (errcode(raised.sqlstate), errmsg_internal("%s", raised.message),
                    raised.detail ? errdetail_internal("%s", raised.detail) : 0,
                    raised.hint ? errhint("%s", raised.hint) : 0));
    pg_unreachable();
}

} // namespace detail

} // namespace procrastinate::server
