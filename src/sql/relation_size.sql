-- The size of a table with its indexes and TOAST, in bytes.
--
-- $1 OID of the schema
-- $2 name of the table
--
-- Returns 0 if there is no such table.

select coalesce(max(pg_total_relation_size(oid)), 0)
  from pg_class
 where relnamespace = $1 and relname = $2
