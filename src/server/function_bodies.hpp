// Hashes of function bodies, read past the system cache: that would copy bodies of any size.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The functions of one name in a schema, without members of extensions.
struct NamedFunctions
{
    // Any role that may create functions in the schema can add overloads.
    static constexpr std::size_t most = 8;

    std::size_t count = 0; // up to most + 1
    // md5(pg_proc.prosrc) of the first ones; empty for a body of more than 16,000 bytes.
    std::array<std::array<char, 33>, most> body_md5{};

    bool are_too_many() const { return count > most; }
};

// Takes no lock but on pg_proc, and keeps none. Throws ServerError.
NamedFunctions functions_named(Oid schema, const char *name);

} // namespace procrastinate::server
