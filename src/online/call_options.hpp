// Arguments of procrastinate_migrate(), and the text of a call with them for hints.
#pragma once

#include "catalog/installation.hpp"

#include <string>

namespace procrastinate::online
{

// The defaults are those of the SQL procedure.
struct CallOptions
{
    double lock_timeout = 100;  // milliseconds that a lock is waited for at a time
    double retry_for = 600'000; // milliseconds of lock retries, before a step is given up
    bool concurrently = true;   // indexes are built by a background worker, while clients write
    bool force = false;         // without the in-use check
};

enum class Literals
{
    plain, // for people
    typed  // 'public'::pg_catalog.text: no input function of another type is called for it
};

// A literal of type interval: '1 hour', '100 ms'.
std::string interval_literal(double milliseconds);

// ", lock_timeout => '1 s', force => true": named arguments for the options that differ from the
// defaults.
std::string changed_options(const CallOptions &options, Literals literals = Literals::plain);

// "CALL procrastinate_migrate('0038', schema => 'public', force => true);": the target, the schema,
// and the options that differ from the defaults.
std::string call_of(const std::string &quoted_schema, const std::string &target,
                    const CallOptions &options, Literals literals = Literals::plain);

} // namespace procrastinate::online
