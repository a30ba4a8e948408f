#include "catalog/object_comparison.hpp"

#include "catalog/definition_text.hpp"
#include "catalog/renames.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

using chain::Fact;
using chain::Kind;

namespace
{

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
            if (chain::is_at(body, revision))
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
    return object.kind == Kind::sequence || object.kind_of_settings != Settings::other_schema;
}

// True if another object has the name of the fact, or that of an index or sequence of the table.
bool is_taken(const Fact &fact, std::span<const CatalogObject> objects)
{
    const auto has_name = [objects](std::string_view name) {
        return std::any_of(objects.begin(), objects.end(), [name](const CatalogObject &object) {
            switch (object.kind)
            {
            case Kind::column:
            case Kind::constraint:
            case Kind::function:
            case Kind::trigger:
            case Kind::rule:
            case Kind::view:
                return false;
            default:
                return object.key == name;
            }
        });
    };
    const bool is_in_schema = fact.kind != Kind::column && fact.kind != Kind::function &&
                              fact.kind != Kind::trigger &&
                              (fact.kind != Kind::constraint || has_index(fact));
    if (!is_in_schema)
        return false;
    const auto facts = chain::facts();
    return has_name(fact.name) ||
           (fact.kind == Kind::table &&
            std::any_of(facts.begin(), facts.end(), [&](const Fact &part) {
                return (part.kind == Kind::index || part.kind == Kind::sequence) &&
                       part.table == fact.name && has_name(part.name);
            }));
}

// The revision from which on the function has the body that it has at another one.
chain::Revision first_of_body(std::string_view signature, chain::Revision revision)
{
    chain::Revision first = chain::base;
    for (const chain::FunctionBody &body : chain::function_bodies())
        if (body.signature == signature && chain::is_at(body, revision))
            first = std::max(first, body.first);
    return first;
}

void compare_body(const Fact &fact, const CatalogObject &object, chain::Revision revision,
                  std::vector<Difference> &differences)
{
    const chain::FunctionBody *const body = body_of(object, fact.signature, revision);
    const auto body_at = [](chain::Revision first) {
        return "body of " + std::string(chain::name(first));
    };
    if (body != nullptr && chain::is_at(*body, revision))
        return;
    differences.push_back(other(Problem::altered, severity_of_altered(fact, object), fact, object,
                                body_at(revision),
                                body == nullptr ? "another body" : body_at(body->first)));
    const chain::Revision since = first_of_body(fact.signature, revision);
    if (body != nullptr && body->last < since && is_post(since))
        differences.back().left_to = since;
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
    case Flaw::unknown:
        break;
    }
}

} // namespace

bool is_post(chain::Revision revision)
{
    return revision != chain::base && chain::migration(revision).phase == chain::Phase::post;
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
    difference.is_name_taken = is_taken(fact, objects);
    return difference;
}

Difference renamed(const Fact &fact, const CatalogObject &object,
                   std::span<const CatalogObject> objects)
{
    return {Problem::renamed,
            severity_of_renamed(fact),
            fact.kind,
            std::string(fact.key),
            std::string(fact.text),
            std::string(object.text),
            &fact,
            &object,
            true,
            is_taken(fact, objects)};
}

// True if some revision has an object of the name, or one like it: that may have been renamed. A
// user's own tells nothing of the revision.
bool is_of_a_revision(const CatalogObject &object)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&object](const Fact &fact) {
        return fact.kind == object.kind &&
               (fact.key == object.key || fits(fact, object) ||
                (fact.kind == Kind::function && fact.name == object.name));
    });
}

Difference extra(const CatalogObject &object)
{
    return {object.flaw == Flaw::unknown ? Problem::unknown : Problem::extra,
            severity_of_extra(object),
            object.kind,
            std::string(object.key),
            {},
            std::string(object.text),
            nullptr,
            &object,
            is_of_a_revision(object)};
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
        // How a table is stored, and who sees its rows, its owner may choose.
        differences.back().is_of_revision = fact.kind != Kind::table || !object.is_plain_table;
        return;
    }
    if (fact.kind == Kind::function)
        compare_body(fact, object, revision, differences);
    compare_flaw(fact, object, differences);
}

} // namespace procrastinate::catalog
