-- The last id of the next batch.
--
-- $1 the first id of the batch
-- $2 the number of rows that the batch shall have
-- {{table}} the step's table, qualified and quoted
--
-- Returns NULL if no row is left.

select max(id)::int8 from (select id from {{table}} where id >= $1 order by id limit $2) as batch
