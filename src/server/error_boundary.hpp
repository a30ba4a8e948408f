// Error boundary between C++ exceptions and the server's ereport(). Two ways cross it, no others:
//
//   call([&] { … })    C++ to server: runs code that may ereport() and throws its error as a
//                      ServerError.
//   ENTRY_POINT(name)  server to C++: defines a function that SQL can call. An exception that
//                      leaves its body is raised as a server error, after all C++ objects are gone.
//
// An error may be swallowed only after the subtransaction in which it was raised has been rolled
// back (server/subtransaction.hpp). Otherwise it is raised again, so that the server ends the
// transaction.
#pragma once

#include "server/postgres.hpp"

#include "common/refusal.hpp"

namespace procrastinate::server
{

// An error that the server raised, with all its fields, while it passes through C++.
class ServerError
{
  public:
    explicit ServerError(ErrorData *data) : data_(data) {}

    ErrorData *data() const { return data_; }

    // Appends a line to the error's CONTEXT.
    void add_context(std::string_view line);
    // Replaces a long statement in the error's CONTEXT by its beginning.
    void shorten_context(const std::string &statement);
    void set_detail(std::string_view text);
    void set_hint(std::string_view text);

  private:
    ErrorData *data_; // in a memory context that outlives the call
};

namespace detail
{

// How code inside call() ended. `error` is nullptr after a failure if there was no memory to copy
// it.
struct Protected
{
    bool failed;
    ErrorData *error;
};

// Runs `run(closure)` under PG_TRY. `run` must not throw a C++ exception.
Protected protect(void (*run)(void *closure), void *closure) noexcept;

// What enter() raises after all C++ objects are gone; plain data.
struct Raised
{
    ErrorData *server_error; // raised again as it is; nullptr: the fields below are raised
    int sqlstate;            // as MAKE_SQLSTATE encodes it
    const char *message;
    const char *detail; // nullptr: none
    const char *hint;   // nullptr: none
    common::SourceLocation location;
};

// The current exception as plain data, its texts copied into `context`. Call it in a catch block.
Raised current_exception(MemoryContext context) noexcept;

// "PM001" as MAKE_SQLSTATE encodes it.
int encoded(std::string_view sqlstate) noexcept;

// Raises it as a server error.
[[noreturn]] void raise(const Raised &raised);

// Messages qualify the extension's functions with the schema of the one that is called. Raises the
// server's errors: no C++ object may be alive.
void note_extension_schema(FunctionCallInfo fcinfo);

} // namespace detail

// Runs `body`, which may ereport(). Throws ServerError, or std::bad_alloc if the error could not be
// copied. `body` must neither throw nor own an object with a destructor: an error is a longjmp out
// of it.
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
    const detail::Protected outcome = detail::protect(
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

// Runs `body`. Appends `line` to the CONTEXT of a ServerError that it throws.
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

// Defines a function that SQL can call; its body finds `FunctionCallInfo fcinfo` in scope:
//   ENTRY_POINT(procrastinate_upgrade) { return …; }
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
        procrastinate::server::detail::note_extension_schema(fcinfo);                              \
        return procrastinate::server::enter([fcinfo] { return name##_body(fcinfo); });             \
    }                                                                                              \
    }                                                                                              \
    static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
