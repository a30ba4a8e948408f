// A made-up schema for unit tests of drift and repair: the objects of a revision, to be changed.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/repair_statements.hpp"

#include <algorithm>
#include <deque>

namespace procrastinate::test
{

using catalog::CatalogObject;
using catalog::Difference;
using chain::Kind;

// Named objects are taken from this revision: a later one may have others.
inline constexpr chain::Revision known_revision = 38;

// Which of the bodies that a function may have.
enum class Bodies
{
    first, // upstream's, which come first in the table
    last,  // ours
    turns
};

// In the order of the facts.
class Schema
{
  public:
    explicit Schema(chain::Revision revision, Bodies bodies = Bodies::last)
    {
        bool turn = false;
        for (const chain::Fact &fact : chain::facts())
        {
            if (!chain::is_at(fact, revision))
                continue;
            turn = !turn;
            const bool first = bodies == Bodies::first || (bodies == Bodies::turns && turn);
            CatalogObject object{fact};
            if (fact.kind == Kind::function)
                object.body = body_of(fact, revision, first);
            objects_.push_back(object);
        }
    }

    std::vector<CatalogObject> &objects() { return objects_; }
    const std::vector<CatalogObject> &objects() const { return objects_; }

    CatalogObject &object(Kind kind, std::string_view key)
    {
        return *std::find_if(objects_.begin(), objects_.end(), [&](const CatalogObject &object) {
            return object.kind == kind && object.key == key;
        });
    }

    void drop(Kind kind, std::string_view key)
    {
        std::erase_if(objects_, [&](const CatalogObject &object) {
            return object.kind == kind && object.key == key;
        });
    }

    std::string_view keep(std::string text)
    {
        texts_.push_back(std::move(text));
        return texts_.back();
    }

    std::vector<Difference> with(chain::Revision revision) const
    {
        return catalog::Comparison(objects_).with(revision);
    }

    // The only difference, in words, with its severity and its repair.
    std::string only(chain::Revision revision) const
    {
        const std::vector<Difference> differences = with(revision);
        if (differences.size() != 1)
            return std::to_string(differences.size()) + " differences";
        const Difference &one = differences.front();
        return std::string(catalog::name_of(one.severity)) + ": " + catalog::in_words(one) + " | " +
               catalog::repair_statements(differences, revision, "s").front();
    }

  private:
    static std::string_view body_of(const chain::Fact &fact, chain::Revision revision, bool first)
    {
        std::string_view found;
        for (const chain::FunctionBody &body : chain::function_bodies())
            if (body.signature == fact.signature && body.first <= revision && revision <= body.last)
            {
                found = body.md5;
                if (first)
                    break;
            }
        return found;
    }

    std::deque<std::string> texts_;
    std::vector<CatalogObject> objects_;
};

} // namespace procrastinate::test
