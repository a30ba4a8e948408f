// Runs a piece of work in something that was opened for it, such as an SPI connection.
#pragma once

#include <type_traits>
#include <utility>

namespace procrastinate::server
{

// Runs `body`, then `close`. Returns what `body` returned. `close` is not run if `body` throws: the
// end of the (sub)transaction closes what is open.
template <typename Body, typename Close>
auto run_and_close(Body &&body, Close &&close) -> std::invoke_result_t<Body &>
{
    if constexpr (std::is_void_v<std::invoke_result_t<Body &>>)
    {
        body();
        close();
    }
    else
    {
        auto result = body();
        close();
        return result;
    }
}

} // namespace procrastinate::server
