-- A part of an online script that psql skips once the installation has passed it. A template; psql
-- runs the result.
--
-- {{condition}} a further condition, an expression
-- {{position}}  the position that the part leads to, as online_script_begin.sql says
-- {{part}}      settings and programs

SELECT {{condition}} AND current_setting('procrastinate_script.position')::int[] < '{{position}}'
       AS procrastinate_is_left \gset
\if :procrastinate_is_left
{{part}}\endif
