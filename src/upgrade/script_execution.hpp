// Execution of a migration's SQL script, statement by statement, in the caller's transaction.
#pragma once

#include "chain/facts.hpp"
#include "chain/step.hpp"

#include <string>
#include <string_view>

namespace procrastinate::upgrade
{

// How migrations create enum types. A run that creates a type gives it at once all the labels that
// it has at the target, and skips the statements that add some later: PostgreSQL lets a transaction
// use no label that it has added (see chain::label_needing_commit).
struct EnumTypes
{
    static EnumTypes complete(chain::Revision from, chain::Revision target)
    {
        return {from, target};
    }
    // Runs each statement as the script has it.
    static EnumTypes as_written() { return {chain::base, chain::base}; }

    // True if the run creates the type, and creates it complete.
    bool creates(std::string_view type) const
    {
        const std::optional<chain::Revision> created = chain::created_by(type);
        return created && from < *created && *created <= target;
    }

    chain::Revision from; // the revision at which the run begins
    chain::Revision target;
};

// Runs a script inside an SPI connection, with search_path set to the installation's schema. An
// error is the server's own, with "<label>, line N" as the last line of CONTEXT.
void run_script(std::string_view script, std::string_view label,
                EnumTypes enum_types = EnumTypes::as_written());

// Runs only those statements of a script that belong to a step's rest.
void run_rest(std::string_view script, std::string_view label, const chain::Rest &rest);

// The text of those statements, each with its semicolon.
std::string rest_of(std::string_view script, const chain::Rest &rest);

// Sets the settings on which the meaning of a script depends, and row_security = off: if a policy
// would hide rows, the server raises an error. Between open_settings() and close_settings().
void set_script_settings();

} // namespace procrastinate::upgrade
