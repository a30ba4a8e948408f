-- Which of some settings were set in this session. A new session of the same role gets all other
-- values by itself, with their source: a default of the database has to be known as one.
--
-- $1 names of the settings, a comma between two
--
-- Returns one row for each: its name.

SELECT s.name FROM pg_settings s
 WHERE s.name = ANY (string_to_array($1, ',')) AND s.source IN ('client', 'interactive', 'session')
