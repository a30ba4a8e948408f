// How much memory the definition of a table takes in a session that opens it.
//
// When a session opens a relation, the server copies its defaults, checks, triggers, policies and
// rules to memory that the session keeps. Another role can make each of them a gigabyte long, and
// no cancel request ends the copying. So readers look here first.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The most bytes of a definition that a reader opens. Procrastinate's tables take some 20 kB.
inline constexpr Size most_definition = 1'000'000;

// The most bytes of a definition that stays in the session once a reader has closed the table:
// other roles can make any number of tables that are smaller than most_definition.
inline constexpr Size most_kept_definition = 20'000;

// A default, a constraint, a trigger or the like.
struct DefinitionPart
{
    const char *kind; // "default of column"
    // The statement that drops it: a template of {{table}} or {{schema}}, and {{part}}. A null
    // pointer for a function or a type that it uses.
    const char *removal;
    Oid relation; // of the part; not that of a function or a type
    const char *name;
    Size size;
};

// True if a part of a relation is not to be named: its kind as in DefinitionPart, and its name.
// Inside call(), so it must not throw.
using IsHidden = bool (*)(Oid relation, std::string_view kind, std::string_view name);

struct Definition
{
    Size size = 0; // in bytes; counted until it is more than most_definition
    int parts = 0; // that were counted
    // Of those that are not hidden; without a kind if all are.
    DefinitionPart largest{};
    IsHidden is_hidden = nullptr;

    bool is_small() const { return size <= most_definition; }
};

// The definition of a table or view. Neither opens it nor reads the texts. Inside call().
Definition definition_of(Oid relation);

// The same, together with the functions and types that its parts use, the types below these, and
// the definitions of the tables, views and composite types: pg_get_expr(), pg_get_ruledef() and the
// like read them.
Definition definition_to_print(Oid relation, IsHidden is_hidden);

// InvalidOid if there is no such index. The system cache would read its expressions. Inside call().
Oid table_of_index(Oid index);

} // namespace procrastinate::server
