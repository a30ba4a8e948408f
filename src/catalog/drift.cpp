#include "catalog/drift.hpp"

#include "catalog/definition_text.hpp"
#include "catalog/object_comparison.hpp"
#include "catalog/renames.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace procrastinate::catalog
{

namespace
{

using chain::Fact;
using chain::Kind;

constexpr std::string_view grant_separator = " for ";

// True if the object says nothing that another difference does not: a sequence of another name
// belongs to a column that is the user's, or that has another default.
bool is_implied(const CatalogObject &object)
{
    const auto facts = chain::facts();
    return object.kind == Kind::sequence && !object.table.empty() &&
           std::none_of(facts.begin(), facts.end(), [&object](const Fact &fact) {
               return fact.kind == Kind::sequence && fact.name == object.name;
           });
}

const chain::Definition &definition_of(const Difference &difference)
{
    if (difference.fact != nullptr)
        return *difference.fact;
    return *difference.found;
}

// The differences that include those of their parts: of a table its parts', of a constraint its
// index's. Sets, because a schema may hold thousands of objects of the same name.
class Wholes
{
  public:
    explicit Wholes(const std::vector<Difference> &all)
    {
        for (const Difference &one : all)
            if (one.kind == Kind::table)
                tables_.emplace(one.problem, one.object);
            else if (has_index(definition_of(one)))
                constraints_.emplace(one.problem, definition_of(one).name);
    }

    bool include(const Difference &part) const
    {
        const bool is_whole = part.problem == Problem::missing || part.problem == Problem::extra;
        return (is_whole && part.kind != Kind::table &&
                tables_.contains({part.problem, definition_of(part).table})) ||
               (part.kind == Kind::index && constraints_.contains({part.problem, part.object}));
    }

  private:
    using Names = std::set<std::pair<Problem, std::string_view>>;

    Names tables_;
    Names constraints_;
};

} // namespace

std::string_view name_of(Problem problem)
{
    switch (problem)
    {
    case Problem::missing:
        return "missing";
    case Problem::extra:
        return "extra";
    case Problem::altered:
        return "altered";
    case Problem::invalid:
        return "invalid";
    case Problem::unvalidated:
        return "unvalidated";
    case Problem::disabled:
        return "disabled";
    case Problem::other_owner:
        return "other owner";
    case Problem::wrong_schema:
        return "wrong schema";
    case Problem::lacking_grant:
        return "missing grant";
    case Problem::renamed:
        return "renamed";
    case Problem::unknown:
        return "unknown";
    }
    return {};
}

bool is_lost(const Difference &difference)
{
    return difference.problem == Problem::altered && difference.kind == Kind::function &&
           difference.found->kind_of_settings == Settings::other_schema &&
           difference.actual == difference.found->text;
}

std::string grant_in_words(std::string_view privileges, std::string_view role)
{
    return std::string(privileges).append(grant_separator).append(role);
}

std::pair<std::string_view, std::string_view> words_of_grant(std::string_view text)
{
    // No privilege contains the separator; a role's name may.
    const std::size_t end = text.find(grant_separator);
    return {text.substr(0, end), text.substr(end + grant_separator.size())};
}

std::string in_words(const Difference &difference)
{
    std::string words(chain::kind_name(difference.kind));
    words.append(" ").append(difference.object);
    switch (difference.problem)
    {
    case Problem::other_owner:
        return words + " belongs to another role";
    case Problem::wrong_schema:
        return words + " uses another schema";
    case Problem::lacking_grant:
        return words + " lacks a grant";
    case Problem::renamed:
        return words.append(" is called ").append(difference.found->name);
    case Problem::unknown:
        return words + " is of no revision known here";
    default:
        return words.append(" is ").append(name_of(difference.problem));
    }
}

bool is_empty(std::span<const CatalogObject> structure)
{
    return std::all_of(structure.begin(), structure.end(),
                       [](const CatalogObject &object) { return object.flaw == Flaw::unknown; });
}

Comparison::Comparison(std::span<const CatalogObject> structure) : objects_(structure)
{
    const auto find = [structure](Kind kind, std::string_view key) -> const CatalogObject * {
        const auto found =
            std::find_if(structure.begin(), structure.end(), [&](const CatalogObject &object) {
                return object.kind == kind && object.key == key;
            });
        return found == structure.end() ? nullptr : &*found;
    };
    found_.reserve(chain::facts().size());
    for (const Fact &fact : chain::facts())
        found_.push_back(find(fact.kind, fact.key));
    if (const CatalogObject *const jobs = find(Kind::table, "procrastinate_jobs"))
        owner_ = jobs->owner;
}

const CatalogObject *Comparison::object_of(const Fact &fact) const
{
    return found_[static_cast<std::size_t>(&fact - chain::facts().data())];
}

// True if a function or trigger is there that the migration drops.
bool Comparison::has_code_dropped_by(chain::Revision revision) const
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
        return (fact.kind == Kind::function || fact.kind == Kind::trigger) &&
               fact.last == revision - 1 && object_of(fact) != nullptr &&
               std::none_of(facts.begin(), facts.end(), [&](const Fact &later) {
                   return later.kind == fact.kind && later.key == fact.key &&
                          later.first >= revision;
               });
    });
}

std::vector<Difference> Comparison::all_differences(chain::Revision revision) const
{
    std::vector<const Fact *> gone;
    std::vector<const CatalogObject *> expected;
    for (const Fact &fact : chain::facts())
        if (chain::is_at(fact, revision))
        {
            const CatalogObject *const object = object_of(fact);
            if (object == nullptr)
                gone.push_back(&fact);
            else
                expected.push_back(object);
        }
    std::vector<const CatalogObject *> others;
    for (const CatalogObject &object : objects_)
        if (std::find(expected.begin(), expected.end(), &object) == expected.end())
            others.push_back(&object);
    const Renames renames(gone, others);

    std::vector<Difference> all;
    for (const Fact &fact : chain::facts())
    {
        if (!chain::is_at(fact, revision))
            continue;
        const CatalogObject *const object = object_of(fact);
        if (object == nullptr)
        {
            const CatalogObject *const found = renames.found(fact);
            all.push_back(found == nullptr ? missing(fact, objects_)
                                           : renamed(fact, *found, objects_));
            continue;
        }
        if (fact.kind != Kind::column || !renames.explain(fact, *object))
            compare(fact, *object, revision, all);
        const std::string_view owner = object->owner;
        if (!owner.empty() && !owner_.empty() && owner != owner_)
            all.push_back(
                other(Problem::other_owner, Severity::warning, fact, *object, owner_, owner));
    }
    for (const CatalogObject *const object : others)
        if (!renames.has(*object) && !is_implied(*object))
            all.push_back(extra(*object));
    for (Difference &one : all)
        if (one.fact != nullptr && is_post(one.fact->first) && has_code_dropped_by(one.fact->first))
            one.left_to = std::max(one.left_to, one.fact->first);
    return all;
}

std::vector<Difference> Comparison::with(chain::Revision revision) const
{
    const std::vector<Difference> all = all_differences(revision);
    const Wholes wholes(all);
    std::vector<Difference> shown;
    for (const Difference &one : all)
        if (!wholes.include(one))
            shown.push_back(one);
    std::stable_sort(shown.begin(), shown.end(),
                     [](const Difference &left, const Difference &right) {
                         return left.severity > right.severity;
                     });
    return shown;
}

} // namespace procrastinate::catalog
