-- The extension's functions: what they are declared as, and that each one is documented.
\pset format unaligned
\pset null NULL
CREATE EXTENSION procrastinate_migrate;
-- extension, and whether it can be moved to another schema. Not pg_available_extensions, which does
-- not look into extension_destdir, where Debian's package build has it.
SELECT extname, extversion, extrelocatable, obj_description(oid, 'pg_extension') AS comment
  FROM pg_extension WHERE extname = 'procrastinate_migrate';

-- what belongs to it (from 17 on also the types of a view's rows)
SELECT pg_describe_object(classid, objid, objsubid) COLLATE "C" AS object
  FROM pg_depend
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'procrastinate_migrate')
   AND classid <> 'pg_type'::regclass
 ORDER BY 1;

CREATE TEMPORARY VIEW ours AS
SELECT p.*
  FROM pg_proc p
  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname = 'procrastinate_migrate';

-- arguments and results
SELECT proname || '(' || pg_get_function_arguments(oid) || ')' AS function,
       pg_get_function_result(oid) AS result
  FROM ours ORDER BY proname COLLATE "C";

-- volatility: those that read are stable, those that write are volatile
SELECT proname,
       CASE prokind WHEN 'f' THEN 'function' WHEN 'p' THEN 'procedure' END AS kind,
       CASE provolatile WHEN 's' THEN 'stable' WHEN 'v' THEN 'volatile' WHEN 'i' THEN 'immutable'
       END
           AS volatility,
       CASE proparallel WHEN 'u' THEN 'unsafe' WHEN 'r' THEN 'restricted' WHEN 's' THEN 'safe' END
           AS parallel,
       proisstrict AS strict, prosecdef AS security_definer, proconfig AS settings,
       proacl AS rights
  FROM ours ORDER BY proname COLLATE "C";

-- every function has a comment: in lower case, without a full stop
SELECT proname, obj_description(oid, 'pg_proc') AS comment
  FROM ours ORDER BY proname COLLATE "C";
SELECT proname
  FROM ours
 WHERE coalesce(obj_description(oid, 'pg_proc'), '') !~ '^([a-z]|SQL ).*[^.]$';

-- the last argument is always the schema (but of procrastinate_adopt, _repair, _migrate, _sql,
-- _upgrade and those of all installations), and it may be left out
SELECT proname
  FROM ours
 WHERE proname NOT IN ('procrastinate_heads', 'procrastinate_show', 'procrastinate_migration_sql',
                       'procrastinate_releases', 'procrastinate_repair', 'procrastinate_migrate',
                       'procrastinate_under_way', 'procrastinate_get_progress',
                       'procrastinate_upgrade', 'procrastinate_adopt', 'procrastinate_sql',
                       'procrastinate_get_installations', 'procrastinate_migrate_all',
                       'procrastinate_migrate_servers', 'procrastinate_require_all')
   AND (proargnames[pronargs] <> 'schema' OR proargtypes[pronargs - 1] <> 'anycompatible'::regtype
        OR pronargdefaults = 0);

-- one more function of ours than these subjects know of would be one without a test
SELECT proname
  FROM ours
 WHERE proname NOT IN (
       'procrastinate_current', 'procrastinate_history', 'procrastinate_history_details',
       'procrastinate_heads', 'procrastinate_pending',
       'procrastinate_show', 'procrastinate_migration_sql', 'procrastinate_sql',
       'procrastinate_log',
       'procrastinate_upgrade', 'procrastinate_migrate', 'procrastinate_stamp',
       'procrastinate_downgrade', 'procrastinate_releases', 'procrastinate_supports',
       'procrastinate_route', 'procrastinate_detect', 'procrastinate_check', 'procrastinate_adopt',
       'procrastinate_repair', 'procrastinate_plan', 'procrastinate_plan_details',
       'procrastinate_under_way',
       'procrastinate_wait', 'procrastinate_require', 'procrastinate_get_progress',
       'procrastinate_get_installations', 'procrastinate_check_sql',
       'procrastinate_migrate_all', 'procrastinate_migrate_servers',
       'procrastinate_require_all');

DROP VIEW ours;

-- leaves nothing behind
DROP EXTENSION procrastinate_migrate;
SELECT count(*) FROM pg_proc WHERE proname LIKE 'procrastinate%';
CREATE EXTENSION procrastinate_migrate;

-- where nothing is installed, an example names a schema
SET search_path = nowhere;
SELECT public.procrastinate_current();
SELECT public.procrastinate_upgrade();
