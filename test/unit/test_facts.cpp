// Unit tests of the typed facts: definitions and their parts, enum labels across revisions.
#include "chain/facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace
{

using namespace procrastinate::chain;

const Fact &fact_of(Kind kind, std::string_view key, Revision revision)
{
    const auto all = facts();
    const auto found = std::find_if(all.begin(), all.end(), [&](const Fact &fact) {
        return fact.kind == kind && fact.key == key && is_at(fact, revision);
    });
    if (found == all.end())
        throw std::invalid_argument("no fact " + std::string(key));
    return *found;
}

TEST(Facts, LiveOnTheChain)
{
    ASSERT_GE(facts().size(), 149U);
    for (const Fact &fact : facts())
    {
        EXPECT_LE(1, fact.first);
        EXPECT_LE(fact.first, fact.last);
        EXPECT_LE(fact.last, head());
        EXPECT_NE(fact.text.find(fact.name), std::string_view::npos) << fact.text;
        EXPECT_NE(fact.key.find(fact.name), std::string_view::npos) << fact.text;
    }
}

TEST(Facts, OpenOnesHoldAtHead)
{
    EXPECT_EQ(fact_of(Kind::table, "procrastinate_jobs", 1).last, head());
    EXPECT_EQ(fact_of(Kind::table, "procrastinate_version", 1).last, 3);
}

// The parts of each kind make up its definition, so none is cut short.
TEST(Facts, PartsMakeUpTheDefinition)
{
    for (const Fact &fact : facts())
    {
        std::string text(fact.name);
        const auto add = [&text](std::string_view before, std::string_view part) {
            if (!part.empty())
                text.append(before).append(part);
        };
        switch (fact.kind)
        {
        case Kind::column:
            text = std::string(fact.key) + " " + std::string(fact.type);
            add(" ", fact.is_not_null ? "not null" : "");
            add(" default ", fact.default_value);
            add(" ", fact.generated);
            break;
        case Kind::constraint:
            text = std::string(fact.key) + " " + std::string(fact.clause);
            break;
        case Kind::index:
            text = std::string(fact.is_unique ? "UNIQUE " : "") + text;
            add(" ON ", fact.clause);
            break;
        case Kind::enum_type:
            for (const std::string_view label : fact.labels)
                add(label == fact.labels.front() ? " (" : ", ", label);
            text += ")";
            break;
        case Kind::sequence:
            add(" ", fact.type);
            add(" owned by ", fact.table);
            add(".", fact.columns);
            break;
        case Kind::function:
            EXPECT_TRUE(fact.declaration.starts_with(text + "(")) << fact.text;
            EXPECT_TRUE(fact.signature.starts_with(text + "(")) << fact.text;
            EXPECT_TRUE(fact.text.starts_with(std::string(fact.declaration) + " language "));
            continue;
        case Kind::trigger:
            EXPECT_NE(fact.text.find(" ON " + std::string(fact.table) + " "),
                      std::string_view::npos);
            EXPECT_EQ(fact.key, std::string(fact.table) + "." + std::string(fact.name));
            continue;
        case Kind::composite:
            EXPECT_TRUE(fact.text.starts_with(text + " ("));
            continue;
        default:
            break;
        }
        EXPECT_EQ(text, fact.text);
    }
}

TEST(Facts, PartsOfEachKind)
{
    const Fact &column = fact_of(Kind::column, "procrastinate_workers.id", 38);
    EXPECT_EQ(column.name, "id");
    EXPECT_EQ(column.table, "procrastinate_workers");
    EXPECT_EQ(column.type, "bigint");
    EXPECT_TRUE(column.is_not_null);
    EXPECT_EQ(column.generated, "generated always as identity");

    const Fact &index = fact_of(Kind::index, "procrastinate_jobs_lock_idx_v1", 38);
    EXPECT_EQ(index.table, "procrastinate_jobs");
    EXPECT_EQ(index.columns, "lock");
    EXPECT_EQ(index.condition, "(status = 'doing'::procrastinate_job_status)");

    const Fact &check =
        fact_of(Kind::constraint, "procrastinate_jobs.check_not_todo_abort_requested", 38);
    EXPECT_EQ(check.constraint_type, ConstraintType::check);
    EXPECT_EQ(check.condition, "((NOT ((status = 'todo'::procrastinate_job_status) AND "
                               "(abort_requested = true))))");
    const Fact &foreign =
        fact_of(Kind::constraint, "procrastinate_events.procrastinate_events_job_id_fkey", 38);
    EXPECT_EQ(foreign.constraint_type, ConstraintType::foreign_key);
    EXPECT_EQ(foreign.condition, "");

    const Fact &sequence = fact_of(Kind::sequence, "procrastinate_jobs_id_seq", 38);
    EXPECT_EQ(sequence.table, "procrastinate_jobs");
    EXPECT_EQ(sequence.columns, "id");

    const Fact &function =
        fact_of(Kind::function, "procrastinate_cancel_job_v1(bigint, boolean, boolean)", 38);
    EXPECT_EQ(function.signature,
              "procrastinate_cancel_job_v1(job_id bigint, abort boolean, delete_job boolean)");
    EXPECT_EQ(function.declaration, std::string(function.signature) + " returns bigint");
}

TEST(Kinds, HaveNames)
{
    EXPECT_EQ(kind_name(Kind::enum_type), "enum");
    EXPECT_EQ(kind_named("enum"), Kind::enum_type);
    EXPECT_EQ(kind_named("view"), Kind::view);
    EXPECT_FALSE(kind_named("enum_type"));
    for (const Fact &fact : facts())
        EXPECT_EQ(kind_named(kind_name(fact.kind)), fact.kind);
}

TEST(Functions, HaveASourceAndTwoBodiesAtEachRevision)
{
    for (const Fact &fact : facts())
    {
        if (fact.kind != Kind::function)
            continue;
        const auto sources = function_sources();
        EXPECT_TRUE(std::any_of(sources.begin(), sources.end(), [&](const FunctionSource &one) {
            return one.signature == fact.signature && one.made_by <= fact.first;
        })) << fact.signature;
        for (Revision revision = fact.first; revision <= fact.last; ++revision)
        {
            const auto bodies = function_bodies();
            EXPECT_GE(std::count_if(bodies.begin(), bodies.end(),
                                    [&](const FunctionBody &body) {
                                        return body.signature == fact.signature &&
                                               body.first <= revision && revision <= body.last;
                                    }),
                      1)
                << fact.signature << " at " << revision;
        }
    }
}

TEST(Functions, SourcesComeInTwoParts)
{
    for (const FunctionSource &one : function_sources())
    {
        const std::string_view sql = migration(one.made_by).sql;
        const std::string_view name = one.signature.substr(0, one.signature.find('('));
        const std::size_t declared = sql.find(one.declaration);
        const std::size_t body = sql.find(one.body, declared);
        ASSERT_NE(declared, std::string_view::npos) << one.signature;
        ASSERT_NE(body, std::string_view::npos) << one.signature;
        EXPECT_NE(one.declaration.find(" " + std::string(name) + "("), std::string_view::npos);
        EXPECT_FALSE(one.body.empty()) << one.signature;
        EXPECT_EQ(sql.substr(body + one.body.size(), 1), ";") << one.signature;
        const std::size_t end = declared + one.declaration.size();
        EXPECT_EQ(sql.substr(end, body - end).find_first_not_of(" \n"), std::string_view::npos)
            << one.signature;
    }
}

TEST(Labels, OfATypeByARevision)
{
    const auto labels = [](Revision revision) {
        return labels_by("procrastinate_job_status", revision).size();
    };
    EXPECT_EQ(labels(base), 0U);
    EXPECT_EQ(labels(1), 4U);
    EXPECT_EQ(labels(26), 4U);
    EXPECT_EQ(labels(27), 7U);
    EXPECT_TRUE(labels_by("procrastinate_jobs", head()).empty());
    EXPECT_EQ(created_by("procrastinate_job_status"), 1);
    EXPECT_EQ(created_by("procrastinate_jobs"), std::nullopt);
}

TEST(Labels, AreAddedByOneMigrationAndUsedByALaterOne)
{
    const auto all = added_labels();
    const auto aborting = std::find_if(
        all.begin(), all.end(), [](const AddedLabel &label) { return label.label == "aborting"; });
    ASSERT_NE(aborting, all.end());
    EXPECT_EQ(aborting->type, "procrastinate_job_status");
    EXPECT_EQ(aborting->created_by, 1);
    EXPECT_EQ(aborting->added_by, 27);
    EXPECT_EQ(aborting->used_by, 29);
    for (const AddedLabel &label : all)
    {
        EXPECT_LT(label.created_by, label.added_by) << label.label;
        EXPECT_TRUE(label.used_by == base || label.added_by < label.used_by) << label.label;
    }
}

TEST(Labels, ThatAMigrationChanges)
{
    const auto all = label_changes();
    const auto change = std::find_if(all.begin(), all.end(),
                                     [](const LabelChange &one) { return one.revision == 31; });
    ASSERT_NE(change, all.end());
    EXPECT_EQ(change->table, "procrastinate_jobs");
    EXPECT_EQ(change->column, "status");
    EXPECT_EQ(change->before, "aborting");
    EXPECT_EQ(change->after, "doing");
}

TEST(Transactions, AreCutWhereLabelsAreUsedThatWereAddedBefore)
{
    const auto reachable = [](Revision from, Revision to) {
        return reachable_in_one_transaction(from, to, CreatedTypes::complete);
    };
    EXPECT_EQ(reachable(26, 38), 28);
    EXPECT_EQ(reachable(1, 29), 28);
    EXPECT_EQ(reachable(26, 28), 28);
    EXPECT_EQ(reachable(27, 38), 38);
    EXPECT_EQ(reachable(28, 29), 29);
    EXPECT_EQ(reachable(base, 38), 38);
    EXPECT_EQ(reachable(base, 30), 30);
}

TEST(Transactions, AreCutFromBaseIfTheTypesAreCreatedAsWritten)
{
    EXPECT_EQ(reachable_in_one_transaction(base, 38, CreatedTypes::as_written), 28);
    EXPECT_EQ(reachable_in_one_transaction(base, 28, CreatedTypes::as_written), 28);
    EXPECT_EQ(reachable_in_one_transaction(27, 38, CreatedTypes::as_written), 38);
}

} // namespace
