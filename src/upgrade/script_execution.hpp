// Runs the text of a migration, one statement after the other, in the caller's transaction.
#pragma once

#include "chain/step.hpp"

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

enum class EnumTypes
{
    run,
    skip // statements that make or change one: they have the labels of 0027 already
};

// Inside an SPI connection, with search_path set to the installation's schema. A failure is the
// server's own error, with "<label>, line N" as its last line of CONTEXT.
void run_script(std::string_view script, std::string_view label,
                EnumTypes enum_types = EnumTypes::run);

// The same for those of its statements that are a step's rest.
void run_rest(std::string_view script, std::string_view label, const chain::Rest &rest);

// Their text, each with its semicolon.
std::string rest_of(std::string_view script, const chain::Rest &rest);

// Settings that change what such a text means, or which rows it sees: where a policy would hide some,
// the server refuses. Between open_settings() and close_settings().
void set_script_settings();

} // namespace procrastinate::upgrade
