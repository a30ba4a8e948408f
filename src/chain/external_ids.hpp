// The ids by which Alembic packages and Procrastinate's Django app know the revisions.
#pragma once

#include "chain/chain.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::chain
{

// Which ids of Alembic's version table are this chain's.
enum class AlembicIds
{
    found,     // told by the rows of the table
    plain,     // 0001 is revision 0001
    zero_based // procrastinate_0000 is revision 0001
};

// How a package of the chain spells its ids: "<prefix><number>", and "_<file>" for some.
struct AlembicForm
{
    std::string_view prefix = {}; // with the separator at its end: "procrastinate_"
    int first = 1;                // the number of revision 0001: 1 or 0
    bool has_file = false;        // 0031_03.00.00_50_post_cancel_notification

    // A number alone may be an id of any other chain.
    bool is_plain() const { return prefix.empty() && !has_file; }
    bool operator==(const AlembicForm &) const = default;
};

inline constexpr AlembicForm plain_form{};
inline constexpr AlembicForm zero_based_form{"procrastinate_", 0, false};

struct AlembicId
{
    Revision revision;
    AlembicForm form; // its prefix is a part of the text that was read
};

// The id of a revision in Alembic's version table. Empty for base, which has no row there.
std::string alembic_id(Revision revision, const AlembicForm &form);

// Reads an id: four digits, zero-based four digits after "procrastinate_", also with words in front
// of it ("jobs_procrastinate_0030"), or four digits and the name of a migration's file, after any
// prefix that ends in "_" or "-". Nothing if the chain has no such revision, or if a prefix has
// other characters than those of an identifier, "." and "-".
std::optional<AlembicId> read_alembic_id(std::string_view id);

// The revision of an id that is more than a number; it may end in ".py" or ".sql", as the file of
// that revision does. Nothing for any other text.
std::optional<Revision> revision_of_alembic_name(std::string_view name);

// The revision that the schema has after the Django migration of that name ("0031_...") and all
// before it. Django numbers differently, and three of its migrations have no SQL. Nothing if it is
// no revision of the chain: after Django's 0002 the schema has our 0003 without our 0002.
std::optional<Revision> revision_of_django(std::string_view last);

// The first four characters of the name of the Django migration that makes a revision: "0031".
std::string django_prefix(Revision revision);

// The number of Django migrations, from the first, that have been applied at a revision.
struct DjangoCount
{
    int with_sql; // up to the last one that has SQL
    int all;      // with the ones after it that have none
};
DjangoCount django_count(Revision revision);

// The full names of Django's migrations. The chain does not know them, so users give them.
class DjangoNames
{
  public:
    // Reads words of four digits, "_" and a name, with blanks or commas between them. Skips other
    // words.
    explicit DjangoNames(std::string_view words);

    // The number of names, from 0001 on up to the first gap; 0 if a number is there twice.
    int count() const { return static_cast<int>(names_.size()); }
    // The name of a number from 1 to count().
    std::string_view name(int number) const { return names_[static_cast<std::size_t>(number - 1)]; }
    // The number of a full name; nothing if there is none.
    std::optional<int> number_of(std::string_view name) const;

  private:
    std::vector<std::string> names_;
};

} // namespace procrastinate::chain
