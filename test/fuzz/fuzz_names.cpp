// Names that the library reads from tables and settings, which other roles may have written: steps
// of the history, ids of Alembic and Django; and positions in SQL text.
#include "chain/external_ids.hpp"
#include "chain/step.hpp"
#include "upgrade/sql_text.hpp"

#include "require.hpp"

namespace
{

namespace chain = procrastinate::chain;
namespace upgrade = procrastinate::upgrade;

void read_step_name(std::string_view text)
{
    chain::StepName name{};
    if (!chain::parse_step_name(text, name))
        return;
    // What was read is written and read again in the same way.
    const std::string written = chain::step_name(name);
    chain::StepName again{};
    require(chain::parse_step_name(written, again));
    require(again.revision == name.revision && again.number == name.number);
    require(again.position.has_value() == name.position.has_value());
    require(!name.position || (again.position->done == name.position->done &&
                               again.position->last == name.position->last));
}

void read_external_ids(std::string_view text)
{
    if (const std::optional<chain::AlembicId> id = chain::read_alembic_id(text))
        require(chain::alembic_id(id->revision, id->form) == text);
    for (const auto revision :
         {chain::revision_of_alembic_name(text), chain::revision_of_django(text)})
        require(!revision || (chain::base <= *revision && *revision <= chain::head()));
    const chain::DjangoNames names(text);
    for (int number = 1; number <= names.count(); ++number)
        require(names.number_of(names.name(number)) == number);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    read_step_name(text);
    read_external_ids(text);
    const std::size_t blank = upgrade::leading_blank(text);
    require(blank <= size);
    require(upgrade::line_at(text, blank) >= 1);
    return 0;
}
