-- The range of ids that the batches of a step go through.
--
-- {{table}} the step's table, qualified and quoted
--
-- Returns the first and the last id; NULL if the table is empty.

select min(id)::int8, max(id)::int8 from {{table}}
