#include "migrate/strangers_sql.hpp"

#include "chain/chain.hpp"

#include <set>

namespace procrastinate::migrate
{

namespace
{

// Under a search_path of the server's own: names come out qualified. Indexes and owned sequences have
// their table's owner. pg_depend knows nothing of the server's own functions and operators. A domain checks its
// values; an expression may read such values into an array or a row. Who may add a trigger can say in its condition
// what the server's own functions shall do: run SQL from a text, read a value of any type, change settings.
constexpr std::string_view query = R"sql(WITH me AS (
    SELECT r.oid, r.rolsuper FROM pg_roles r WHERE r.rolname = current_user
), every AS (
    SELECT 1 AS rank, 'pg_class'::regclass AS class, c.oid, c.relowner AS owner, c.relname AS name,
           CASE c.relkind WHEN 'c' THEN 'type' ELSE 'table' END AS kind,
           c.oid::regclass::text AS identity
      FROM pg_class c
     WHERE c.relnamespace = :schema AND c.relname = ANY (:names || text 'procrastinate_schema_history')
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT 1, 'pg_class'::regclass, c.oid, c.relowner, c.relname, 'table', c.oid::regclass::text
      FROM pg_class p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
     WHERE p.relnamespace = :schema AND p.relname = ANY (:names || text 'procrastinate_schema_history')
       AND p.relkind IN ('r', 'p')
    UNION ALL
    SELECT 2, 'pg_type'::regclass, t.oid, t.typowner, t.typname, 'type', t.oid::regtype::text
      FROM pg_type t
     WHERE t.typnamespace = :schema AND t.typname = ANY (:names) AND t.typrelid = 0
    UNION ALL
    SELECT 3, 'pg_proc'::regclass, p.oid, p.proowner, p.proname, 'routine', p.oid::regprocedure::text
      FROM pg_proc p
     WHERE p.pronamespace = :schema AND p.proname = ANY (:names)
), thing AS (
    SELECT *
      FROM every
     WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = every.class AND d.objid = every.oid AND d.deptype = 'e')
), caller AS (
    SELECT 'pg_trigger'::regclass AS class, t.oid, false AS is_table
      FROM thing JOIN pg_trigger t ON t.tgrelid = thing.oid
     WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
       AND (t.tgenabled <> 'R' OR current_setting('session_replication_role') = 'replica')
    UNION ALL
    SELECT 'pg_class'::regclass, thing.oid, true FROM thing WHERE thing.kind = 'table'
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid, false FROM thing JOIN pg_index i ON i.indrelid = thing.oid
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid, false FROM thing JOIN pg_constraint k ON k.conrelid = thing.oid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, false FROM thing JOIN pg_attrdef d ON d.adrelid = thing.oid
    UNION ALL
    SELECT 'pg_rewrite'::regclass, r.oid, false FROM thing JOIN pg_rewrite r ON r.ev_class = thing.oid
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, false FROM thing JOIN pg_policy p ON p.polrelid = thing.oid
), condition AS (
    SELECT pg_describe_object(caller.class, caller.oid, 0) AS caller, t.tgqual::text AS words
      FROM caller JOIN pg_trigger t ON caller.class = 'pg_trigger'::regclass AND t.oid = caller.oid
), code AS (
    SELECT DISTINCT pg_describe_object(caller.class, caller.oid, 0) AS caller,
           pg_describe_object(d.refclassid, d.refobjid, 0) AS called, owner.oid AS owner
      FROM caller
      JOIN pg_depend d ON d.classid = caller.class AND d.objid = caller.oid
      LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
      LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
      LEFT JOIN pg_proc f ON f.oid = o.oprcode
      LEFT JOIN pg_type t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
            AND (t.typtype = 'd'
                 OR NOT caller.is_table
                    AND t.typtype <> 'e' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = t.typelem AND e.typtype = 'e'))
      JOIN LATERAL (VALUES (p.proowner), (o.oprowner), (f.proowner), (t.typowner)) AS owner (oid)
        ON owner.oid IS NOT NULL
    UNION
    SELECT condition.caller, pg_describe_object('pg_type'::regclass, t.oid, 0), t.typowner
      FROM condition, regexp_matches(condition.words, ':typid ([0-9]+)', 'g') AS m (ids)
      JOIN pg_type t ON t.oid = m.ids[1]::oid AND t.typtype <> 'e'
), stranger AS (
    SELECT thing.rank, thing.owner, r.rolname,
           format('%s %s belongs to role %s', thing.kind, thing.name, r.rolname) AS finding
      FROM me, thing JOIN pg_roles r ON r.oid = thing.owner
     WHERE r.oid <> me.oid AND NOT (r.rolsuper AND me.rolsuper)
    UNION ALL
    SELECT 4, code.owner, r.rolname,
           format('%s calls %s of role %s', code.caller, code.called, r.rolname)
      FROM me, code JOIN pg_roles r ON r.oid = code.owner
     WHERE r.oid <> me.oid AND NOT r.rolsuper
    UNION ALL
    SELECT 4, p.proowner, NULL,
           format('%s calls %s, which may do anything', condition.caller, pg_describe_object('pg_proc'::regclass, p.oid, 0))
      FROM condition, regexp_matches(condition.words, ':funcid ([0-9]+)', 'g') AS m (ids)
      JOIN pg_proc p ON p.oid = m.ids[1]::oid
     WHERE p.oid < 16384
       AND (p.provolatile = 'v' OR p.proname ~ '(_to_xml|^pg_input_)'
            OR p.proargtypes::oid[] && ARRAY['cstring'::regtype, 'internal'::regtype]::oid[])
), one AS (
    SELECT r.oid, r.rolname
      FROM me, pg_roles r
     WHERE r.oid = coalesce((SELECT t.owner FROM thing t WHERE t.name = 'procrastinate_schema_history'),
                            (SELECT t.owner FROM thing t WHERE t.name = 'procrastinate_jobs' AND t.kind = 'table' LIMIT 1),
                            me.oid)
)
SELECT array_to_string((array_agg(s.finding || '.' ORDER BY s.rank, s.finding))[1:5], E'\n')
           || CASE WHEN count(*) > 5 THEN format(E'\nAnd %s more.', count(*) - 5) ELSE '' END AS detail,
       CASE WHEN count(*) = 0 THEN NULL
            WHEN count(DISTINCT s.owner) > 1 OR min(s.rank) = 4 OR EXISTS (
                    SELECT FROM thing t WHERE t.kind = 'table' AND t.owner NOT IN (SELECT owner FROM stranger))
            THEN (SELECT format('Look at them first; then drop them, or give them to role %I%s.', one.rolname,
                                CASE WHEN one.oid <> me.oid THEN ' and run it as that role' END)
                         || coalesce((SELECT string_agg(format(E'\nALTER %s %s OWNER TO %I;',
                                                               upper(t.kind), t.identity, one.rolname), ''
                                                        ORDER BY t.rank, t.identity)
                                        FROM thing t WHERE t.owner <> one.oid), '')
                    FROM one, me)
            WHEN pg_has_role(min(s.owner), CASE WHEN current_setting('server_version_num')::int >= 160000
                                                  THEN 'SET' ELSE 'MEMBER' END)
            THEN format('SET ROLE %I;', min(s.rolname::text))
            ELSE format('Run it as role %I.', min(s.rolname::text))
       END AS hint
  FROM stranger s)sql";

void replace_all(std::string &text, std::string_view word, std::string_view by)
{
    for (std::size_t at = text.find(word); at != std::string::npos;
         at = text.find(word, at + by.size()))
        text.replace(at, word.size(), by);
}

} // namespace

std::string object_names()
{
    std::string names;
    std::set<std::string_view> known;
    for (const chain::Fact &fact : chain::facts())
        if (fact.kind != "column" && fact.kind != "constraint" && fact.kind != "trigger" &&
            known.insert(chain::fact_name(fact)).second)
            names.append(names.empty() ? "" : " ").append(chain::fact_name(fact));
    return names;
}

std::string strangers_sql(std::string_view schema, std::string_view names)
{
    std::string text(query);
    replace_all(text, ":schema", schema);
    replace_all(text, ":names", names);
    return text;
}

} // namespace procrastinate::migrate
