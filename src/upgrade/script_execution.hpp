// Execution of a migration's SQL script, statement by statement, in the caller's transaction.
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

// Runs a script inside an SPI connection, with search_path set to the installation's schema. An
// error is the server's own, with "<label>, line N" as the last line of CONTEXT.
void run_script(std::string_view script, std::string_view label,
                EnumTypes enum_types = EnumTypes::run);

// Runs only those statements of a script that belong to a step's rest.
void run_rest(std::string_view script, std::string_view label, const chain::Rest &rest);

// The text of those statements, each with its semicolon.
std::string rest_of(std::string_view script, const chain::Rest &rest);

// Sets the settings on which the meaning of a script depends, and row_security = off: if a policy
// would hide rows, the server raises an error. Between open_settings() and close_settings().
void set_script_settings();

} // namespace procrastinate::upgrade
