-- Functions and operators of other roles in the installation's schema that a statement could call
-- instead of the server's. Bodies of Procrastinate's functions name the server's functions and
-- operators without a schema. PostgreSQL then takes the one whose argument types fit best, in any
-- schema of the search_path. A template.
--
-- {{schema}} expression of type oid: the installation's schema
--
-- Returns a rank for foreign_objects.sql, and a line for its DETAIL, of at most 1001 functions and
-- 1001 operators. Objects of superusers are trusted.

(SELECT 5 AS rank, format('function %s of role %s has the name of one of the server''s',
                          left(p.oid::regprocedure::text, 1000), r.rolname) AS text
  FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
 WHERE p.pronamespace = {{schema}} AND NOT r.rolsuper AND r.rolname <> current_user
   AND EXISTS (SELECT FROM pg_proc s WHERE s.proname = p.proname
                  AND s.pronamespace = 'pg_catalog'::regnamespace)
 LIMIT 1001)
UNION ALL
(SELECT 5, format('operator %s of role %s has the name of one of the server''s', o.oid::regoperator,
                 r.rolname)
  FROM pg_operator o JOIN pg_roles r ON r.oid = o.oprowner
 WHERE o.oprnamespace = {{schema}} AND NOT r.rolsuper AND r.rolname <> current_user
   AND EXISTS (SELECT FROM pg_operator s WHERE s.oprname = o.oprname
                  AND s.oprnamespace = 'pg_catalog'::regnamespace)
 LIMIT 1001)
