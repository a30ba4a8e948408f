// What a schema is, told from what it holds: matches, differences and what mends them.
#include "catalog/drift.hpp"
#include "catalog/repair_statements.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
using catalog::CatalogObject;
using catalog::Comparison;
using catalog::Difference;
using catalog::Problem;
using catalog::Severity;

// Which of the bodies that a function may have.
enum class Bodies
{
    first, // upstream's, which come first in the table
    last,  // ours
    turns
};

// A schema at a revision, in the order of the facts.
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
            objects_.push_back(
                {fact.kind, keep(chain::fact_key(fact)), fact.definition,
                 fact.kind == "function" ? body_of(fact, revision, first) : std::string_view(), "",
                 ""});
        }
    }

    std::vector<CatalogObject> &objects() { return objects_; }

    CatalogObject &object(std::string_view kind, std::string_view key)
    {
        return *std::find_if(objects_.begin(), objects_.end(), [&](const CatalogObject &object) {
            return object.kind == kind && object.key == key;
        });
    }

    void drop(std::string_view kind, std::string_view key)
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
        return Comparison(objects_).with(revision);
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
            if (body.function == chain::function_signature(fact.definition) &&
                body.first <= revision && revision <= body.last)
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

TEST(Drift, EachRevisionFitsItselfExactlyAndNoOther)
{
    for (const Bodies bodies : {Bodies::first, Bodies::last, Bodies::turns})
        for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
        {
            Schema schema(revision, bodies);
            for (const CatalogObject &object : schema.objects())
                EXPECT_TRUE(object.kind != "function" || !object.body.empty()) << object.key;
            const std::vector<catalog::RevisionMatch> matches =
                catalog::closest_revisions(schema.objects());
            ASSERT_EQ(matches.size(), 1U) << revision;
            EXPECT_EQ(matches.front().revision, revision);
            EXPECT_TRUE(matches.front().is_exact());
            EXPECT_TRUE(schema.with(revision).empty());
        }
}

TEST(Drift, ColumnsMayComeInAnyOrder)
{
    Schema schema(chain::head());
    std::reverse(schema.objects().begin(), schema.objects().end());
    EXPECT_TRUE(schema.with(chain::head()).empty());
}

TEST(Drift, NothingIsNothing)
{
    EXPECT_TRUE(catalog::closest_revisions({}).empty());
    EXPECT_TRUE(Comparison({}).with(chain::base).empty());
}

// Every fact at every revision: gone, another, and not working.
TEST(Drift, NoSingleDifferenceSlipsThrough)
{
    for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
    {
        const std::size_t count = Schema(revision).objects().size();
        for (std::size_t i = 0; i < count; ++i)
        {
            Schema without(revision);
            const CatalogObject gone = without.objects()[i];
            without.objects().erase(without.objects().begin() + static_cast<std::ptrdiff_t>(i));
            const std::vector<Difference> missing = without.with(revision);
            EXPECT_FALSE(catalog::match_of(revision, missing).is_exact())
                << revision << " " << gone.definition;

            Schema altered(revision);
            altered.objects()[i].definition =
                altered.keep(std::string(altered.objects()[i].definition) + " and more");
            ASSERT_EQ(altered.with(revision).size(), 1U) << revision << " " << gone.definition;
            EXPECT_EQ(altered.with(revision).front().problem, Problem::altered);

            if (gone.kind != "function")
                continue;
            Schema replaced(revision);
            replaced.objects()[i].body = "0123456789abcdef0123456789abcdef";
            ASSERT_EQ(replaced.with(revision).size(), 1U) << revision << " " << gone.definition;
            EXPECT_EQ(replaced.with(revision).front().actual, "another body");
        }
    }
}

TEST(Drift, ReleaseWithTheFunctionOfALaterRevision)
{
    // 0.22.0 had the structure of 0020 and the fetch of 0022.
    Schema schema(20, Bodies::first);
    const std::string_view fetch = "procrastinate_fetch_job(character varying[])";
    schema.object("function", fetch).body =
        Schema(22, Bodies::first).object("function", fetch).body;
    const std::vector<catalog::RevisionMatch> matches =
        catalog::closest_revisions(schema.objects());
    ASSERT_FALSE(matches.empty());
    EXPECT_EQ(matches.front().revision, 20);
    EXPECT_EQ(matches.front().altered, 1);
    EXPECT_FALSE(matches.front().is_exact());
    EXPECT_EQ(schema.with(20).front().actual, "body of 0022");
}

TEST(Drift, ATableSpeaksForItsParts)
{
    Schema schema(chain::head());
    std::erase_if(schema.objects(), [](const CatalogObject &object) {
        return object.definition.find("procrastinate_periodic_defers") != std::string_view::npos &&
               object.kind != "function";
    });
    EXPECT_EQ(schema.only(chain::head()),
              "error: table procrastinate_periodic_defers is missing | ");
}

TEST(Drift, AConstraintSpeaksForItsIndex)
{
    Schema schema(chain::head());
    schema.drop("constraint", "procrastinate_workers.procrastinate_workers_pkey");
    schema.drop("index", "procrastinate_workers_pkey");
    EXPECT_EQ(schema.only(chain::head()),
              "error: constraint procrastinate_workers.procrastinate_workers_pkey is missing | "
              "ALTER TABLE s.procrastinate_workers ADD CONSTRAINT procrastinate_workers_pkey "
              "PRIMARY KEY (id);");
}

TEST(Repair, IndexesAndConstraints)
{
    Schema unique(chain::head());
    unique.drop("index", "procrastinate_jobs_lock_idx_v1");
    EXPECT_EQ(unique.only(chain::head()),
              "error: index procrastinate_jobs_lock_idx_v1 is missing | CREATE UNIQUE INDEX "
              "procrastinate_jobs_lock_idx_v1 ON s.procrastinate_jobs USING btree (lock) WHERE "
              "(status = 'doing'::s.procrastinate_job_status);");
    Schema plain(chain::head());
    plain.object("index", "procrastinate_jobs_priority_idx_v1").flaw = "invalid";
    EXPECT_EQ(plain.only(chain::head()),
              "warning: index procrastinate_jobs_priority_idx_v1 is invalid | REINDEX INDEX "
              "s.procrastinate_jobs_priority_idx_v1;");
    Schema foreign(chain::head());
    foreign.object("constraint", "procrastinate_jobs.procrastinate_jobs_worker_id_fkey").flaw =
        "unvalidated";
    EXPECT_EQ(foreign.only(chain::head()),
              "warning: constraint procrastinate_jobs.procrastinate_jobs_worker_id_fkey is "
              "unvalidated | ALTER TABLE s.procrastinate_jobs VALIDATE CONSTRAINT "
              "procrastinate_jobs_worker_id_fkey;");
    foreign.drop("constraint", "procrastinate_jobs.procrastinate_jobs_worker_id_fkey");
    EXPECT_EQ(
        foreign.only(chain::head()),
        "warning: constraint procrastinate_jobs.procrastinate_jobs_worker_id_fkey is missing | "
        "ALTER TABLE s.procrastinate_jobs ADD CONSTRAINT procrastinate_jobs_worker_id_fkey "
        "FOREIGN KEY (worker_id) REFERENCES s.procrastinate_workers(id) ON DELETE SET NULL;");
}

TEST(Repair, Triggers)
{
    constexpr std::string_view trigger = "procrastinate_jobs.procrastinate_trigger_delete_jobs_v1";
    Schema disabled(chain::head());
    disabled.object("trigger", trigger).flaw = "disabled";
    EXPECT_EQ(
        disabled.only(chain::head()),
        "error: trigger procrastinate_jobs.procrastinate_trigger_delete_jobs_v1 is disabled | "
        "ALTER TABLE s.procrastinate_jobs ENABLE TRIGGER "
        "procrastinate_trigger_delete_jobs_v1;");
    // Bound to the function of another schema.
    Schema elsewhere(chain::head());
    CatalogObject &bound = elsewhere.object("trigger", trigger);
    std::string definition(bound.definition);
    definition.insert(definition.find("procrastinate_unlink"), "\"other one\".");
    bound.definition = elsewhere.keep(definition);
    EXPECT_EQ(elsewhere.only(chain::head()),
              "error: trigger procrastinate_jobs.procrastinate_trigger_delete_jobs_v1 uses another "
              "schema | CREATE OR REPLACE TRIGGER procrastinate_trigger_delete_jobs_v1 BEFORE "
              "DELETE ON s.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION "
              "s.procrastinate_unlink_periodic_defers_v1();");
}

TEST(Repair, LeavesAloneWhatIsTheUsers)
{
    // An index of that name on a table of the user's.
    Schema elsewhere(chain::head());
    elsewhere.object("index", "procrastinate_jobs_queue_name_idx_v1").definition =
        "procrastinate_jobs_queue_name_idx_v1 ON mine USING btree (id)";
    EXPECT_EQ(elsewhere.only(chain::head()),
              "warning: index procrastinate_jobs_queue_name_idx_v1 is altered | ");
    // A default that counts elsewhere, and settings that find the tables.
    Schema counted(chain::head());
    counted.object("column", "procrastinate_jobs.id").definition =
        "procrastinate_jobs.id bigint not null default nextval('mine'::regclass)";
    EXPECT_EQ(counted.only(chain::head()), "error: column procrastinate_jobs.id is altered | ");
    Schema set(chain::head());
    CatalogObject &function = set.object("function", "procrastinate_unregister_worker_v1(bigint)");
    function.definition = set.keep(std::string(function.definition) + " set search_path=s");
    EXPECT_EQ(set.only(chain::head()),
              "warning: function procrastinate_unregister_worker_v1(bigint) is altered | ");
    // A foreign key's triggers are not enabled one by one.
    Schema foreign(chain::head());
    foreign.object("constraint", "procrastinate_events.procrastinate_events_job_id_fkey").flaw =
        "disabled";
    EXPECT_TRUE(foreign.only(chain::head())
                    .ends_with("| ALTER TABLE s.procrastinate_events DROP CONSTRAINT "
                               "procrastinate_events_job_id_fkey, ADD CONSTRAINT "
                               "procrastinate_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES "
                               "s.procrastinate_jobs(id) ON DELETE CASCADE;"));
}

TEST(Repair, Columns)
{
    const auto altered = [](std::string_view column, std::string definition) {
        Schema schema(chain::head());
        schema.object("column", column).definition = schema.keep(std::move(definition));
        return schema.only(chain::head());
    };
    EXPECT_EQ(
        altered("procrastinate_jobs.priority", "procrastinate_jobs.priority integer not null"),
        "error: column procrastinate_jobs.priority is altered | ALTER TABLE "
        "s.procrastinate_jobs ALTER COLUMN priority SET DEFAULT 0;");
    EXPECT_EQ(
        altered("procrastinate_jobs.status", "procrastinate_jobs.status procrastinate_job_status"),
        "error: column procrastinate_jobs.status is altered | ALTER TABLE "
        "s.procrastinate_jobs ALTER COLUMN status SET DEFAULT "
        "'todo'::s.procrastinate_job_status, ALTER COLUMN status SET NOT NULL;");
    EXPECT_EQ(altered("procrastinate_jobs.lock", "procrastinate_jobs.lock text default 'x'::text"),
              "error: column procrastinate_jobs.lock is altered | ALTER TABLE s.procrastinate_jobs "
              "ALTER COLUMN lock DROP DEFAULT;");
    // What would lose rows, or a sequence's place, is nobody's to promise.
    EXPECT_EQ(altered("procrastinate_jobs.lock", "procrastinate_jobs.lock character varying(8)"),
              "error: column procrastinate_jobs.lock is altered | ");
    EXPECT_EQ(altered("procrastinate_workers.id", "procrastinate_workers.id bigint not null"),
              "error: column procrastinate_workers.id is altered | ");
}

TEST(Repair, FunctionsOfTheRevision)
{
    for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
        for (const chain::Fact &fact : chain::facts())
        {
            if (fact.kind != "function" || !chain::is_at(fact, revision))
                continue;
            Schema schema(revision);
            schema.drop("function", chain::fact_key(fact));
            const std::vector<Difference> differences = schema.with(revision);
            ASSERT_EQ(differences.size(), 1U);
            const std::string repair =
                catalog::repair_statements(differences, revision, "\"s s\"").front();
            EXPECT_TRUE(repair.starts_with("CREATE OR REPLACE FUNCTION \"s s\"." +
                                           std::string(chain::fact_name(fact)) + "("))
                << repair;
            EXPECT_TRUE(repair.ends_with("$$;")) << repair;
        }
}

TEST(Drift, LabelsOfAnEnum)
{
    EXPECT_TRUE(catalog::has_labels("e (a, b)", "e (a, b)"));
    EXPECT_TRUE(catalog::has_labels("e (a, b)", "e (a, x, b, y)"));
    EXPECT_FALSE(catalog::has_labels("e (a, b)", "e (b, a)"));
    EXPECT_FALSE(catalog::has_labels("e (a, b)", "e (a)"));
    EXPECT_FALSE(catalog::has_labels("e (a, b)", "e ()"));
}

TEST(Repair, PromisesNothingThatNeedsWhatIsGone)
{
    Schema schema(chain::head());
    schema.drop("column", "procrastinate_jobs.worker_id");
    schema.drop("constraint", "procrastinate_jobs.procrastinate_jobs_worker_id_fkey");
    schema.drop("index", "idx_procrastinate_jobs_worker_not_null");
    schema.drop("index", "procrastinate_jobs_lock_idx_v1");
    const std::vector<Difference> differences = schema.with(chain::head());
    const std::vector<std::string> repairs =
        catalog::repair_statements(differences, chain::head(), "s");
    ASSERT_EQ(repairs.size(), 4U);
    for (std::size_t i = 0; i < repairs.size(); ++i)
        EXPECT_EQ(repairs[i].empty(), differences[i].object != "procrastinate_jobs_lock_idx_v1")
            << repairs[i];
}

TEST(Drift, WhatIsTheUsersOwn)
{
    const auto extra = [](std::string_view kind, std::string_view key, std::string_view definition,
                          std::string_view flaw = "") {
        Schema schema(chain::head());
        schema.objects().push_back({kind, key, definition, "", flaw, ""});
        return schema.only(chain::head());
    };
    EXPECT_EQ(extra("column", "procrastinate_jobs.note", "procrastinate_jobs.note text"),
              "info: column procrastinate_jobs.note is extra | ");
    // Every insert of Procrastinate's would fail.
    EXPECT_EQ(extra("column", "procrastinate_jobs.note", "procrastinate_jobs.note text not null",
                    "required"),
              "error: column procrastinate_jobs.note is extra | ");
    EXPECT_EQ(extra("rule", "procrastinate_jobs.own", "own AS ON DELETE", "instead"),
              "error: rule procrastinate_jobs.own is extra | ");
    EXPECT_EQ(extra("index", "own_idx", "own_idx ON procrastinate_jobs USING btree (args)"),
              "info: index own_idx is extra | ");
    EXPECT_EQ(extra("index", "own_idx", "UNIQUE own_idx ON procrastinate_jobs USING btree (lock)"),
              "warning: index own_idx is extra | ");
    EXPECT_EQ(extra("view", "public.v", "public.v reads procrastinate_jobs"),
              "info: view public.v is extra | ");
    Schema viewed(chain::head());
    viewed.objects().push_back(
        {"view", "public.v", "public.v reads procrastinate_jobs", "", "", ""});
    EXPECT_TRUE(catalog::closest_revisions(viewed.objects()).front().is_exact());
}

TEST(Drift, AFunctionThatFailsOnThisServer)
{
    const auto bodies = chain::function_bodies();
    EXPECT_EQ(
        std::count_if(bodies.begin(), bodies.end(),
                      [](const chain::FunctionBody &body) { return body.fails_before == 16; }),
        2);
    Schema schema(chain::head());
    CatalogObject &notify =
        schema.object("function", "procrastinate_notify_queue_job_inserted_v1()");
    notify.body = std::find_if(bodies.begin(), bodies.end(), [&notify](const auto &body) {
                      return body.fails_before == 16 && body.function == notify.key;
                  })->md5;
    EXPECT_TRUE(schema.with(chain::head()).empty());
    notify.flaw = "broken";
    EXPECT_TRUE(schema.only(chain::head())
                    .starts_with("error: function procrastinate_notify_queue_job_inserted_v1() is "
                                 "invalid | CREATE OR REPLACE FUNCTION "));
    EXPECT_TRUE(catalog::closest_revisions(schema.objects()).front().is_exact());
}

TEST(Drift, Owners)
{
    Schema schema(chain::head());
    for (CatalogObject &object : schema.objects())
        if (object.kind == "table" || object.kind == "enum")
            object.owner = "alice";
    schema.object("enum", "procrastinate_job_status").owner = "bob";
    EXPECT_EQ(schema.only(chain::head()),
              "warning: enum procrastinate_job_status belongs to another role | ALTER TYPE "
              "s.procrastinate_job_status OWNER TO \"alice\";");
    EXPECT_TRUE(catalog::closest_revisions(schema.objects()).front().is_exact());
}

TEST(Drift, WorstFirst)
{
    Schema schema(chain::head());
    schema.objects().insert(
        schema.objects().begin(),
        {"index", "own", "own ON procrastinate_jobs USING btree (id)", "", "", ""});
    schema.drop("index", "procrastinate_jobs_queue_name_idx_v1");
    schema.drop("trigger", "procrastinate_jobs.procrastinate_trigger_delete_jobs_v1");
    const std::vector<Difference> differences = schema.with(chain::head());
    ASSERT_EQ(differences.size(), 3U);
    EXPECT_EQ(differences[0].severity, Severity::error);
    EXPECT_EQ(differences[1].severity, Severity::warning);
    EXPECT_EQ(differences[2].severity, Severity::info);
}

} // namespace
