-- The begin of an online script: psql variables, settings, and the programs that its steps run. A
-- template; psql runs the result.
--
-- {{schema}}          name of the schema, as a literal
-- {{check}}           sets procrastinate_script.catalog_check to catalog_check.sql
-- {{names}}           names of all objects that Procrastinate has had, separated by blanks
-- {{range_start}}     position that the script starts from, as step below
-- {{range_end}}       position that it ends at
-- {{start_name}}      revision that the script starts from
-- {{end_name}}        revision that it ends at
-- {{announce}}        online_script_announce.sql
-- {{check_role}}      online_script_check_role.sql
-- {{enter}}           online_script_enter.sql
-- {{record}}          online_script_record.sql
-- {{retry}}           online_script_retry.sql
-- {{wait_for_clients}} online_script_wait_for_clients.sql
-- {{change_barrier}}  online_script_change_barrier.sql
-- {{check_column}}    online_script_check_column.sql
-- {{start}}           online_script_start.sql
-- {{run_step}}        online_script_run_step.sql
-- {{run_batches}}     online_script_run_batches.sql
-- {{start_build}}     online_script_start_build.sql
-- {{check_use}}       online_script_check_use.sql
--
-- A program is a PL/pgSQL block that commits; psql keeps its text in a variable, and runs it by
-- DO :'variable'. What several programs do is a DO statement in a setting, and they run it by
-- EXECUTE. Settings also hold what differs between steps, so that no name has to be quoted inside a
-- block. No function is created: a role may lack the privilege TEMPORARY.
--
-- A position is {revision, number of the last complete step}: {24,3}; {25,0} once 0024 is complete.
-- The setting procrastinate_script.position holds what the history said last.

\set QUIET on
\set SHOW_CONTEXT never
\if :{?lock_timeout} \else \set lock_timeout '100 ms'
\endif
\if :{?retry_for} \else \set retry_for '10 min'
\endif
\if :{?max_wal_rate} \else \set max_wal_rate '64 MB'
\endif
\if :{?force} \else \set force 0
\endif
SET standard_conforming_strings = on;
SET transform_null_equals = off;
SET quote_all_identifiers = off;
SET check_function_bodies = off;
SET row_security = off;
SET DateStyle = 'ISO, YMD';
SET jit = off;
SET search_path = pg_catalog, pg_temp;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET procrastinate_script.schema = {{schema}};
SET procrastinate_script.names = '{{names}}';
SET procrastinate_script.keeps_history = on;
SET procrastinate_script.grants = '';
SET procrastinate_script.running = '';
SET procrastinate_script.event = '';
SET procrastinate_script.build = '';
SET procrastinate_script.build_table = '';
SET procrastinate_script.range_start = '{{range_start}}';
SET procrastinate_script.range_end = '{{range_end}}';
SET procrastinate_script.start_name = '{{start_name}}';
SET procrastinate_script.end_name = '{{end_name}}';
SET procrastinate_script.force = :'force';
SELECT set_config('procrastinate_script.lock_timeout', greatest(1,
           1000 * extract(epoch FROM :'lock_timeout'::interval))::bigint::text, false),
       set_config('procrastinate_script.retry_for',
           (1000 * extract(epoch FROM :'retry_for'::interval))::bigint::text, false),
       set_config('procrastinate_script.max_wal_rate',
           pg_size_bytes(:'max_wal_rate')::text, false) \g /dev/null

{{check}}
SET procrastinate_script.announce = $procrastinate$DO $block$
{{announce}}$block$$procrastinate$;

SET procrastinate_script.check_role = $procrastinate$DO $block$
{{check_role}}$block$$procrastinate$;

SET procrastinate_script.enter = $procrastinate$DO $block$
{{enter}}$block$$procrastinate$;

SET procrastinate_script.record = $procrastinate$DO $block$
{{record}}$block$$procrastinate$;

SET procrastinate_script.retry = $procrastinate$DO $block$
{{retry}}$block$$procrastinate$;

SET procrastinate_script.wait_for_clients = $procrastinate$DO $block$
{{wait_for_clients}}$block$$procrastinate$;

SET procrastinate_script.change_barrier = $procrastinate$DO $block$
{{change_barrier}}$block$$procrastinate$;

SET procrastinate_script.check_column = $procrastinate$DO $block$
{{check_column}}$block$$procrastinate$;

SELECT $procrastinate$
{{run_step}}$procrastinate$ AS procrastinate_run_step \gset

SELECT $procrastinate$
{{run_batches}}$procrastinate$ AS procrastinate_run_batches \gset

SELECT $procrastinate$
{{start_build}}$procrastinate$ AS procrastinate_start_build \gset

SELECT $procrastinate$
{{check_use}}$procrastinate$ AS procrastinate_check_use \gset

SET procrastinate_script.step = '{1,0}';
SET procrastinate_script.after = 0;
SET procrastinate_script.title = 'begin of the script';
SET procrastinate_script.about = '';
SET procrastinate_script.locks = '';
SET procrastinate_script.barrier = '';
DO $procrastinate$
{{start}}$procrastinate$;
