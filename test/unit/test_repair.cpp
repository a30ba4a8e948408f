// Unit tests of the statements that repair drift.
#include "schema.hpp"

#include <gtest/gtest.h>

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
using catalog::CatalogObject;
using catalog::Difference;
using catalog::Flaw;
using catalog::Problem;
using catalog::Severity;
using chain::Kind;
using procrastinate::test::Bodies;
using procrastinate::test::known_revision;
using procrastinate::test::Schema;

TEST(Repair, IndexesAndConstraints)
{
    Schema unique(known_revision);
    unique.drop(Kind::index, "procrastinate_jobs_lock_idx_v1");
    EXPECT_EQ(unique.only(known_revision),
              "error: index procrastinate_jobs_lock_idx_v1 is missing | CREATE UNIQUE INDEX "
              "procrastinate_jobs_lock_idx_v1 ON s.procrastinate_jobs USING btree (lock) WHERE "
              "(status = 'doing'::s.procrastinate_job_status);");
    Schema plain(known_revision);
    plain.object(Kind::index, "procrastinate_jobs_priority_idx_v1").flaw = Flaw::invalid;
    EXPECT_EQ(plain.only(known_revision),
              "warning: index procrastinate_jobs_priority_idx_v1 is invalid | REINDEX INDEX "
              "s.procrastinate_jobs_priority_idx_v1;");
    Schema foreign(known_revision);
    foreign.object(Kind::constraint, "procrastinate_jobs.procrastinate_jobs_worker_id_fkey").flaw =
        Flaw::unvalidated;
    EXPECT_EQ(foreign.only(known_revision),
              "warning: constraint procrastinate_jobs.procrastinate_jobs_worker_id_fkey is "
              "unvalidated | ALTER TABLE s.procrastinate_jobs VALIDATE CONSTRAINT "
              "procrastinate_jobs_worker_id_fkey;");
    foreign.drop(Kind::constraint, "procrastinate_jobs.procrastinate_jobs_worker_id_fkey");
    EXPECT_EQ(
        foreign.only(known_revision),
        "warning: constraint procrastinate_jobs.procrastinate_jobs_worker_id_fkey is missing | "
        "ALTER TABLE s.procrastinate_jobs ADD CONSTRAINT procrastinate_jobs_worker_id_fkey "
        "FOREIGN KEY (worker_id) REFERENCES s.procrastinate_workers(id) ON DELETE SET NULL;");
}

TEST(Repair, Triggers)
{
    constexpr std::string_view trigger = "procrastinate_jobs.procrastinate_trigger_delete_jobs_v1";
    Schema disabled(known_revision);
    disabled.object(Kind::trigger, trigger).flaw = Flaw::disabled;
    EXPECT_EQ(
        disabled.only(known_revision),
        "error: trigger procrastinate_jobs.procrastinate_trigger_delete_jobs_v1 is disabled | "
        "ALTER TABLE s.procrastinate_jobs ENABLE TRIGGER "
        "procrastinate_trigger_delete_jobs_v1;");
    // It calls the function of another schema.
    Schema elsewhere(known_revision);
    CatalogObject &bound = elsewhere.object(Kind::trigger, trigger);
    std::string definition(bound.text);
    definition.insert(definition.find("procrastinate_unlink"), "\"other one\".");
    bound.text = elsewhere.keep(definition);
    EXPECT_EQ(elsewhere.only(known_revision),
              "error: trigger procrastinate_jobs.procrastinate_trigger_delete_jobs_v1 uses another "
              "schema | CREATE OR REPLACE TRIGGER procrastinate_trigger_delete_jobs_v1 BEFORE "
              "DELETE ON s.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION "
              "s.procrastinate_unlink_periodic_defers_v1();");
}

TEST(Repair, LeavesObjectsOfTheUsersAlone)
{
    // An index of that name on a table of the user's.
    Schema elsewhere(known_revision);
    CatalogObject &index = elsewhere.object(Kind::index, "procrastinate_jobs_queue_name_idx_v1");
    index.text = "procrastinate_jobs_queue_name_idx_v1 ON mine USING btree (id)";
    index.table = "mine";
    EXPECT_EQ(elsewhere.only(known_revision),
              "warning: index procrastinate_jobs_queue_name_idx_v1 is altered | ");
    // The triggers of a foreign key cannot be enabled one by one.
    Schema foreign(known_revision);
    foreign.object(Kind::constraint, "procrastinate_events.procrastinate_events_job_id_fkey").flaw =
        Flaw::disabled;
    EXPECT_TRUE(foreign.only(known_revision)
                    .ends_with("| ALTER TABLE s.procrastinate_events DROP CONSTRAINT "
                               "procrastinate_events_job_id_fkey, ADD CONSTRAINT "
                               "procrastinate_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES "
                               "s.procrastinate_jobs(id) ON DELETE CASCADE;"));
}

// The differences of a schema in which one function has settings: severity, repair, and whether
// the schema still counts as that of the revision.
std::string with_settings(catalog::Settings kind, std::string_view body = {})
{
    Schema schema(known_revision);
    CatalogObject &function =
        schema.object(Kind::function, "procrastinate_unregister_worker_v1(bigint)");
    function.settings = "search_path=s";
    function.text = schema.keep(std::string(function.text) + " set search_path=s");
    function.kind_of_settings = kind;
    if (!body.empty())
        function.body = body;
    const std::vector<Difference> differences = schema.with(known_revision);
    const std::vector<std::string> repairs =
        catalog::repair_statements(differences, known_revision, "s");
    std::string found;
    for (std::size_t i = 0; i < differences.size(); ++i)
        found += std::string(catalog::name_of(differences[i].severity)) + " " +
                 std::string(catalog::name_of(differences[i].problem)) + " | " + repairs[i] + "\n";
    return found + (match_of(known_revision, differences).is_exact() ? "exact" : "inexact");
}

TEST(Repair, SettingsOfAFunction)
{
    using catalog::Settings;
    const std::string reset =
        "error altered | ALTER FUNCTION s.procrastinate_unregister_worker_v1(bigint) RESET "
        "search_path;\n";
    EXPECT_EQ(with_settings(Settings::others), "info altered | \nexact");
    EXPECT_EQ(with_settings(Settings::other_schema), reset + "inexact");
    // They do not hide another body, which CREATE OR REPLACE would repair without them.
    EXPECT_EQ(with_settings(Settings::others, "of mine"),
              "error altered | \ninfo altered | \ninexact");
    EXPECT_EQ(with_settings(Settings::other_schema, "of mine"),
              reset + "error altered | \ninexact");
}

// The only difference of a schema in which one column was changed.
template <typename Change> std::string with_column(std::string_view column, Change change)
{
    Schema schema(known_revision);
    CatalogObject &object = schema.object(Kind::column, column);
    change(object);
    object.text = schema.keep(std::string(object.text) + " (changed)");
    return schema.only(known_revision);
}

TEST(Repair, Columns)
{
    EXPECT_EQ(with_column("procrastinate_jobs.priority",
                          [](CatalogObject &column) { column.default_value = ""; }),
              "error: column procrastinate_jobs.priority is altered | ALTER TABLE "
              "s.procrastinate_jobs ALTER COLUMN priority SET DEFAULT 0;");
    EXPECT_EQ(with_column("procrastinate_jobs.status",
                          [](CatalogObject &column) {
                              column.default_value = "";
                              column.is_not_null = false;
                          }),
              "error: column procrastinate_jobs.status is altered | ALTER TABLE "
              "s.procrastinate_jobs ALTER COLUMN status SET DEFAULT "
              "'todo'::s.procrastinate_job_status, ALTER COLUMN status SET NOT NULL;");
    EXPECT_EQ(with_column("procrastinate_jobs.lock",
                          [](CatalogObject &column) { column.default_value = "'x'::text"; }),
              "error: column procrastinate_jobs.lock is altered | ALTER TABLE s.procrastinate_jobs "
              "ALTER COLUMN lock DROP DEFAULT;");
    EXPECT_EQ(with_column("procrastinate_jobs.lock",
                          [](CatalogObject &column) { column.is_not_null = true; }),
              "error: column procrastinate_jobs.lock is altered | ALTER TABLE s.procrastinate_jobs "
              "ALTER COLUMN lock DROP NOT NULL;");
}

// No repair that could lose rows, or numbers of a sequence.
TEST(Repair, ColumnsThatStayAsTheyAre)
{
    EXPECT_EQ(with_column("procrastinate_jobs.lock",
                          [](CatalogObject &column) { column.type = "character varying(8)"; }),
              "error: column procrastinate_jobs.lock is altered | ");
    EXPECT_EQ(with_column("procrastinate_jobs.lock",
                          [](CatalogObject &column) { column.collation = "\"C\""; }),
              "warning: column procrastinate_jobs.lock is altered | ");
    EXPECT_EQ(with_column("procrastinate_workers.id",
                          [](CatalogObject &column) { column.generated = ""; }),
              "error: column procrastinate_workers.id is altered | ");
    EXPECT_EQ(with_column("procrastinate_jobs.id",
                          [](CatalogObject &column) {
                              column.default_value = "nextval('mine'::regclass)";
                          }),
              "error: column procrastinate_jobs.id is altered | ");
}

TEST(Repair, SequencesWithoutAnOwner)
{
    constexpr std::string_view name = "procrastinate_jobs_id_seq";
    Schema schema(known_revision);
    CatalogObject &sequence = schema.object(Kind::sequence, name);
    sequence.table = sequence.columns = "";
    sequence.text = "procrastinate_jobs_id_seq bigint";
    EXPECT_EQ(schema.only(known_revision),
              "error: sequence procrastinate_jobs_id_seq is altered | ALTER SEQUENCE "
              "s.procrastinate_jobs_id_seq OWNED BY s.procrastinate_jobs.id;");
    sequence.type = "integer";
    EXPECT_EQ(schema.only(known_revision),
              "error: sequence procrastinate_jobs_id_seq is altered | ALTER SEQUENCE "
              "s.procrastinate_jobs_id_seq AS bigint OWNED BY s.procrastinate_jobs.id;");
}

TEST(Repair, FunctionsOfTheRevision)
{
    for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
        for (const chain::Fact &fact : chain::facts())
        {
            if (fact.kind != Kind::function || !chain::is_at(fact, revision))
                continue;
            Schema schema(revision);
            schema.drop(Kind::function, fact.key);
            const std::vector<Difference> differences = schema.with(revision);
            ASSERT_EQ(differences.size(), 1U);
            const std::string repair =
                catalog::repair_statements(differences, revision, "\"s s\"").front();
            EXPECT_TRUE(repair.starts_with("CREATE OR REPLACE FUNCTION \"s s\"." +
                                           std::string(fact.name) + "("))
                << repair;
            EXPECT_NE(repair.find("\nAS "), std::string::npos) << repair;
            EXPECT_TRUE(repair.ends_with(";")) << repair;
        }
}

TEST(Repair, IsEmptyIfItNeedsAMissingObject)
{
    Schema schema(known_revision);
    schema.drop(Kind::column, "procrastinate_jobs.abort_requested");
    schema.drop(Kind::constraint, "procrastinate_jobs.check_not_todo_abort_requested");
    schema.drop(Kind::trigger,
                "procrastinate_jobs.procrastinate_trigger_abort_requested_events_v1");
    schema.drop(Kind::index, "procrastinate_jobs_lock_idx_v1");
    const std::vector<Difference> differences = schema.with(known_revision);
    const std::vector<std::string> repairs =
        catalog::repair_statements(differences, known_revision, "s");
    ASSERT_EQ(repairs.size(), 4U);
    for (std::size_t i = 0; i < repairs.size(); ++i)
        EXPECT_EQ(repairs[i].empty(), differences[i].object != "procrastinate_jobs_lock_idx_v1")
            << repairs[i];
}

TEST(Repair, MissingColumnsThatMayBeNull)
{
    Schema schema(known_revision);
    schema.drop(Kind::column, "procrastinate_jobs.worker_id");
    EXPECT_EQ(schema.only(known_revision),
              "error: column procrastinate_jobs.worker_id is missing | ALTER TABLE "
              "s.procrastinate_jobs ADD COLUMN worker_id bigint;");
    // It may have been renamed.
    CatalogObject mine{};
    mine.kind = Kind::column;
    mine.table = "procrastinate_jobs";
    mine.name = "mine";
    mine.key = mine.text = "procrastinate_jobs.mine";
    mine.type = "bigint";
    schema.objects().push_back(mine);
    const std::vector<Difference> differences = schema.with(known_revision);
    for (const std::string &repair : catalog::repair_statements(differences, known_revision, "s"))
        EXPECT_EQ(repair, "");
    Schema status(known_revision);
    status.drop(Kind::column, "procrastinate_jobs.status");
    EXPECT_EQ(status.only(known_revision), "error: column procrastinate_jobs.status is missing | ");
}

TEST(Repair, Types)
{
    Schema labels(known_revision);
    CatalogObject &status = labels.object(Kind::enum_type, "procrastinate_job_status");
    const std::vector<std::string_view> some{"doing", "succeeded", "failed", "cancelled",
                                             "aborting"};
    status.labels = some;
    status.text = "procrastinate_job_status (...)";
    EXPECT_EQ(labels.only(known_revision),
              "error: enum procrastinate_job_status is altered | ALTER TYPE "
              "s.procrastinate_job_status ADD VALUE 'todo' BEFORE 'doing'; ALTER TYPE "
              "s.procrastinate_job_status ADD VALUE 'aborted' AFTER 'aborting';");
    Schema attributes(known_revision);
    CatalogObject &job = attributes.object(Kind::composite, "procrastinate_job_to_defer_v1");
    job.text = "procrastinate_job_to_defer_v1 (queue_name character varying, task_name character "
               "varying, priority integer, lock text, queueing_lock text)";
    EXPECT_EQ(attributes.only(known_revision),
              "error: composite procrastinate_job_to_defer_v1 is altered | ALTER TYPE "
              "s.procrastinate_job_to_defer_v1 ADD ATTRIBUTE args jsonb, ADD ATTRIBUTE "
              "scheduled_at timestamp with time zone;");
    job.text = "procrastinate_job_to_defer_v1 (lock text)";
    EXPECT_EQ(attributes.only(known_revision),
              "error: composite procrastinate_job_to_defer_v1 is altered | ");
    job.text = "procrastinate_job_to_defer_v1 ()";
    EXPECT_NE(attributes.only(known_revision).find("ADD ATTRIBUTE queue_name"), std::string::npos);
}

} // namespace
