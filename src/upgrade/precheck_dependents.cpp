#include "upgrade/precheck_dependents.hpp"

#include "common/findings.hpp"
#include "server/spi.hpp"
#include "sql/dependents.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::CatalogObject;
using catalog::Comparison;
using chain::Fact;
using chain::Kind;
using chain::Revision;

enum class Effect
{
    drops,
    changes // the type of a column
};

std::string_view verb_of(Effect effect) { return effect == Effect::drops ? "drops" : "changes"; }

// The migration that drops or changes an object.
struct End
{
    Revision by;
    Effect change;
};

// The end of an object on the way from `current` to `target`; nothing if it stays.
std::optional<End> end_of(const Fact &fact, Revision current, Revision target)
{
    if (!chain::is_at(fact, current) || fact.kind == Kind::enum_type)
        return std::nullopt;
    const auto facts = chain::facts();
    // An object whose definition changes is several facts, one after the other.
    for (const Fact *now = &fact; !chain::is_at(*now, target);)
    {
        const Revision by = now->last + 1;
        const auto next = std::find_if(facts.begin(), facts.end(), [&](const Fact &one) {
            return one.first == by && one.kind == fact.kind && one.key == fact.key;
        });
        if (next == facts.end())
            return End{by, Effect::drops};
        // A default or NOT NULL can change under an object that depends on the column.
        if (fact.kind == Kind::column && next->type != fact.type)
            return End{by, Effect::changes};
        now = &*next;
    }
    return std::nullopt;
}

// True for a column whose table is dropped: the table is looked at instead.
bool is_part_of_dropped_table(const Fact &part, Revision current, Revision target)
{
    const auto facts = chain::facts();
    return part.kind == Kind::column &&
           std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
               return fact.kind == Kind::table && fact.name == part.table &&
                      end_of(fact, current, target);
           });
}

// References to objects as dependents.sql takes them: three lists parted by blanks.
struct References
{
    std::string classes;
    std::string objects;
    std::string columns;

    void add(const CatalogObject &object)
    {
        const char *const blank = classes.empty() ? "" : " ";
        classes += blank + std::to_string(object.class_id);
        objects += blank + std::to_string(object.object_id);
        columns += blank + std::to_string(object.sub_id);
    }
};

// The objects that end, and all objects of the installation.
struct Question
{
    std::vector<std::string> ends; // "function f(), which 0031 drops"
    References ending;
    std::string changes; // for each that ends whether it is only changed: "t" or "f"
    References ours;
};

Question question_about(const Comparison &comparison, Revision current, Revision target)
{
    Question question;
    for (const Fact &fact : chain::facts())
    {
        const CatalogObject *const object = comparison.object_of(fact);
        if (object == nullptr || !chain::is_at(fact, current))
            continue;
        question.ours.add(*object);
        const std::optional<End> end = end_of(fact, current, target);
        if (!end || is_part_of_dropped_table(fact, current, target))
            continue;
        question.ending.add(*object);
        question.changes.append(question.changes.empty() ? "" : " ")
            .append(end->change == Effect::changes ? "t" : "f");
        question.ends.push_back(
            std::string(chain::kind_name(fact.kind)) + " " + std::string(fact.key) + ", which " +
            std::string(chain::name(end->by)) + " " + std::string(verb_of(end->change)));
    }
    return question;
}

} // namespace

std::vector<std::string> find_dependents(const Comparison &comparison, Revision current,
                                         Revision target)
{
    const Question question = question_about(comparison, current, target);
    std::vector<std::string> found;
    if (question.ends.empty())
        return found;
    const std::array parameters{
        spi::text_parameter(question.ending.classes), spi::text_parameter(question.ending.objects),
        spi::text_parameter(question.ending.columns), spi::text_parameter(question.changes),
        spi::text_parameter(question.ours.classes),   spi::text_parameter(question.ours.objects),
        spi::text_parameter(question.ours.columns)};
    const spi::Rows rows = spi::read_latest(sql::dependents, parameters);
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const auto place = static_cast<std::size_t>(DatumGetInt64(rows.datum(row, 1).value_or(1)));
        const std::string dependent(rows.text(row, 2).value_or("something"));
        found.push_back(common::capitalized(dependent) + " uses " + question.ends[place - 1]);
    }
    return found;
}

} // namespace procrastinate::upgrade
