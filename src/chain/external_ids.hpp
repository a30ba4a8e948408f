// How other tools call the revisions of this chain.
#pragma once

#include "chain/chain.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::chain
{

// Alembic packages of the chain number in two ways: 0001 to 0038, and procrastinate_0000 to
// procrastinate_0037.
enum class AlembicIds
{
    plain,
    zero_based
};

// In Alembic's table; empty for base, which has no row there.
std::string alembic_id(Revision revision, AlembicIds ids);

// Nothing where it is none of this chain's.
std::optional<Revision> revision_of_alembic(std::string_view id);

// The revision that Django's migrations of the app `procrastinate` have made once the one of this name
// ("0031_…") is the last: Django numbers differently, and three of its migrations have no SQL. Nothing
// where that is no revision of the chain: Django's 0002 is our 0003 without our 0002.
std::optional<Revision> revision_of_django(std::string_view last);

// The beginning of the name of Django's migration that makes a revision: "0031".
std::string django_prefix(Revision revision);

// How many of Django's migrations, from its first, have been applied at a revision: as far as the last
// that has SQL, and with those behind it that have none.
struct DjangoCount
{
    int with_sql;
    int all;
};
DjangoCount django_count(Revision revision);

// The full names of Django's migrations, which no fact of the chain tells.
class DjangoNames
{
  public:
    // Words that begin with four digits and "_", parted by blanks or commas; others are passed over.
    explicit DjangoNames(std::string_view words);

    // From 0001 on without a gap; none where a number is there twice.
    int count() const { return static_cast<int>(names_.size()); }
    std::string_view name(int number) const { return names_[static_cast<std::size_t>(number - 1)]; }
    std::optional<int> number_of(std::string_view name) const;

  private:
    std::vector<std::string> names_;
};

} // namespace procrastinate::chain
