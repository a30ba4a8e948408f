#include "chain/chain.hpp"

#include "chain/facts.hpp"
#include "chain/step.hpp"
#include "common/quoting.hpp"
#include "common/template.hpp"

#include <array>

namespace procrastinate::chain
{

namespace
{
#include "embedded.inc"
} // namespace

std::span<const Migration> migrations() { return migration_table; }

std::span<const WrittenStep> written_steps() { return step_table; }

std::span<const Release> releases() { return release_table; }

std::span<const Fact> facts() { return fact_table; }

std::span<const FunctionBody> function_bodies() { return function_body_table; }

std::span<const FunctionSource> function_sources() { return function_source_table; }

std::span<const AddedLabel> added_labels() { return added_label_table; }

std::span<const LabelChange> label_changes() { return label_change_table; }

std::string head_script(std::string_view quoted_schema)
{
    return common::substitute(
        head_text,
        {{"schema", quoted_schema}, {"schema_in_literal", common::doubled(quoted_schema, "'")}});
}

Revision head() { return static_cast<Revision>(std::size(migration_table)); }

const Migration &migration(Revision revision)
{
    return migrations()[static_cast<std::size_t>(revision) - 1];
}

std::string_view name(Revision revision)
{
    return revision == base ? std::string_view("base") : migration(revision).revision;
}

std::string_view phase_name(Phase phase)
{
    switch (phase)
    {
    case Phase::pre:
        return "pre";
    case Phase::post:
        return "post";
    case Phase::none:
        break;
    }
    return {};
}

} // namespace procrastinate::chain
