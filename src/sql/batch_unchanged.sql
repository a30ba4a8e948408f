-- Counts the rows of a batch that its statement should have changed and that still need the change.
--
-- $1 the first id of the batch
-- $2 the last id of the batch
-- {{table}} the step's table, qualified and quoted
-- {{condition}} the condition of the step's statement, from WHERE on

select count(*) from {{table}} {{condition}}
