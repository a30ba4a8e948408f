#include "catalog/drift.hpp"

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

// Removes other schemas' names before names of Procrastinate's from a definition.
std::string unqualified(std::string_view definition)
{
    constexpr std::string_view ours = ".procrastinate_";
    std::string text(definition);
    for (std::size_t dot = text.find(ours); dot != std::string::npos; dot = text.find(ours, dot))
    {
        std::size_t begin = dot;
        if (begin > 0 && text[begin - 1] == '"')
        {
            --begin;
            while (begin > 0 && text[begin - 1] != '"')
                --begin;
            begin = begin > 0 ? begin - 1 : 0;
        }
        else
            while (begin > 0 &&
                   std::string_view(" '(,:[").find(text[begin - 1]) == std::string_view::npos)
                --begin;
        text.erase(begin, dot + 1 - begin);
        dot = begin;
    }
    return text;
}

// True if the definitions differ only by the schemas in which the objects look for others.
bool uses_another_schema(const Fact &fact, const CatalogObject &object)
{
    // The key of a part holds a dot of its own: "procrastinate_jobs.procrastinate_jobs_pkey".
    const bool is_part = fact.kind == Kind::column || fact.kind == Kind::constraint;
    const std::size_t key = is_part ? fact.key.size() : 0;
    return object.text.substr(0, key) == fact.text.substr(0, key) &&
           unqualified(object.text.substr(key)) == fact.text.substr(key);
}

bool is_body_at(const chain::FunctionBody &body, chain::Revision revision)
{
    return body.first <= revision && revision <= body.last;
}

// The known body that has a hash: that of the revision, else one of another revision, else null.
const chain::FunctionBody *body_of(std::string_view hash,
                                   std::string_view chain::FunctionBody::*of_body,
                                   std::string_view signature, chain::Revision revision)
{
    const chain::FunctionBody *found = nullptr;
    if (hash.empty())
        return found;
    for (const chain::FunctionBody &body : chain::function_bodies())
        if (body.*of_body == hash && body.signature == signature)
        {
            found = &body;
            if (is_body_at(body, revision))
                break;
        }
    return found;
}

// The known body that a function has. What was changed in white space only is the same body. The
// exact text comes first: bodies of two revisions might differ in white space only.
const chain::FunctionBody *body_of(const CatalogObject &function, std::string_view signature,
                                   chain::Revision revision)
{
    using chain::FunctionBody;
    const FunctionBody *found = body_of(function.body, &FunctionBody::md5, signature, revision);
    if (found == nullptr)
        found = body_of(function.lf_body, &FunctionBody::md5, signature, revision);
    if (found == nullptr)
        found = body_of(function.stripped_body, &FunctionBody::stripped_md5, signature, revision);
    return found;
}

// True if only settings (ALTER FUNCTION ... SET) were added to the function, or the sequence only
// counts otherwise.
bool has_settings_only(const Fact &fact, const CatalogObject &object)
{
    const std::string_view separator = fact.kind == Kind::function ? " set " : " ";
    return !object.settings.empty() &&
           object.text == std::string(fact.text).append(separator).append(object.settings);
}

// True if a schema at the revision may have these settings.
bool is_usual(const CatalogObject &object)
{
    return object.kind == Kind::sequence || object.kind_of_settings == Settings::this_schema;
}

Difference missing(const Fact &fact, std::span<const CatalogObject> objects)
{
    Difference difference{Problem::missing,
                          severity_of_missing(fact),
                          fact.kind,
                          std::string(fact.key),
                          std::string(fact.text),
                          {},
                          &fact,
                          nullptr,
                          true};
    difference.is_name_taken =
        fact.kind == Kind::constraint &&
        std::any_of(objects.begin(), objects.end(), [&fact](const CatalogObject &object) {
            return object.kind == Kind::index && object.key == fact.name;
        });
    return difference;
}

Difference extra(const CatalogObject &object)
{
    return {Problem::extra,
            severity_of_extra(object),
            object.kind,
            std::string(object.key),
            {},
            std::string(object.text),
            nullptr,
            &object,
            object.kind != Kind::view};
}

Difference other(Problem problem, Severity severity, const Fact &fact, const CatalogObject &object,
                 std::string_view expected, std::string_view actual)
{
    return {problem,
            severity,
            fact.kind,
            std::string(object.key),
            std::string(expected),
            std::string(actual),
            &fact,
            &object,
            problem != Problem::other_owner};
}

void compare_body(const Fact &fact, const CatalogObject &object, chain::Revision revision,
                  std::vector<Difference> &differences)
{
    const chain::FunctionBody *const body = body_of(object, fact.signature, revision);
    const auto body_at = [](chain::Revision first) {
        return "body of " + std::string(chain::name(first));
    };
    if (body == nullptr || !is_body_at(*body, revision))
        differences.push_back(other(Problem::altered, severity_of_altered(fact, object), fact,
                                    object, body_at(revision),
                                    body == nullptr ? "another body" : body_at(body->first)));
}

void compare_flaw(const Fact &fact, const CatalogObject &object,
                  std::vector<Difference> &differences)
{
    const auto add = [&](Problem problem, Severity severity, std::string_view expected,
                         std::string_view actual) {
        differences.push_back(other(problem, severity, fact, object, expected, actual));
    };
    const Severity severity = severity_of_altered(fact, object);
    const std::string_view flaw = name_of(object.flaw);
    switch (object.flaw)
    {
    case Flaw::unvalidated:
        add(Problem::unvalidated, Severity::warning, "validated", flaw);
        break;
    case Flaw::disabled:
        add(Problem::disabled, severity, "enabled", flaw);
        break;
    case Flaw::invalid:
        add(Problem::invalid, severity, "valid", flaw);
        break;
    case Flaw::broken:
        add(Problem::invalid, severity, "works on every server", "fails on this version");
        differences.back().is_of_revision = false;
        break;
    case Flaw::none:
    case Flaw::required:
    case Flaw::instead:
        break;
    }
}

// Compares an object that is there and should be.
void compare(const Fact &fact, const CatalogObject &object, chain::Revision revision,
             std::vector<Difference> &differences)
{
    if (has_settings_only(fact, object))
    {
        differences.push_back(other(Problem::altered, severity_of_settings(object), fact, object,
                                    fact.text, object.text));
        differences.back().is_of_revision = !is_usual(object);
    }
    else if (object.text != fact.text)
    {
        differences.push_back(
            other(uses_another_schema(fact, object) ? Problem::wrong_schema : Problem::altered,
                  severity_of_altered(fact, object), fact, object, fact.text, object.text));
        return;
    }
    if (fact.kind == Kind::function)
        compare_body(fact, object, revision, differences);
    compare_flaw(fact, object, differences);
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
            else if (one.kind == Kind::constraint)
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
    default:
        return words.append(" is ").append(name_of(difference.problem));
    }
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

std::vector<Difference> Comparison::all_differences(chain::Revision revision) const
{
    std::vector<Difference> all;
    std::vector<const CatalogObject *> expected;
    for (const Fact &fact : chain::facts())
    {
        if (!chain::is_at(fact, revision))
            continue;
        const CatalogObject *const object = object_of(fact);
        if (object == nullptr)
        {
            all.push_back(missing(fact, objects_));
            continue;
        }
        expected.push_back(object);
        compare(fact, *object, revision, all);
        const std::string_view owner = object->owner;
        if (!owner.empty() && !owner_.empty() && owner != owner_)
            all.push_back(
                other(Problem::other_owner, Severity::warning, fact, *object, owner_, owner));
    }
    for (const CatalogObject &object : objects_)
        if (std::find(expected.begin(), expected.end(), &object) == expected.end())
            all.push_back(extra(object));
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
