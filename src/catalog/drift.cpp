#include "catalog/drift.hpp"

#include "catalog/severity.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

using chain::Fact;

// The name that follows some words; empty where they are not there.
std::string_view word_after(std::string_view text, std::string_view word)
{
    const std::size_t at = text.find(word);
    if (at == std::string_view::npos)
        return {};
    text.remove_prefix(at + word.size());
    return text.substr(0, text.find_first_of(" ."));
}

// The table that something is a part of; empty for what stands by itself.
std::string_view table_of(std::string_view kind, std::string_view key, std::string_view definition)
{
    if (kind == "index")
        return word_after(definition, " ON ");
    if (kind == "sequence")
        return word_after(definition, " owned by ");
    if (kind == "column" || kind == "constraint" || kind == "trigger" || kind == "rule")
        return key.substr(0, key.find('.'));
    return {};
}

// Names of Procrastinate's that are looked for in another schema than the installation's, brought home.
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

bool is_elsewhere(std::string_view expected, std::string_view actual, std::size_t name)
{
    return actual != expected && actual.substr(0, name) == expected.substr(0, name) &&
           unqualified(actual.substr(name)) == expected.substr(name);
}

const chain::FunctionBody *body_of(const CatalogObject &function, std::string_view signature,
                                   chain::Revision revision)
{
    const chain::FunctionBody *found = nullptr;
    for (const chain::FunctionBody &body : chain::function_bodies())
        if (body.md5 == function.body && body.function == signature)
        {
            found = &body;
            if (body.first <= revision && revision <= body.last)
                break;
        }
    return found;
}

Difference missing(const Fact &fact, std::string_view key)
{
    return {Problem::missing,
            severity_of_missing(fact.kind, fact.definition),
            fact.kind,
            std::string(key),
            std::string(fact.definition),
            {},
            &fact,
            nullptr,
            true};
}

Difference extra(const CatalogObject &object)
{
    return {Problem::extra,
            severity_of_extra(object),
            object.kind,
            std::string(object.key),
            {},
            std::string(object.definition),
            nullptr,
            &object,
            object.kind != "view"};
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

// What may be wrong with something that is there and should be.
void compare(const Fact &fact, const CatalogObject &object, chain::Revision revision,
             std::vector<Difference> &differences)
{
    const Severity severity = severity_of_altered(fact, object);
    if (object.definition != fact.definition)
    {
        const bool elsewhere =
            is_elsewhere(fact.definition, object.definition, chain::fact_name(fact).size());
        differences.push_back(other(elsewhere ? Problem::wrong_schema : Problem::altered, severity,
                                    fact, object, fact.definition, object.definition));
        return;
    }
    if (fact.kind == "function")
    {
        const chain::FunctionBody *const body =
            body_of(object, chain::function_signature(fact.definition), revision);
        const auto body_at = [](chain::Revision first) {
            return "body of " + std::string(chain::name(first));
        };
        if (body == nullptr || revision < body->first || body->last < revision)
            differences.push_back(other(Problem::altered, severity, fact, object, body_at(revision),
                                        body == nullptr ? "another body" : body_at(body->first)));
    }
    if (object.flaw == "unvalidated")
        differences.push_back(
            other(Problem::unvalidated, Severity::warning, fact, object, "validated", object.flaw));
    else if (object.flaw == "disabled")
        differences.push_back(
            other(Problem::disabled, severity, fact, object, "enabled", object.flaw));
    else if (object.flaw == "invalid")
        differences.push_back(
            other(Problem::invalid, severity, fact, object, "valid", object.flaw));
    else if (object.flaw == "broken")
    {
        // As shipped, and so of the revision.
        differences.push_back(other(Problem::invalid, severity, fact, object,
                                    "works on every server", "fails on this version"));
        differences.back().is_of_revision = false;
    }
}

// Whether a table's own difference, or a constraint's, says it all.
bool is_told_by_another(const Difference &part, const std::vector<Difference> &all)
{
    const std::string_view definition =
        part.fact != nullptr ? part.fact->definition : part.found->definition;
    const std::string_view table = table_of(part.kind, part.object, definition);
    return std::any_of(all.begin(), all.end(), [&](const Difference &other) {
        if (other.problem != part.problem || &other == &part)
            return false;
        if (other.kind == "table")
            return (part.problem == Problem::missing || part.problem == Problem::extra) &&
                   other.object == table;
        return part.kind == "index" && other.kind == "constraint" &&
               other.object.substr(other.object.find('.') + 1) == part.object;
    });
}

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
    }
    return {};
}

std::string in_words(const Difference &difference)
{
    std::string words(difference.kind);
    words.append(" ").append(difference.object);
    switch (difference.problem)
    {
    case Problem::other_owner:
        return words + " belongs to another role";
    case Problem::wrong_schema:
        return words + " uses another schema";
    default:
        return words.append(" is ").append(name_of(difference.problem));
    }
}

Comparison::Comparison(std::span<const CatalogObject> structure) : objects_(structure)
{
    const auto find = [structure](std::string_view kind,
                                  std::string_view key) -> const CatalogObject * {
        const auto found =
            std::find_if(structure.begin(), structure.end(), [&](const CatalogObject &object) {
                return object.kind == kind && object.key == key;
            });
        return found == structure.end() ? nullptr : &*found;
    };
    facts_.reserve(chain::facts().size());
    for (const Fact &fact : chain::facts())
    {
        std::string key = chain::fact_key(fact);
        const CatalogObject *const object = find(fact.kind, key);
        facts_.push_back({&fact, std::move(key), object});
    }
    if (const CatalogObject *const jobs = find("table", "procrastinate_jobs"))
        owner_ = jobs->owner;
}

const CatalogObject *Comparison::object_of(const chain::Fact &fact) const
{
    return facts_[static_cast<std::size_t>(&fact - chain::facts().data())].found;
}

std::vector<Difference> Comparison::with(chain::Revision revision) const
{
    std::vector<Difference> found;
    std::vector<const CatalogObject *> met;
    for (const Known &known : facts_)
    {
        if (!chain::is_at(*known.fact, revision))
            continue;
        if (known.found == nullptr)
        {
            found.push_back(missing(*known.fact, known.key));
            found.back().is_name_taken = std::any_of(
                objects_.begin(), objects_.end(), [&known](const CatalogObject &object) {
                    return known.fact->kind == "constraint" && object.kind == "index" &&
                           object.key == known.key.substr(known.key.find('.') + 1);
                });
            continue;
        }
        met.push_back(known.found);
        compare(*known.fact, *known.found, revision, found);
        const std::string_view owner = known.found->owner;
        if (!owner.empty() && !owner_.empty() && owner != owner_)
            found.push_back(other(Problem::other_owner, Severity::warning, *known.fact,
                                  *known.found, owner_, owner));
    }
    for (const CatalogObject &object : objects_)
        if (std::find(met.begin(), met.end(), &object) == met.end())
            found.push_back(extra(object));

    std::vector<Difference> told;
    for (const Difference &one : found)
        if (!is_told_by_another(one, found))
            told.push_back(one);
    std::stable_sort(told.begin(), told.end(), [](const Difference &left, const Difference &right) {
        return left.severity > right.severity;
    });
    return told;
}

RevisionMatch match_of(chain::Revision revision, std::span<const Difference> differences)
{
    RevisionMatch match{revision, 0, 0, 0};
    for (const Difference &one : differences)
    {
        if (!one.is_of_revision)
            continue;
        int &count = one.problem == Problem::missing ? match.missing
                     : one.problem == Problem::extra ? match.extra
                                                     : match.altered;
        ++count;
    }
    return match;
}

std::vector<RevisionMatch> closest_revisions(std::span<const CatalogObject> structure)
{
    constexpr std::size_t most = 3;
    std::vector<RevisionMatch> matches;
    if (structure.empty())
        return matches;
    const Comparison comparison(structure);
    for (chain::Revision revision = chain::base; revision <= chain::head(); ++revision)
        matches.push_back(match_of(revision, comparison.with(revision)));
    // Among equals the later one: the chain only goes on.
    std::sort(matches.begin(), matches.end(),
              [](const RevisionMatch &left, const RevisionMatch &right) {
                  return std::pair(left.differences(), -left.revision) <
                         std::pair(right.differences(), -right.revision);
              });
    const auto end =
        matches.front().is_exact()
            ? std::find_if(matches.begin(), matches.end(),
                           [](const RevisionMatch &match) { return !match.is_exact(); })
            : matches.begin() + most;
    matches.erase(end, matches.end());
    return matches;
}

std::optional<chain::Revision> exact_match(std::span<const CatalogObject> structure)
{
    const std::vector<RevisionMatch> matches = closest_revisions(structure);
    return !matches.empty() && matches.front().is_exact() ? std::optional(matches.front().revision)
                                                          : std::nullopt;
}

} // namespace procrastinate::catalog
