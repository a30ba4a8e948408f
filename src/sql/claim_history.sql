-- Makes all rows of the history table this database's, in the order of their times. A template for
-- a HINT.
--
-- {{table}}              name of the table, quoted and qualified
-- {{system_identifier}}  the server's
-- {{database_oid}}       the database's

UPDATE {{table}} h
   SET system_identifier = {{system_identifier}}, database_oid = {{database_oid}}, id = n.id
  FROM (SELECT ctid, row_number() OVER (ORDER BY applied_at, id) AS id FROM {{table}}) n
 WHERE n.ctid = h.ctid;
