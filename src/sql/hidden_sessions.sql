-- Counts the sessions of this database whose queries the caller may not see.

select count(*)
  from pg_stat_activity
 where datname = current_database() and usesysid is not null and backend_type is null
