// The two doors between C++ and the server, and there is no third.
//
//   call([&] { … })    out: runs what may ereport(); its error comes back as a ServerError.
//   ENTRY_POINT(name)  in: declares a function that SQL can call; whatever leaves its body as an
//                      exception is raised as a server error, once no C++ object is left on the stack.
//
// An error is never swallowed between the two: it is always raised again, so that the server ends
// the (sub)transaction.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::server
{

// An error of the server on its way through C++, whole: SQLSTATE, message, detail, hint, position.
class ServerError
{
  public:
    explicit ServerError(ErrorData *data) : data_(data) {}

    ErrorData *data() const { return data_; }

    // A further line of CONTEXT.
    void add_context(std::string_view line);

  private:
    ErrorData *data_; // in a memory context that outlives the call
};

namespace detail
{

// How a piece of the server's code ended. A failure without an error had no memory to keep it.
struct Outcome
{
    bool failed;
    ErrorData *error;
};

// Runs `run(closure)` under PG_TRY. Nothing may leave `run` as a C++ exception.
Outcome protect(void (*run)(void *closure), void *closure) noexcept;

// What an entry point raises once it has been left; plain data.
struct Raised
{
    ErrorData *server_error;
    int sqlstate;
    const char *message;
    const char *detail;
    const char *hint;
};

// Inside a catch block: what the exception at hand says.
Raised current_exception(MemoryContext context) noexcept;

[[noreturn]] void raise(const Raised &raised);

} // namespace detail

// Runs `body`, which may ereport() but must neither throw nor own anything with a destructor: an
// error jumps right out of it.
template <typename Body> auto call(Body &&body) -> std::invoke_result_t<Body &>
{
    using Result = std::invoke_result_t<Body &>;
    using Closure = std::remove_reference_t<Body>;
    constexpr bool returns = !std::is_void_v<Result>;
    using Kept = std::conditional_t<returns, Result, char>;
    static_assert(std::is_trivially_destructible_v<Kept> &&
                  std::is_trivially_destructible_v<Closure>);

    struct Frame
    {
        Closure &body;
        Kept result;
    } frame{body, {}};
    const detail::Outcome outcome = detail::protect(
        [](void *closure) {
            auto &inner = *static_cast<Frame *>(closure);
            if constexpr (returns)
                inner.result = inner.body();
            else
                inner.body();
        },
        &frame);
    if (outcome.failed)
    {
        if (outcome.error == nullptr)
            throw std::bad_alloc();
        throw ServerError(outcome.error);
    }
    if constexpr (returns)
        return frame.result;
}

// Runs `body`; an error of the server gets a further line of CONTEXT.
template <typename Body>
auto with_context(std::string_view line, Body &&body) -> std::invoke_result_t<Body &>
{
    try
    {
        return body();
    }
    catch (ServerError &error)
    {
        error.add_context(line);
        throw;
    }
}

// Runs the body of an entry point; see ENTRY_POINT.
template <typename Body> Datum enter(Body &&body)
{
    MemoryContext const context = CurrentMemoryContext;
    detail::Raised raised;
    try
    {
        return body();
    }
    catch (...)
    {
        raised = detail::current_exception(context);
    }
    CurrentMemoryContext = context;
    detail::raise(raised);
}

} // namespace procrastinate::server

// Declares and opens the definition of an SQL-callable function:
//   ENTRY_POINT(procrastinate_upgrade) { return …; }   with `FunctionCallInfo fcinfo` in scope
// Before PostgreSQL 16 PGDLLEXPORT is empty, hence the attribute.
#define ENTRY_POINT(name)                                                                          \
    static Datum name##_body(FunctionCallInfo fcinfo);                                             \
    extern "C"                                                                                     \
    {                                                                                              \
    __attribute__((visibility("default"))) const Pg_finfo_record *pg_finfo_##name(void);           \
    __attribute__((visibility("default"))) Datum name(PG_FUNCTION_ARGS);                           \
    PG_FUNCTION_INFO_V1(name);                                                                     \
    Datum name(PG_FUNCTION_ARGS)                                                                   \
    {                                                                                              \
        return procrastinate::server::enter([fcinfo] { return name##_body(fcinfo); });             \
    }                                                                                              \
    }                                                                                              \
    static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
