// Names of the extension's own functions in messages.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::common
{

// Sets the schema of the extension, quoted as SQL needs it. Each entry point does, since ALTER
// EXTENSION … SET SCHEMA may have moved the extension.
void set_extension_schema(std::string_view quoted) noexcept;

// The function's name with that schema, so that a hint works from any search_path:
// "public.procrastinate_adopt". Without it if no schema has been set.
std::string own_function(std::string_view name);

} // namespace procrastinate::common
