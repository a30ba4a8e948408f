// Unit tests of drift: differences between a schema and a revision, and the revisions that match.
#include "catalog/definition_text.hpp"
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

TEST(Drift, EachRevisionMatchesItselfAlone)
{
    for (const Bodies bodies : {Bodies::first, Bodies::last, Bodies::turns})
        for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
        {
            Schema schema(revision, bodies);
            for (const CatalogObject &object : schema.objects())
                EXPECT_TRUE(object.kind != Kind::function || !object.body.empty()) << object.key;
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
    Schema schema(known_revision);
    std::reverse(schema.objects().begin(), schema.objects().end());
    EXPECT_TRUE(schema.with(known_revision).empty());
}

TEST(Drift, AnEmptySchemaMatchesNothing)
{
    EXPECT_TRUE(catalog::closest_revisions({}).empty());
    EXPECT_FALSE(catalog::nearest_revision({}));
    EXPECT_TRUE(catalog::Comparison({}).with(chain::base).empty());
}

// Each fact at each revision: missing, altered, and a function with another body.
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
                << revision << " " << gone.text;

            Schema altered(revision);
            altered.objects()[i].text =
                altered.keep(std::string(altered.objects()[i].text) + " and more");
            ASSERT_EQ(altered.with(revision).size(), 1U) << revision << " " << gone.text;
            EXPECT_EQ(altered.with(revision).front().problem, Problem::altered);

            if (gone.kind != Kind::function)
                continue;
            Schema replaced(revision);
            replaced.objects()[i].body = "0123456789abcdef0123456789abcdef";
            ASSERT_EQ(replaced.with(revision).size(), 1U) << revision << " " << gone.text;
            EXPECT_EQ(replaced.with(revision).front().actual, "another body");
        }
    }
}

TEST(Drift, ReleaseWithTheFunctionOfALaterRevision)
{
    // 0.22.0 had the structure of 0020 and the fetch of 0022.
    Schema schema(20, Bodies::first);
    const std::string_view fetch = "procrastinate_fetch_job(character varying[])";
    schema.object(Kind::function, fetch).body =
        Schema(22, Bodies::first).object(Kind::function, fetch).body;
    const std::vector<catalog::RevisionMatch> matches =
        catalog::closest_revisions(schema.objects());
    ASSERT_FALSE(matches.empty());
    EXPECT_EQ(matches.front().revision, 20);
    EXPECT_EQ(matches.front().altered, 1);
    EXPECT_FALSE(matches.front().is_exact());
    EXPECT_EQ(catalog::nearest_revision(schema.objects())->revision, 20);
    EXPECT_EQ(schema.with(20).front().actual, "body of 0022");
}

// The only problem of a schema in which one function has a body of these hashes, or "none".
std::string with_body(std::string_view body, std::string_view lf_body,
                      std::string_view stripped_body)
{
    Schema schema(20);
    CatalogObject &fetch =
        schema.object(Kind::function, "procrastinate_fetch_job(character varying[])");
    fetch.body = body;
    fetch.lf_body = lf_body;
    fetch.stripped_body = stripped_body;
    const std::vector<Difference> differences = schema.with(20);
    return differences.empty() ? "none" : differences.front().actual;
}

TEST(Drift, WhiteSpaceMakesNoOtherBody)
{
    const std::string_view key = "procrastinate_fetch_job(character varying[])";
    const std::string_view upstream = Schema(20, Bodies::first).object(Kind::function, key).body;
    const auto bodies = chain::function_bodies();
    const auto ours = [&](chain::Revision revision) {
        const std::string_view md5 = Schema(revision).object(Kind::function, key).body;
        return *std::find_if(bodies.begin(), bodies.end(),
                             [md5](const auto &body) { return body.md5 == md5; });
    };
    const chain::FunctionBody here = ours(20);
    const chain::FunctionBody later = ours(22);
    ASSERT_NE(upstream, here.md5);
    ASSERT_NE(here.md5, later.md5);
    EXPECT_EQ(with_body("x", "x", "x"), "another body");
    EXPECT_EQ(with_body("x", "", ""), "another body");
    EXPECT_EQ(with_body("x", "x", here.stripped_md5), "none");
    EXPECT_EQ(with_body("x", here.md5, "x"), "none");
    EXPECT_EQ(with_body("x", upstream, "x"), "none");
    EXPECT_EQ(with_body("x", "x", later.stripped_md5), "body of 0022");
    // The exact text comes first.
    EXPECT_EQ(with_body(later.md5, here.md5, here.stripped_md5), "body of 0022");
    EXPECT_EQ(with_body("x", later.md5, here.stripped_md5), "body of 0022");
    EXPECT_EQ(with_body(here.md5, later.md5, later.stripped_md5), "none");
}

TEST(Drift, ATableIncludesItsParts)
{
    Schema schema(known_revision);
    std::erase_if(schema.objects(), [](const CatalogObject &object) {
        return object.text.find("procrastinate_periodic_defers") != std::string_view::npos &&
               object.kind != Kind::function;
    });
    EXPECT_EQ(schema.only(known_revision),
              "error: table procrastinate_periodic_defers is missing | CREATE SEQUENCE "
              "s.procrastinate_periodic_defers_id_seq AS bigint; CREATE TABLE "
              "s.procrastinate_periodic_defers (defer_timestamp bigint, id bigint DEFAULT "
              "pg_catalog.nextval('s.procrastinate_periodic_defers_id_seq'::regclass) NOT NULL, "
              "job_id bigint, task_name character varying(128) NOT NULL, periodic_id character "
              "varying(128) DEFAULT ''::character varying NOT NULL, CONSTRAINT "
              "procrastinate_periodic_defers_job_id_fkey FOREIGN KEY (job_id) REFERENCES "
              "s.procrastinate_jobs(id), CONSTRAINT procrastinate_periodic_defers_pkey PRIMARY KEY "
              "(id), CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, "
              "periodic_id, defer_timestamp)); ALTER SEQUENCE "
              "s.procrastinate_periodic_defers_id_seq OWNED BY s.procrastinate_periodic_defers.id; "
              "CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON "
              "s.procrastinate_periodic_defers USING btree (job_id);");
}

// Gives an object of the schema another name, as the server would: an index of a constraint goes
// with it, and the default of a column with its sequence.
void rename(Schema &schema, CatalogObject &object, std::string_view name)
{
    const auto replaced = [&](std::string_view text) {
        std::string result(text);
        for (std::size_t at = result.find(object.name); at != std::string::npos;
             at = result.find(object.name, at + name.size()))
            result.replace(at, object.name.size(), name);
        return schema.keep(result);
    };
    for (CatalogObject &other : schema.objects())
    {
        if (catalog::has_index(object) && other.kind == Kind::index && other.name == object.name)
        {
            other.text = replaced(other.text);
            other.key = other.name = name;
        }
        if (object.kind == Kind::sequence && other.kind == Kind::column)
        {
            other.text = replaced(other.text);
            other.default_value = replaced(other.default_value);
        }
    }
    object.text = schema.keep(
        std::string(object.text).replace(object.text.find(object.name), object.name.size(), name));
    object.key = schema.keep(object.kind == Kind::constraint || object.kind == Kind::trigger
                                 ? std::string(object.table) + "." + std::string(name)
                                 : std::string(name));
    object.name = name;
}

bool has_name_of_its_own(const Schema &schema, const CatalogObject &object)
{
    if (object.kind == Kind::index)
        return std::none_of(schema.objects().begin(), schema.objects().end(),
                            [&object](const CatalogObject &other) {
                                return catalog::has_index(other) && other.name == object.name;
                            });
    return object.kind == Kind::constraint || object.kind == Kind::sequence ||
           object.kind == Kind::trigger;
}

// Each object of each revision once: one difference, one repair, and no other revision is nearer.
TEST(Drift, RenamedObjects)
{
    int count = 0;
    for (chain::Revision revision = 1; revision <= chain::head(); ++revision)
        for (std::size_t i = 0; i < Schema(revision).objects().size(); ++i)
        {
            Schema schema(revision);
            CatalogObject &object = schema.objects()[i];
            if (!has_name_of_its_own(schema, object))
                continue;
            const std::string before(object.name);
            const std::string key(object.key);
            rename(schema, object, "shadow");
            const std::vector<Difference> differences = schema.with(revision);
            ASSERT_EQ(differences.size(), 1U) << revision << " " << before;
            EXPECT_EQ(differences.front().problem, Problem::renamed) << revision << " " << before;
            EXPECT_EQ(differences.front().object, key);
            const std::string repair =
                catalog::repair_statements(differences, revision, "s").front();
            EXPECT_TRUE(repair.ends_with(" TO " + before + ";")) << revision << " " << repair;
            const std::vector<catalog::RevisionMatch> nearest =
                catalog::nearest_revisions(schema.objects());
            EXPECT_EQ(nearest.size(), 1U) << revision << " " << before;
            EXPECT_EQ(nearest.front().revision, revision) << before;
            EXPECT_FALSE(nearest.front().is_exact());
            ++count;
        }
    EXPECT_GT(count, 500);
}

TEST(Drift, WhatIsNoRename)
{
    // A failed build, another definition, an index of a constraint and one of none.
    Schema invalid(known_revision);
    CatalogObject &index = invalid.object(Kind::index, "procrastinate_jobs_priority_idx_v1");
    rename(invalid, index, "shadow");
    index.flaw = Flaw::invalid;
    EXPECT_EQ(invalid.with(known_revision).size(), 2U);
    Schema another(known_revision);
    CatalogObject &condition = another.object(Kind::index, "procrastinate_jobs_priority_idx_v1");
    rename(another, condition, "shadow");
    condition.clause = "procrastinate_jobs USING btree (priority)";
    EXPECT_EQ(another.with(known_revision).size(), 2U);
    Schema key(known_revision);
    key.drop(Kind::constraint, "procrastinate_workers.procrastinate_workers_pkey");
    CatalogObject &unique = key.object(Kind::index, "procrastinate_workers_pkey");
    unique.key = unique.name = "shadow";
    EXPECT_EQ(key.with(known_revision).size(), 2U);
}

TEST(Drift, ObjectsOfNoKnownRevision)
{
    Schema schema(known_revision);
    CatalogObject unknown{};
    unknown.kind = Kind::table;
    unknown.key = unknown.name = unknown.text = "procrastinate_paused_queues";
    unknown.flaw = Flaw::unknown;
    schema.objects().push_back(unknown);
    EXPECT_EQ(schema.only(known_revision),
              "warning: table procrastinate_paused_queues is of no revision known here | ");
    EXPECT_TRUE(catalog::nearest_revision(schema.objects())->is_exact());
    // They alone are no installation.
    const std::vector<CatalogObject> alone{unknown};
    EXPECT_TRUE(catalog::is_empty(alone));
    EXPECT_TRUE(catalog::closest_revisions(alone).empty());
}

// Objects that only 0031 and 0038, which are post migrations, make so.
TEST(Drift, IsLeftToAPostMigration)
{
    const auto repairs_of = [](const Schema &schema, chain::Revision revision) {
        const std::vector<Difference> differences = schema.with(revision);
        const std::vector<std::string> repairs =
            catalog::repair_statements(differences, revision, "s");
        return std::count_if(repairs.begin(), repairs.end(),
                             [](const std::string &repair) { return !repair.empty(); });
    };
    EXPECT_EQ(repairs_of(Schema(30), 31), 0);
    EXPECT_EQ(repairs_of(Schema(37), 38), 0);
    // Not where the migration has run.
    Schema after(31);
    after.drop(Kind::index, "procrastinate_jobs_priority_idx_v1");
    after.drop(Kind::trigger, "procrastinate_jobs.procrastinate_trigger_delete_jobs_v1");
    EXPECT_EQ(repairs_of(after, 31), 2);
}

TEST(Drift, AConstraintIncludesItsIndex)
{
    Schema schema(known_revision);
    schema.drop(Kind::constraint, "procrastinate_workers.procrastinate_workers_pkey");
    schema.drop(Kind::index, "procrastinate_workers_pkey");
    EXPECT_EQ(schema.only(known_revision),
              "error: constraint procrastinate_workers.procrastinate_workers_pkey is missing | "
              "ALTER TABLE s.procrastinate_workers ADD CONSTRAINT procrastinate_workers_pkey "
              "PRIMARY KEY (id);");
}

TEST(Drift, LabelsOfAnEnum)
{
    using Labels = std::vector<std::string_view>;
    const Labels expected{"a", "b"};
    EXPECT_TRUE(catalog::has_labels(expected, expected));
    EXPECT_TRUE(catalog::has_labels(expected, Labels{"a", "x", "b", "y"}));
    EXPECT_FALSE(catalog::has_labels(expected, Labels{"b", "a"}));
    EXPECT_FALSE(catalog::has_labels(expected, Labels{"a"}));
    EXPECT_FALSE(catalog::has_labels(expected, Labels{}));
}

TEST(Drift, MoreLabelsAreAWarning)
{
    constexpr std::string_view type = "procrastinate_job_status";
    Schema schema(known_revision);
    CatalogObject &status = schema.object(Kind::enum_type, type);
    std::vector<std::string_view> labels(status.labels.begin(), status.labels.end());
    labels.push_back("own");
    status.labels = labels;
    status.text = "procrastinate_job_status (... own)";
    EXPECT_EQ(schema.only(known_revision), "warning: enum procrastinate_job_status is altered | ");
    labels.erase(labels.begin());
    status.labels = labels;
    EXPECT_EQ(schema.only(known_revision), "error: enum procrastinate_job_status is altered | ");
}

TEST(Drift, HowATableIsStoredIsAWarning)
{
    Schema schema(known_revision);
    CatalogObject &table = schema.object(Kind::table, "procrastinate_jobs");
    table.text = "procrastinate_jobs unlogged";
    EXPECT_EQ(schema.only(known_revision), "warning: table procrastinate_jobs is altered | ");
    table.text = "procrastinate_jobs as view";
    table.is_plain_table = false;
    EXPECT_EQ(schema.only(known_revision), "error: table procrastinate_jobs is altered | ");
}

// An object that a user has added.
std::string with_extra(const CatalogObject &object)
{
    Schema schema(known_revision);
    schema.objects().push_back(object);
    return schema.only(known_revision);
}

CatalogObject object_of(Kind kind, std::string_view key, std::string_view text,
                        Flaw flaw = Flaw::none)
{
    CatalogObject object{};
    object.kind = kind;
    object.key = key;
    object.text = text;
    object.flaw = flaw;
    return object;
}

TEST(Drift, ObjectsOfTheUsers)
{
    EXPECT_EQ(with_extra(object_of(Kind::column, "procrastinate_jobs.note",
                                   "procrastinate_jobs.note text")),
              "info: column procrastinate_jobs.note is extra | ");
    // Every INSERT of Procrastinate's would fail.
    EXPECT_EQ(with_extra(object_of(Kind::column, "procrastinate_jobs.note",
                                   "procrastinate_jobs.note text not null", Flaw::required)),
              "error: column procrastinate_jobs.note is extra | ");
    EXPECT_EQ(with_extra(object_of(Kind::rule, "procrastinate_jobs.own", "own AS ON DELETE",
                                   Flaw::instead)),
              "error: rule procrastinate_jobs.own is extra | ");
    CatalogObject index =
        object_of(Kind::index, "own_idx", "own_idx ON procrastinate_jobs USING btree (args)");
    EXPECT_EQ(with_extra(index), "info: index own_idx is extra | ");
    index.is_unique = true;
    EXPECT_EQ(with_extra(index), "warning: index own_idx is extra | ");
    const CatalogObject view =
        object_of(Kind::view, "public.v", "public.v reads procrastinate_jobs");
    EXPECT_EQ(with_extra(view), "info: view public.v is extra | ");
    Schema viewed(known_revision);
    viewed.objects().push_back(view);
    viewed.objects().push_back(index);
    EXPECT_TRUE(catalog::closest_revisions(viewed.objects()).front().is_exact());
}

TEST(Drift, RowSecurity)
{
    Schema schema(known_revision);
    CatalogObject &jobs = schema.object(Kind::table, "procrastinate_jobs");
    jobs.text = "procrastinate_jobs with row security";
    EXPECT_EQ(schema.only(known_revision), "info: table procrastinate_jobs is altered | ");
    EXPECT_TRUE(catalog::closest_revisions(schema.objects()).front().is_exact());
    jobs.text = "procrastinate_jobs with forced row security";
    EXPECT_EQ(schema.only(known_revision),
              "warning: table procrastinate_jobs is altered | "
              "ALTER TABLE s.procrastinate_jobs NO FORCE ROW LEVEL SECURITY;");
    EXPECT_TRUE(catalog::closest_revisions(schema.objects()).front().is_exact());
    jobs.text = "procrastinate_jobs as view";
    jobs.is_plain_table = false;
    EXPECT_FALSE(catalog::closest_revisions(schema.objects()).front().is_exact());
}

TEST(Drift, NearerToALaterRevision)
{
    Schema schema(known_revision);
    schema.object(Kind::function, "procrastinate_unregister_worker_v1(bigint)").body = "of mine";
    const auto nearer = catalog::nearer_later_revision(schema.objects(), known_revision - 1);
    ASSERT_TRUE(nearer);
    EXPECT_EQ(nearer->revision, known_revision);
    EXPECT_FALSE(catalog::nearer_later_revision(schema.objects(), known_revision));
    // A schema that has lost something may be nearer to an earlier one.
    schema.drop(Kind::function, "procrastinate_unregister_worker_v1(bigint)");
    EXPECT_FALSE(catalog::nearer_later_revision(schema.objects(), known_revision));
}

TEST(Drift, AFunctionThatFailsOnThisServer)
{
    const auto bodies = chain::function_bodies();
    EXPECT_EQ(
        std::count_if(bodies.begin(), bodies.end(),
                      [](const chain::FunctionBody &body) { return body.fails_before == 16; }),
        2);
    Schema schema(known_revision);
    CatalogObject &notify =
        schema.object(Kind::function, "procrastinate_notify_queue_job_inserted_v1()");
    notify.body = std::find_if(bodies.begin(), bodies.end(), [&notify](const auto &body) {
                      return body.fails_before == 16 && body.signature == notify.key;
                  })->md5;
    EXPECT_TRUE(schema.with(known_revision).empty());
    notify.flaw = Flaw::broken;
    EXPECT_TRUE(schema.only(known_revision)
                    .starts_with("error: function procrastinate_notify_queue_job_inserted_v1() is "
                                 "invalid | CREATE OR REPLACE FUNCTION "));
    EXPECT_TRUE(catalog::closest_revisions(schema.objects()).front().is_exact());
}

TEST(Drift, Owners)
{
    Schema schema(known_revision);
    for (CatalogObject &object : schema.objects())
        if (object.kind == Kind::table || object.kind == Kind::enum_type)
            object.owner = "alice";
    schema.object(Kind::enum_type, "procrastinate_job_status").owner = "bob";
    EXPECT_EQ(schema.only(known_revision),
              "warning: enum procrastinate_job_status belongs to another role | ALTER TYPE "
              "s.procrastinate_job_status OWNER TO \"alice\";");
    EXPECT_TRUE(catalog::closest_revisions(schema.objects()).front().is_exact());
}

TEST(Drift, WorstFirst)
{
    Schema schema(known_revision);
    schema.objects().insert(
        schema.objects().begin(),
        object_of(Kind::index, "own", "own ON procrastinate_jobs USING btree (id)"));
    schema.drop(Kind::index, "procrastinate_jobs_queue_name_idx_v1");
    schema.drop(Kind::trigger, "procrastinate_jobs.procrastinate_trigger_delete_jobs_v1");
    const std::vector<Difference> differences = schema.with(known_revision);
    ASSERT_EQ(differences.size(), 3U);
    EXPECT_EQ(differences[0].severity, Severity::error);
    EXPECT_EQ(differences[1].severity, Severity::warning);
    EXPECT_EQ(differences[2].severity, Severity::info);
}

} // namespace
