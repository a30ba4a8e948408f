// Facts of the schema: which objects the catalog holds at each revision, with the parts of their
// definitions, the functions' bodies and the labels of enum types. Plain data without a server. The
// build makes it from ../data/ and ../migrations/ (embed.pl).
#pragma once

#include "chain/chain.hpp"

#include <algorithm>
#include <optional>

namespace procrastinate::chain
{

// Kinds of objects in the catalog. Facts have the kinds up to trigger. The others are of objects
// that users have made: rules and views on the tables, and relations or types of another kind under
// a name of Procrastinate's.
enum class Kind
{
    table,
    column,
    constraint,
    index,
    enum_type,
    composite,
    sequence,
    function,
    trigger,
    rule,
    view,
    relation,
    type
};

// "table", "enum" ...: as users read it and as structure.tsv spells it.
std::string_view kind_name(Kind kind);

// The kind of that name; nothing if there is none.
std::optional<Kind> kind_named(std::string_view name);

enum class ConstraintType
{
    none,
    primary_key,
    unique,
    check,
    foreign_key,
    exclusion
};

// The definition of an object and its parts. No text has the name of the installation's schema.
// Parts that an object's kind does not have are empty.
struct Definition
{
    Kind kind;
    std::string_view text; // whole, as structure.tsv spells it
    // Identifies the object among those of its kind, as users read it: the name; of a column,
    // constraint, trigger or rule with its table in front ("procrastinate_jobs.lock"); of a
    // function with its argument types ("procrastinate_cancel_job_v1(bigint, boolean, boolean)").
    std::string_view key;
    std::string_view name = {};  // alone
    std::string_view table = {}; // that the object is a part of; of a sequence, its owner's table
    // Of an index what follows ON ("procrastinate_jobs USING btree (lock)"), of a constraint what
    // follows its name ("PRIMARY KEY (id)").
    std::string_view clause = {};
    std::string_view type = {};          // of a column or sequence
    std::string_view collation = {};     // of a column, unless it is the type's
    std::string_view default_value = {}; // of a column: an expression
    std::string_view generated = {};     // of a column: "generated always as identity" ...
    std::string_view columns = {};       // of an index: its keys; of a sequence: the owner's column
    std::string_view condition = {};     // of an index after WHERE, of a constraint after CHECK
    std::string_view signature = {};     // of a function: name, argument names and types
    std::string_view declaration = {};   // of a function: signature with defaults, and result
    // Of a function: what SET gives it. Of a sequence: increment, bounds and cycle, if they are not
    // the server's defaults.
    std::string_view settings = {};
    bool is_not_null = false;           // column
    bool is_unique = false;             // index
    bool is_constraint_trigger = false; // trigger
    bool is_plain_table = true;         // table: false for a view, foreign table ... of its name
    ConstraintType constraint_type = ConstraintType::none; // known for facts only
    std::span<const std::string_view> labels = {};         // of an enum type, in their order
};

// An object that is in the catalog from one revision to another. An object whose definition changes
// is several facts.
struct Fact : Definition
{
    Revision first;
    Revision last; // the head if the fact still holds
};

inline bool is_at(const Fact &fact, Revision revision)
{
    return fact.first <= revision && revision <= fact.last;
}

// A body that a function may have at some revisions. At each revision a function has one of
// upstream's and one of ours, which does the same.
struct FunctionBody
{
    Revision first;
    Revision last;
    std::string_view signature;
    std::string_view md5; // of pg_proc.prosrc
    // Of its lines without blanks at their ends, and without empty lines at the ends of the text.
    // Empty for a body of upstream's, whose text is not known.
    std::string_view stripped_md5;
    int fails_before; // the oldest major version of the server on which it works; 0: any
};

inline bool is_at(const FunctionBody &body, Revision revision)
{
    return body.first <= revision && revision <= body.last;
}

// A statement of a migration that creates or replaces a function, in two parts.
struct FunctionSource
{
    Revision made_by;
    std::string_view signature;
    std::string_view declaration; // from FUNCTION to the last word before the body
    std::string_view body;        // from AS, BEGIN or RETURN on, without a semicolon
};

// A label that a migration adds to an enum type that an earlier one created.
struct AddedLabel
{
    std::string_view type;
    std::string_view label;
    Revision created_by; // makes the type
    Revision added_by;
    Revision used_by; // the first later one whose SQL uses the label; base if there is none
};

// A migration that gives all rows with one label another one.
struct LabelChange
{
    Revision revision;
    std::string_view table;
    std::string_view column;
    std::string_view before;
    std::string_view after;
};

std::span<const Fact> facts();
std::span<const FunctionBody> function_bodies();    // upstream's first
std::span<const FunctionSource> function_sources(); // in the order of the chain
std::span<const AddedLabel> added_labels();
std::span<const LabelChange> label_changes();

// The first migration after `current` up to `target` that makes an object of a fact for which
// `is_it` is true, if none of them holds at `current`.
template <class IsIt>
std::optional<Revision> maker_of(IsIt is_it, Revision current, Revision target)
{
    std::optional<Revision> maker;
    for (const Fact &fact : facts())
    {
        if (!is_it(fact))
            continue;
        if (is_at(fact, current))
            return std::nullopt;
        if (current < fact.first && fact.first <= target)
            maker = std::min(maker.value_or(target), fact.first);
    }
    return maker;
}

// The names of the facts of some kinds, each once, separated by blanks.
std::string names_of(std::initializer_list<Kind> kinds);

// The first revision that has an enum type; nothing for a name that is no enum type's.
std::optional<Revision> created_by(std::string_view enum_type);

// The labels of an enum type at a revision, or at the last one before it that has the type; empty
// if there is none.
std::span<const std::string_view> labels_by(std::string_view enum_type, Revision revision);

// How a run creates the enum types of the chain: with the labels of its target, or as the
// migrations are written, which add labels later.
enum class CreatedTypes
{
    complete,
    as_written
};

// The label that keeps a transaction from going on from one revision to another; null if none does.
// PostgreSQL lets a transaction use a label that it has added to a type only after a commit. If the
// same run creates the type, it creates it with the labels of its target (CreatedTypes::complete),
// unless it runs the migrations as they are written (CreatedTypes::as_written). The result is the
// one whose use comes first.
const AddedLabel *label_needing_commit(Revision from, Revision to, CreatedTypes created);

// The last revision that a transaction which begins at `from` can reach on its way to `to`.
Revision reachable_in_one_transaction(Revision from, Revision to, CreatedTypes created);

} // namespace procrastinate::chain
