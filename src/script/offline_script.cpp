#include "script/offline_script.hpp"

#include "chain/step.hpp"
#include "server/advisory_lock.hpp"
#include "upgrade/foreign_objects.hpp"
#include "upgrade/history.hpp"
#include "upgrade/history_sql.hpp"
#include "upgrade/locks.hpp"

namespace procrastinate::upgrade
{

namespace
{

using chain::Revision;

// Runs at the beginning of each transaction. What differs between scripts reaches it in settings, so
// that no name has to be quoted inside a body; psql substitutes no variable in there. ForeignObjects are
// looked for again once the tables are locked against new triggers.
constexpr std::string_view check_begins = R"sql(DO $check$
DECLARE
    wanted CONSTANT text := current_setting('procrastinate_script.start');
    goal CONSTANT text := current_setting('procrastinate_script.goal');
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    names CONSTANT text[] := string_to_array(current_setting('procrastinate_script.names'), ' ');
    history CONSTANT text := 'procrastinate_schema_history';
    has_history boolean;
    recorded text;
    latest text;
    present text[];
    untrusted record;
BEGIN
    IF schema_oid IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema_name
            USING ERRCODE = '3F000', HINT = format('CREATE SCHEMA %I;', schema_name);
    END IF;
    -- The lock that procrastinate_migrate takes.
    PERFORM pg_advisory_xact_lock(current_setting('procrastinate_script.lock')::int,
        (schema_oid::bigint - CASE WHEN schema_oid::bigint > 2147483647 THEN 4294967296 ELSE 0 END)::int);
    -- Only a superuser can keep the name to the end.
    IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        PERFORM FROM pg_namespace n WHERE n.oid = schema_oid FOR KEY SHARE;
    END IF;

    FOR pass IN 1 .. 2 LOOP
        IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = schema_oid AND n.nspname = schema_name) THEN
            RAISE EXCEPTION 'schema "%" has been dropped or renamed by another session', schema_name
                USING ERRCODE = '3F000';
        END IF;
        SELECT s.detail, s.hint
          INTO untrusted
          FROM (
)sql";
constexpr std::string_view check_ends = R"sql(
          ) s;
        IF untrusted.detail IS NOT NULL THEN
            RAISE EXCEPTION 'role "%" may not change the installation in schema "%"', current_user, schema_name
                USING ERRCODE = '42501', DETAIL = untrusted.detail, HINT = untrusted.hint;
        END IF;
        EXIT WHEN pass = 2;

        present := ARRAY(SELECT o.name
            FROM (SELECT c.relname AS name, c.relnamespace AS schema, c.relkind <> 'r' AS rank FROM pg_class c
                  UNION ALL
                  SELECT t.typname, t.typnamespace, true FROM pg_type t WHERE t.typrelid = 0) o
           WHERE o.schema = schema_oid AND o.name = ANY (names) ORDER BY o.rank, o.name);
        has_history := EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = schema_oid AND c.relname = history);
        IF has_history THEN
            EXECUTE format('SELECT to_revision, event FROM ONLY %I.%I ORDER BY id DESC LIMIT 1', schema_name, history)
               INTO recorded, latest;
        END IF;
        IF latest LIKE 'step %' THEN
            RAISE EXCEPTION 'a migration is under way in schema "%"', schema_name
                USING ERRCODE = 'PM012', DETAIL = format('The last that was done of it is %s.', latest),
                    HINT = 'Only procrastinate_migrate() of the extension can finish it.';
        END IF;
        IF cardinality(present) > 0 AND (recorded IS NULL OR (recorded = 'base' AND wanted = 'base')) THEN
            RAISE EXCEPTION 'schema "%" holds Procrastinate''s objects but no history of them', schema_name
                USING ERRCODE = 'PM005',
                    DETAIL = format('There is %s.', array_to_string(present[1:5], ', ')
                        || CASE WHEN cardinality(present) > 5
                                THEN format(' and %s more', cardinality(present) - 5) ELSE '' END),
                    HINT = CASE wanted WHEN 'base' THEN
                        'If they are Procrastinate''s, make a script that starts at their revision. '
                        'If not, rename or drop them.'
                    ELSE format(E'If they are those of %s, record it, then run this script again:\n%s',
                        wanted, format($stamp$)sql";
constexpr std::string_view check_goes_on = R"sql($stamp$, schema_name, history, wanted)) END;
        END IF;
        recorded := coalesce(recorded, 'base');
        IF recorded <> wanted THEN
            RAISE EXCEPTION 'schema "%" is at %, but this script starts at %', schema_name, recorded, wanted
                USING ERRCODE = 'PM009', HINT = format('Make a script that starts there: '
                    'SELECT procrastinate_sql(%L, schema => %L);', recorded || ':' || goal, quote_ident(schema_name));
        END IF;
        IF wanted <> 'base' AND cardinality(present) = 0 THEN
            RAISE EXCEPTION 'schema "%" holds none of Procrastinate''s tables, but its history says %',
                schema_name, recorded USING ERRCODE = 'PM009';
        END IF;

        IF wanted <> 'base' AND current_setting('procrastinate_script.lock_jobs')::boolean THEN
            EXECUTE format('LOCK TABLE %I.procrastinate_jobs IN ACCESS EXCLUSIVE MODE', schema_name);
        END IF;
        IF has_history THEN
            EXECUTE format('LOCK TABLE %I.%I IN SHARE ROW EXCLUSIVE MODE', schema_name, history);
        END IF;
    END LOOP;

    -- Fails where somebody has made one since.
    IF NOT has_history AND current_setting('procrastinate_script.keeps_history')::boolean THEN
        EXECUTE format($create$)sql";
constexpr std::string_view check_is_over = R"sql($create$, schema_name, history);
    END IF;
END
$check$;
)sql";

class Script
{
  public:
    Script(const catalog::Installation &installation, server::pmr::memory_resource &memory)
        : installation_(installation), text_(&memory)
    {
    }

    void add(std::string_view text) { text_.append(text.data(), text.size()); }

    // A transaction that goes from `from` to `last`, in a script that goes to `to`.
    void begin(Revision from, Revision last, Revision to)
    {
        add("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n");
        add("SET LOCAL standard_conforming_strings = on;\n");
        add("SET LOCAL transform_null_equals = off;\n");
        add("SET LOCAL check_function_bodies = on;\n");
        add("SET LOCAL row_security = off;\n");
        leave_schema();
        add("SET LOCAL procrastinate_script.schema = ");
        add(server::call([this] { return quote_literal_cstr(installation_.name.data()); }));
        add(";\n");
        set("start", chain::name(from));
        set("goal", chain::name(to));
        set("lock", std::to_string(static_cast<std::int32_t>(server::LockKey::installation)));
        set("lock_jobs", tables_of(from, last) == Tables::history_and_jobs ? "on" : "off");
        set("keeps_history", from < last ? "on" : "off");
        set("names", object_names());
        add(check_begins);
        add(foreign_objects_sql("schema_oid", "names"));
        add(check_ends);
        add(create_history_sql("%1$I.%2$I"));
        add(append_history_sql("%1$I.%2$I",
                               "'stamp', 'base', %3$L, '0', '" + script_version() + "'"));
        add(check_goes_on);
        add(create_history_sql("%1$I.%2$I"));
        add(check_is_over);
    }

    void commit() { add("COMMIT;\n"); }

    // The schema of head, at once. Its functions' bodies name tables that are not on the search_path.
    void install(std::string_view message)
    {
        const Revision head = chain::head();
        begin_step(chain::base, head, message);
        add("SET LOCAL check_function_bodies = off;\n\n");
        add(chain::head_script(installation_.quoted));
        add("SET LOCAL check_function_bodies = on;\n");
        end_step(event::install, chain::base, head);
    }

    void upgrade(const chain::Migration &migration, std::string_view message)
    {
        const Revision from = migration.number - 1;
        begin_step(from, migration.number, message);
        add("SET LOCAL search_path = ");
        add(installation_.quoted);
        add(", pg_temp;\n\n");
        add(migration.sql);
        add("\n");
        leave_schema();
        end_step(event::upgrade, from, migration.number);
    }

    server::pmr::string &&text() { return std::move(text_); }

  private:
    // Says what comes, and starts its clock.
    void begin_step(Revision from, Revision to, std::string_view message)
    {
        add("\n\n-- ");
        add(message);
        add("\nDO $begin$\nBEGIN\n    RAISE NOTICE '");
        add(message);
        add("';\n    PERFORM set_config('procrastinate_script.started', extract(epoch FROM "
            "clock_timestamp())::text, "
            "true);\n");
        if (to - from == 1)
            for (const std::string &index : chain::built_ahead(to))
                drop(index);
        add("END\n$begin$;\n");
    }

    // Its row in the history, and the notification.
    void end_step(std::string_view event, Revision from, Revision to)
    {
        const std::string values =
            "'" + std::string(event) + "', '" + std::string(chain::name(from)) + "', '" +
            std::string(chain::name(to)) +
            "',\n        make_interval(secs => (extract(epoch FROM clock_timestamp()) "
            "- current_setting('procrastinate_script.started')::numeric)::float8),\n"
            "        '" +
            script_version() + "'";
        add(append_history_sql(installation_.quoted + std::string(".") + catalog::history_table,
                               values));
        add("NOTIFY procrastinate_schema, '");
        add(chain::name(to));
        add("';\n");
    }

    // Nothing that stands in the schema is called by what is not a migration.
    void leave_schema() { add("SET LOCAL search_path = pg_catalog, pg_temp;\n"); }

    // What a procrastinate_migrate() that did not come so far has made for a migration's steps.
    void drop(std::string_view index)
    {
        const std::string name = "format('%I." + std::string(index) +
                                 "', current_setting('procrastinate_script.schema'))";
        add("    IF to_regclass(" + name + ") IS NOT NULL THEN\n        EXECUTE 'DROP INDEX ' || " +
            name + ";\n    END IF;\n");
    }

    // How the history tells what a script did from what the library did.
    static std::string script_version() { return std::string(library_version) + " (script)"; }

    void set(std::string_view setting, std::string_view plain_value)
    {
        add("SET LOCAL procrastinate_script.");
        add(setting);
        add(" = '");
        add(plain_value);
        add("';\n");
    }

    const catalog::Installation &installation_;
    server::pmr::string text_;
};

// A script must run on any server, so base is as any other start here: its labels need a commit.
Revision last_of_transaction(Revision from, Revision to)
{
    return chain::reachable_in_one_transaction(std::max(from, chain::base + 1), to);
}

} // namespace

server::pmr::string offline_script(const catalog::Installation &installation, chain::Range range,
                                   server::pmr::memory_resource &memory)
{
    Script script(installation, memory);
    const auto [start, end] = range;
    script.add("-- Procrastinate's schema from ");
    script.add(chain::name(start));
    script.add(" to ");
    script.add(chain::name(end));
    script.add(", made by procrastinate_migrate ");
    script.add(library_version);
    script.add(".\n-- Run it with: psql -X -v ON_ERROR_STOP=1 -f FILE\n\n");

    if (start == chain::base && end == chain::head())
    {
        script.begin(start, end, end);
        script.install("Installing " + std::string(chain::name(end)) + " (head) at once");
        script.commit();
        return script.text();
    }
    Revision at = start;
    do
    {
        const Revision last = last_of_transaction(at, end);
        script.begin(at, last, end);
        for (; at < last; ++at)
        {
            const chain::Migration &migration = chain::migration(at + 1);
            script.upgrade(migration, "Running upgrade " +
                                          (at == chain::base ? std::string()
                                                             : std::string(chain::name(at)) + " ") +
                                          "-> " + std::string(migration.revision) +
                                          ", Migration: " + std::string(migration.title));
        }
        script.commit();
    } while (at < end);
    return script.text();
}

} // namespace procrastinate::upgrade
