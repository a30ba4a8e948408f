-- What an online script does where nothing is installed yet, and where something is. A template;
-- psql runs the result.
--
-- {{install}} the transactions of an offline script
-- {{steps}}   the steps

SELECT current_setting('procrastinate_script.is_base') AS procrastinate_is_base \gset
\if :procrastinate_is_base
{{install}}\else
{{steps}}\endif
