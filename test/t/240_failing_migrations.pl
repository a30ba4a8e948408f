# Reasons of users that make a migration fail. The pre-check finds them. Without the pre-check the
# migration fails: everything is rolled back, the error is the server's own, and its context names
# migration, file and line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Failure;

my $node     = start_server();
my $database = new_database($node);
look_for_failures($node, $database);

# Obstacles to the step to a revision: the SQL that makes one, the server's error, the SQL that
# removes it, and the finding of the pre-check.
my $run_twice = q{UPDATE procrastinate_jobs SET lock = 'same', status = }
  . q{(CASE id WHEN 1 THEN 'doing' ELSE '%s' END)::procrastinate_job_status WHERE id < 3};
my $end_one   = q{UPDATE procrastinate_jobs SET status = 'failed' WHERE id = 1};
my $defer_job = 'function procrastinate_defer_job_v1(character varying,character varying,integer,'
  . 'text,text,jsonb,timestamp with time zone)';
my @obstacles = (
	[   3, 'a view uses a column that is dropped',
		'CREATE VIEW v AS SELECT started_at FROM procrastinate_jobs',
		'2BP01: cannot drop column started_at of table procrastinate_jobs'
		  . ' because other objects depend on it',
		'view v depends on column started_at of table procrastinate_jobs',
		'DROP VIEW v',
		'View SCHEMA.v uses column procrastinate_jobs.started_at, which 0003 drops.' ],
	[   4, 'a view uses a table that is dropped',
		'CREATE VIEW v AS SELECT * FROM procrastinate_version',
		'2BP01: cannot drop table procrastinate_version because other objects depend on it',
		'view v depends on table procrastinate_version',
		'DROP VIEW v',
		'View SCHEMA.v uses table procrastinate_version, which 0004 drops.' ],
	[   8, 'two jobs of one lock run',
		sprintf($run_twice, 'doing'),
		'23505: could not create unique index "procrastinate_jobs_lock_idx"',
		'Key (lock)=(same) is duplicated.',
		$end_one,
		'Unique index procrastinate_jobs_lock_idx of 0008 meets duplicates (1), for example (lock)'
		  . ' = (same).'
	],
	[   21, 'one tick was deferred in two queues',
		'INSERT INTO procrastinate_periodic_defers (task_name, queue_name, defer_timestamp)'
		  . q{ VALUES ('t', 'a', 7), ('t', 'b', 7)},
		'23505: could not create unique index "procrastinate_periodic_defers_unique"',
		'Key (task_name, periodic_id, defer_timestamp)=(t, , 7) is duplicated.',
		q{DELETE FROM procrastinate_periodic_defers WHERE queue_name = 'b'},
		'Unique index procrastinate_periodic_defers_unique of 0021 meets duplicates (1), for'
		  . ' example (task_name, periodic_id, defer_timestamp) = (t,"",7).'
	],
	[   23, 'a view uses a column that is dropped',
		'CREATE VIEW v AS SELECT queue_name FROM procrastinate_periodic_defers',
		'2BP01: cannot drop column queue_name of table procrastinate_periodic_defers'
		  . ' because other objects depend on it',
		'view v depends on column queue_name of table procrastinate_periodic_defers',
		'DROP VIEW v',
		'View SCHEMA.v uses column procrastinate_periodic_defers.queue_name, which 0023 drops.' ],
	[   24, 'a view uses a column whose type changes',
		'CREATE VIEW v AS SELECT job_id FROM procrastinate_events',
		'0A000: cannot alter type of a column used by a view or rule',
		'rule _RETURN on view v depends on column "job_id"',
		'DROP VIEW v',
		'View SCHEMA.v uses column procrastinate_events.job_id, which 0024 changes.' ],
	[   29, 'an index that is dropped is missing',
		'DROP INDEX procrastinate_jobs_id_lock_idx',
		'42704: index "procrastinate_jobs_id_lock_idx" does not exist',
		undef,
		'CREATE INDEX procrastinate_jobs_id_lock_idx ON procrastinate_jobs (id, lock)',
		'Index procrastinate_jobs_id_lock_idx is missing.' ],
	[   31, 'an index that is renamed is missing',
		'DROP INDEX procrastinate_jobs_priority_idx',
		'42P01: relation "procrastinate_jobs_priority_idx" does not exist',
		undef,
		q{CREATE INDEX procrastinate_jobs_priority_idx ON procrastinate_jobs (priority DESC, id)}
		  . q{ WHERE status = 'todo'},
		'Index procrastinate_jobs_priority_idx is missing.' ],
	[   31, 'a waiting job has a request to abort',
		'UPDATE procrastinate_jobs SET abort_requested = true WHERE id = 5',
		'23514: check constraint "check_not_todo_abort_requested" of relation'
		  . ' "procrastinate_jobs" is violated by some row',
		undef,
		'UPDATE procrastinate_jobs SET abort_requested = false',
		'Constraint check_not_todo_abort_requested of 0031 refuses rows (1), for example id 5.' ],
	[   31, 'two jobs of one lock run, one aborting',
		sprintf($run_twice, 'aborting'),
		'23505: duplicate key value violates unique constraint "procrastinate_jobs_lock_idx_v1"',
		'Key (lock)=(same) already exists.',
		$end_one,
		'Unique index procrastinate_jobs_lock_idx_v1 of 0031 meets duplicates (1), for example'
		  . ' (lock) = (same).'
	],
	[   31, q{a user's trigger calls a function that goes},
		'CREATE TABLE mine (queue_name text, task_name text); CREATE TRIGGER t'
		  . ' AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION procrastinate_notify_queue()',
		'2BP01: cannot drop function procrastinate_notify_queue()'
		  . ' because other objects depend on it',
		'trigger t on table mine depends on function procrastinate_notify_queue()',
		'DROP TABLE mine',
		'Trigger t on table SCHEMA.mine uses function procrastinate_notify_queue(), which 0031'
		  . ' drops.'
	],
	[   33, 'a function that is dropped is missing',
		# With the other function the schema is not that of 0033.
		'DROP FUNCTION procrastinate_fetch_job_v1;'
		  . ' CREATE FUNCTION procrastinate_fetch_job_v1(inet) RETURNS int LANGUAGE sql RETURN 1',
		'42883: function procrastinate_fetch_job_v1(character varying[]) does not exist',
		undef,
		'DROP FUNCTION procrastinate_fetch_job_v1(inet);'
		  . ' CREATE FUNCTION procrastinate_fetch_job_v1(varchar[]) RETURNS int'
		  . q{ LANGUAGE sql AS 'SELECT 1'},
		'Function procrastinate_fetch_job_v1(character varying[]) is missing.' ],
	[   35, 'a view calls a function that is dropped',
		'CREATE VIEW v AS SELECT'
		  . q{ procrastinate_defer_job_v1('q', 't', 0, NULL, NULL, '{}', NULL)},
		"2BP01: cannot drop $defer_job because other objects depend on it",
		"view v depends on $defer_job",
		'DROP VIEW v',
		'View SCHEMA.v uses function procrastinate_defer_job_v1(character varying, character'
		  . ' varying, integer, text, text, jsonb, timestamp with time zone), which 0035 drops.'
	],);

obstacle(@$_) foreach @obstacles;

rows_that_came_meanwhile();
error_of_ones_own();
other_contexts();
memory();
done_testing();

# ------------------------------------------------------------------------------------------------
# Obstacles
# ------------------------------------------------------------------------------------------------

# A client has written the row after the pre-check, so the first call fails at a later step. The
# setting stands for that.
sub rows_that_came_meanwhile
{
	my $schema = new_schema(30);
	my $call   = q{CALL procrastinate_migrate('0031');};
	$node->safe_psql($database,
		"SET search_path = $schema;"
		  . ' UPDATE procrastinate_jobs SET abort_requested = true WHERE id = 5');
	is(failure($schema, "SET procrastinate_migrate.verify = off; $call")->{sqlstate},
		'23514', 'a row that came after the pre-check stops a step');
	my $refusal = failure($schema, $call);
	is(
		"$refusal->{sqlstate}: $refusal->{detail}",
		'PM009: Constraint check_not_todo_abort_requested of 0031 refuses rows (1), for example'
		  . ' id 5.',
		'the next call names it');
	$node->safe_psql($database,
		"SET search_path = $schema;"
		  . ' UPDATE procrastinate_jobs SET abort_requested = false WHERE id = 5');
	is($node->psql($database, "SET search_path = $schema, public; $call"),
		0, 'without it the call goes on');
	is_at($node, $database, $schema, 31, 'to 0031');
	return;
}

sub obstacle
{
	my ($revision, $what, $cause, $error, $detail, $remedy, $seen) = @_;
	my ($sqlstate) = $error =~ /^(\w{5}): /;
	my $target     = revision_name($revision);
	my $label      = "$target, $what";
	my $schema     = new_schema($revision - 1);
	$node->safe_psql($database, "SET search_path = $schema; $cause");
	my $before = dump_of($schema);

	$seen =~ s/SCHEMA/$schema/;
	foreach my $call ("SELECT procrastinate_upgrade('$target');",
		"CALL procrastinate_migrate('$target');")
	{
		my $refusal = failure($schema, $call);
		is("$refusal->{sqlstate}: $refusal->{detail}", "PM009: $seen",
			"$label, $call the pre-check finds it");
	}
	is(dump_of($schema), $before, "$label, pre-check: nothing has changed");

	my $upgrade = "SET procrastinate_migrate.verify = off; SELECT procrastinate_upgrade('$target')";
	my %ways    = (
		upgrade                    => "$upgrade;",
		'upgrade in a transaction' => "BEGIN; CREATE TABLE mine_too (a int);\n$upgrade;\nCOMMIT;");
	foreach my $way (sort keys %ways)
	{
		my $failure = failure($schema, $ways{$way});
		is( "$failure->{sqlstate}: $failure->{message}",
			$error, "$label, $way: the error is the server's own");
		$failure->{detail} =~ s/\.$//
		  if defined $detail and $detail !~ /\.$/;    # some versions end it so
		is($failure->{detail}, $detail, "$label, $way: its detail is the server's own");
		is( $failure->{hint}, 'Use DROP ... CASCADE to drop the dependent objects too.',
			"$label, $way: its hint is the server's own") if $sqlstate eq '2BP01';
		names_the_line($failure, $revision, "$label, $way");
	}

	my $caught = failure($schema, <<"SQL");
SET procrastinate_migrate.verify = off;
BEGIN;
DO \$\$
DECLARE
	context text;
BEGIN
	PERFORM procrastinate_upgrade('$target');
EXCEPTION WHEN SQLSTATE '$sqlstate' THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	CREATE TABLE caught AS SELECT context;
END \$\$;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT count(*) FROM caught WHERE context ~ 'migration $target .*, line \\d+';
SELECT count(*) FROM procrastinate_jobs;
DROP TABLE caught;
COMMIT;
SQL
	is($caught->{text},  '',         "$label: a PL/pgSQL block catches the error");
	is($caught->{out},   "0\n1\n20",
		"$label: the lock is released after it, and the session goes on");
	is(dump_of($schema), $before,    "$label: nothing has changed after all of that");

	# By steps: what was done before the one that fails stays, and the next call goes on from there.
	my $migrate = "SET procrastinate_migrate.verify = off; CALL procrastinate_migrate('$target');";
	my $failure = failure($schema, $migrate);
	is($failure->{sqlstate}, $revision == 24 ? 'PM009' : $sqlstate,
		"$label, migrate: the error is the server's own");
	like(
		$failure->{context},
		qr/^(?:migration $target \(.*\)(?:, step \d+ \(.*\))?(?:, line \d+)?|step $target\.\d+)$/m,
		"$label, migrate: the context names the step") if $revision != 24;
	is_as_recorded($node, $database, $schema, "$label, migrate: the schema is as recorded")
	  if $what !~ /missing|user's/;
	my $fixed = failure($schema, "$remedy;\n$migrate");
	is($fixed->{text}, '', "$label: it succeeds once the obstacle is removed");
	is_at($node, $database, $schema, $revision, "$label: the schema is at $target");
	return;
}

sub error_of_ones_own
{
	$node->safe_psql($database, <<'SQL');
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('refuse.now', true) = 'yes' AND tg_tag = 'CREATE TRIGGER' THEN
		RAISE 'not on my watch' USING ERRCODE = 'UE001', DETAIL = 'The detail.', HINT = 'The hint.';
	END IF;
END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse();
SQL
	foreach my $case ([ 0, '0015' ], [ 14, '0015' ], [ 29, '0030' ])
	{
		my ($from, $target) = @$case;
		my $schema = new_schema($from);
		my $before = dump_of($schema);
		my $failure =
		  failure($schema, "SET refuse.now = yes;\nSELECT procrastinate_upgrade('$target');");
		my $label = "an event trigger refuses on the way from $from to $target";
		is_deeply(
			[ @$failure{qw(sqlstate message detail hint)} ],
			[ 'UE001', 'not on my watch', 'The detail.', 'The hint.' ],
			"$label: SQLSTATE, message, detail and hint come through");
		names_the_line($failure, $from ? int $target : 1, $label);
		is(dump_of($schema), $before, "$label: nothing has changed");
	}

	# What was committed before the step that fails stays.
	my $schema = new_schema(0);
	failure($schema, "CALL procrastinate_migrate('0014');");
	my $failure = failure($schema, "SET refuse.now = yes;\nCALL procrastinate_migrate('head');");
	is($failure->{sqlstate}, 'UE001', 'a migration of many steps fails at one of them');
	is_at($node, $database, $schema, 14, 'a migration of many steps keeps those before');
	$failure = failure($schema, "SET refuse.now = yes;\nSELECT procrastinate_upgrade('head');");
	is($failure->{sqlstate}, 'PM007', 'a range that needs two transactions is refused first');

	my $empty = new_schema(0);
	$failure = failure($empty, "SET refuse.now = yes;\nSELECT procrastinate_upgrade('head');");
	is($failure->{sqlstate}, 'UE001', 'head at once fails');
	like(
		$failure->{context}, qr/^schema of $HEAD_NAME \(head\) \(head\.sql\), line \d+$/m,
		'head at once: the context names the file and the line');
	is( $node->safe_psql(
			$database, "SELECT count(*) FROM pg_class"
			  . " WHERE relnamespace = '$empty'::regnamespace"),
		'0',
		'head at once: the schema is empty');
	$node->safe_psql($database, 'DROP EVENT TRIGGER refuse');
	return;
}

# ------------------------------------------------------------------------------------------------
# Failures of no statement of a migration: the context names what it was at
# ------------------------------------------------------------------------------------------------

sub other_contexts
{
	my $schema = new_schema(28);
	my $worker = new_session($node, $database, $schema);
	$worker->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my $failure =
	  failure($schema, "SET lock_timeout = 1; SELECT procrastinate_upgrade('0030');");
	is($failure->{sqlstate}, '55P03', 'several steps wait for the jobs');
	like(
		$failure->{context}, qr/^lock of procrastinate_jobs\nbefore migration 0029 \(.*\)$/m,
		'the context names the lock');
	$worker->query('ROLLBACK');
	$worker->close;

	$schema = new_schema(29);
	$node->safe_psql($database, <<"SQL");
SET search_path = $schema;
SET session_replication_role = replica;
INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('queue', 'task', 'aborting');
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''too late''; END';
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON procrastinate_jobs DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION late();
SQL
	$failure = failure($schema, 'CALL procrastinate_migrate();');
	is($failure->{sqlstate}, 'PM009',
		q{a user's deferred trigger is refused before the first step});
	like(
		$failure->{detail},
		qr/^Trigger late on table procrastinate_jobs is deferred to the end of the transaction\.$/m,
		'the DETAIL names it');
	my ($disable) = $failure->{text} =~ /^(ALTER TABLE .* DISABLE TRIGGER late;)$/m;
	$node->safe_psql($database, $disable // 'SELECT');
	is(failure($schema, q{CALL procrastinate_migrate('0030');})->{text}, '',
		'the HINT works when pasted');
	$node->safe_psql($database, "DROP FUNCTION $schema.late() CASCADE");

	# A trigger of the user's writes to a table with a deferred foreign key.
	$node->safe_psql($database, <<"SQL");
SET search_path = $schema;
CREATE TABLE audit (job_id bigint REFERENCES procrastinate_jobs DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN INSERT INTO $schema.audit VALUES (NEW.id); RETURN NEW; END';
CREATE TRIGGER audit BEFORE UPDATE ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION audit();
SQL
	$failure = failure($schema, q{CALL procrastinate_migrate('0031');});
	is($failure->{sqlstate}, '42501', 'the server defers no foreign key in a batch');
	like($failure->{context}, qr/^PL\/pgSQL function audit\(\)/m, 'the CONTEXT has the trigger');
	like(
		$failure->{text},
		qr/^HINT: .*Disable the trigger whose function the CONTEXT names, and enable it after the change\.$/m,
		'the HINT says what to do');
	$node->safe_psql($database, "ALTER TABLE $schema.procrastinate_jobs DISABLE TRIGGER audit");
	is(failure($schema, q{CALL procrastinate_migrate('0031');})->{text}, '', 'which is enough');
	$node->safe_psql($database, "DROP FUNCTION $schema.audit() CASCADE");
	$node->safe_psql($database, "DROP TABLE $schema.audit");
	is(is_as_recorded($node, $database, $schema, 'the schema is as recorded'), 31, 'at 0031');
	return;
}

# ------------------------------------------------------------------------------------------------
# Memory
# ------------------------------------------------------------------------------------------------

sub memory
{
	my $schema  = new_schema(30);
	my $session = new_session($node, $database, $schema);
	$session->query('SET procrastinate_migrate.verify = off');
	$session->query('UPDATE procrastinate_jobs SET abort_requested = true WHERE id = 5');
	my $caught = <<'SQL';
DO $$
BEGIN
	FOR i IN 1 .. %d LOOP
		BEGIN
			PERFORM public.procrastinate_upgrade('0031');
			RAISE 'no error';
		EXCEPTION WHEN check_violation THEN
			NULL;
		END;
	END LOOP;
END $$
SQL
	my %ways = (
		'caught in a block' => sub { $session->query(sprintf $caught, 10) },
		'at top level'      => sub {
			is( $session->refusal(q{SELECT public.procrastinate_upgrade('0031')}) =~ s/:.*//r,
				'23514', 'the migration fails')
			  foreach 1 .. 2;
		},
		'of a procedure' => sub {
			like(
				$session->refusal(q{CALL public.procrastinate_migrate('0031')}),
				qr/^23514/, 'the procedure fails') foreach 1 .. 2;
		});
	my %rounds = ('caught in a block' => 10, 'at top level' => 15, 'of a procedure' => 15);
	my $used   = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
	foreach my $way (sort keys %ways)
	{
		$ways{$way}->() foreach 1 .. $rounds{$way};
		my $first = $session->query($used);
		$ways{$way}->() foreach 1 .. 4 * $rounds{$way};
		my $last = $session->query($used);
		note "errors $way: $first bytes, then $last";
		cmp_ok($last - $first, '<', 100_000, "errors $way do not make the session grow");
	}
	is($session->query('SELECT count(*) FROM procrastinate_jobs'), '20', 'the session goes on');
	is( is_as_recorded(
			$node, $database, $schema, 'after all those errors the schema is as recorded'),
		30,
		'at 0030');
	$session->close;
	return;
}
