#include "online/call_options.hpp"

#include "common/own_function.hpp"

namespace procrastinate::online
{

std::string interval_literal(double milliseconds)
{
    if (milliseconds > 1e15) // before 17 no interval is 'infinity'
        return "'100000 years'";
    const auto count = static_cast<long long>(milliseconds);
    for (const auto &[unit, name] :
         {std::pair(3'600'000LL, "hour"), std::pair(60'000LL, "min"), std::pair(1'000LL, "s")})
        if (count > 0 && count % unit == 0)
            return "'" + std::to_string(count / unit) + " " + name + "'";
    return "'" + std::to_string(count) + " ms'";
}

std::string changed_options(const CallOptions &options, Literals literals)
{
    constexpr CallOptions defaults;
    const std::string type = literals == Literals::typed ? "::pg_catalog.interval" : "";
    std::string text;
    if (options.lock_timeout != defaults.lock_timeout)
        text += ", lock_timeout => " + interval_literal(options.lock_timeout) + type;
    if (options.retry_for != defaults.retry_for)
        text += ", retry_for => " + interval_literal(options.retry_for) + type;
    if (!options.concurrently)
        text += ", concurrently => false";
    if (options.force)
        text += ", force => true";
    return text;
}

std::string call_of(const std::string &quoted_schema, const std::string &target,
                    const CallOptions &options, Literals literals)
{
    const std::string type = literals == Literals::typed ? "::pg_catalog.text" : "";
    const char *const quoted =
        server::call([&target] { return quote_literal_cstr(target.c_str()); });
    return "CALL " + common::own_function("procrastinate_migrate") + "(" + quoted + type +
           ", schema => " + quoted_schema + type + changed_options(options, literals) + ");";
}

} // namespace procrastinate::online
