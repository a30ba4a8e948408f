# Index builds of procrastinate_migrate() that are interrupted, that run for two schemas at once, or
# that get no background worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

interrupted_build();
two_schemas();
no_worker();
places_for_workers();
build_of_another_role();
done_testing();

sub last_event
{
	my ($schema) = @_;
	return $node->safe_psql(
		$database,
		"SELECT event FROM procrastinate_log('$schema') ORDER BY id DESC LIMIT 1");
}

sub interrupted_build
{
	my $worker_of =
	  q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'};
	foreach my $how (qw(cancel terminate worker))
	{
		my $schema = filled_schema("cut_$how", 19);
		my ($reader, $caller, $other) = map { session($schema) } 1 .. 3;

		# A build waits for transactions with older snapshots.
		$reader->query(
			'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM procrastinate_jobs');
		$caller->query('SET client_min_messages = notice');
		$caller->send("CALL procrastinate_migrate('0020')");
		wait_until(
			"SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase ~ 'waiting' AND"
			  . " current_locker_pid = $reader->{pid}",
			'the build waits for the reader');
		like(
			$caller->notice(qr/for session/),
			qr/^step\ 0020\.1:\ waiting\ for\ [a-z ]+,\ for\ session\ $reader->{pid}\ of\ role
				\ \w+\ since\ \d{4}-\S+\ \d\d:\d\d:\d\d\+00$/x,
			"$how: the NOTICE names the blocker");
		is( $other->query(
					'SELECT count(*) FROM pg_locks WHERE pid = '
				  . $caller->{pid}
				  . " AND locktype = 'advisory' AND objsubid = 3 AND classid ="
				    . " $LOCK_KEY{installation}"
			),
			'0',
			"$how: the call holds no lock of the schema while it waits");

		my ($planned) =
		  split /\n/, $other->query(q{SELECT lock FROM procrastinate_plan_details('0020')});
		is(join(', ', held_locks($other, $schema, $node->safe_psql($database, $worker_of))),
			$planned, "$how: the worker has the lock of the plan");

		# Another caller finds the running call.
		$other->query("SET statement_timeout = '500ms'");
		is( $other->refusal("CALL procrastinate_migrate('0020')"),
			'57014: canceling statement due to statement timeout',
			"$how: another call waits for the build");
		$other->query('RESET statement_timeout');
		is($node->safe_psql($database, "SELECT count(*) FROM ($worker_of) AS w"), '1',
			"$how: and begins none of its own");

		$node->safe_psql(
			$database,
			$how eq 'cancel'
			? "SELECT pg_cancel_backend($caller->{pid})"
			: $how eq 'terminate' ? "SELECT pg_terminate_backend($caller->{pid})"
			:                       "SELECT pg_terminate_backend(pid) FROM ($worker_of) AS w");
		if ($how ne 'terminate')
		{
			my (undef, $error) = $caller->wait;
			is( $error, $how eq 'cancel'
				? '57014: canceling statement due to user request'
				: '57000: the background worker that built an index was ended',
				"$how: the call fails");
		}
		wait_until("SELECT count(*) = 0 FROM ($worker_of) AS w", 'the worker has gone');
		is( $node->safe_psql(
				$database,
				"SELECT indisvalid FROM pg_index WHERE indexrelid ="
				  . " '$schema.procrastinate_jobs_id_lock_idx_0020'::regclass"
			),
			'f',
			"$how: an invalid index is left");
		is(last_event($schema), 'step 0020.0', "$how: the history says so");
		is(is_as_recorded($node, $database, $schema, "$how: the schema is at 0019 and on its way"),
			19, "$how: at 0019");

		$reader->query('COMMIT');
		$other->query("CALL procrastinate_migrate('0020')");
		is_at($node, $database, $schema, 20, "$how: the next call finishes it");
		is( $other->query(
				q{SELECT last.duration + '400 ms' > last.applied_at - first.applied_at FROM}
				  . q{ procrastinate_log() AS first,}
				  . q{ procrastinate_log() AS last WHERE first.event = 'step 0020.0' AND}
				    . q{ (last.event, last.to_revision) = ('upgrade', '0020')}
			),
			't',
			"$how: the migration took from its first step to its last");
		$reader->close;
		$other->close;
		$caller->close if $how ne 'terminate';
	}
	return;
}

# A build waits for writers of its table, and for older snapshots in any schema.
sub two_schemas
{
	my @schemas = map { filled_schema($_, 19) } qw(near far);
	my ($near_client, $far_client, @callers) = map { session($_) } @schemas, @schemas;
	my $work =
	  q{BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO procrastinate_jobs (queue_name,}
	    . q{ task_name) VALUES ('q', 't')};
	my $builds = sub {
		my (@waiting_for) = @_;
		wait_until(
			"SELECT string_agg(current_locker_pid::text, ' ' ORDER BY"
			  . " relnamespace::regnamespace::text DESC) = '@waiting_for'"
			  . ' FROM pg_stat_progress_create_index JOIN pg_class c ON c.oid = relid',
			'both builds wait');
	};
	$_->query($work) foreach $near_client, $far_client;
	$_->send(q{CALL procrastinate_migrate('0032')}) foreach @callers;
	$builds->($near_client->{pid}, $far_client->{pid});
	$near_client->query('COMMIT');
	$builds->(($far_client->{pid}) x 2);
	$near_client->query($work);
	$far_client->query('COMMIT');
	$builds->(($near_client->{pid}) x 2);
	$near_client->query('COMMIT');
	is(($_->wait)[1], '', 'beside another call, and clients of both, a call comes to its end')
	  foreach @callers;

	foreach my $schema (@schemas)
	{
		is_at($node, $database, $schema, 32, "$schema is at 0032");
		is( $node->safe_psql(
				$database, "SELECT count(*) FROM procrastinate_check('current', '$schema')"),
			'0',
			'with its functions');
		is($node->safe_psql($database, "SELECT count(*) FROM $schema.procrastinate_jobs"),
			$schema eq 'near' ? 102 : 101, 'and all its jobs');
	}
	$_->close foreach $near_client, $far_client, @callers;
	return;
}

sub no_worker
{
	my $poor  = start_server(conf => "max_worker_processes = 0\n");
	my $there = new_database($poor);
	upgrade($poor, $there, 19);
	my (undef, undef, $err) =
	  $poor->psql($there, "\\set VERBOSITY verbose\nCALL procrastinate_migrate('0020')");
	like($err, qr/ERROR:  53400: there is no background worker to build an index with/,
		'without a worker it refuses');
	like($err, qr/^HINT:  .*concurrently => false\);/m, 'and says what does without');
	$poor->safe_psql($there, "CALL procrastinate_migrate('0020', concurrently => false)");
	is_at($poor, $there, 'public', 20, 'which does');
	upgrade($poor, $there, 26);
	$poor->safe_psql($there, 'CALL procrastinate_migrate(concurrently => false)');
	is_at($poor, $there, 'public', $HEAD, 'to head, too');
	$poor->stop;
	return;
}

# The builds of one role take no more than its places for background workers. A build that waits for
# longer than retry_for gives its place back.
sub places_for_workers
{
	my @schemas = map { filled_schema("place_$_", 19) } 1 .. 3;
	my ($reader, @callers) = (session('place_1'), map { session($_) } @schemas);
	$reader->query(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM procrastinate_jobs');
	$callers[0]->send(q{CALL procrastinate_migrate('0020')});
	wait_for_build($node, $database);
	my $workers = q{SELECT count(*) FROM pg_stat_activity}
	  . q{ WHERE backend_type = 'procrastinate_migrate'};
	my $call = q{CALL procrastinate_migrate('0020', retry_for => '100 ms')};

	my (undef, undef, $err) = $node->psql($database,
		"SET search_path = place_2, public; SET procrastinate_migrate.max_build_workers = 1; $call");
	my $role = run_sql('SELECT session_user');
	like($err, qr/ERROR:  migration 0020 .* could not get its locks/, 'no place is left');
	like(
		$err,
		qr/^Role\ "\Q$role\E"\ has\ as\ many\ index\ builds\ in\ this\ database\ as
			\ procrastinate_migrate\.max_build_workers\ allows\ \(1\)\.$/mx,
		'and the error says whose builds have the others');
	is(run_sql($workers), '1', 'no second worker has begun');

	(undef, undef, $err) = $node->psql($database,
		q{SET search_path = place_2, public; CALL procrastinate_migrate('0020', retry_for => '3 s')});
	like($err, qr/ERROR:  migration 0020 .* could not get its locks/,
		'with two places the build begins, and waits as long as retry_for');
	like(
		$err,
		qr/^Canceling\ statement\ due\ to\ lock\ timeout:
			\ waiting\ for\ [a-z ]+,\ for\ session\ $reader->{pid}\ of\ role/mx,
		'and the error names the session that it waited for');
	is(run_sql($workers), '1', 'then its worker has ended');
	my $elsewhere = session('place_3');
	my $set       = 'SET procrastinate_migrate.max_build_workers = 9';
	$elsewhere->query("CREATE ROLE other_builder; SET SESSION AUTHORIZATION other_builder; $set");
	$elsewhere->query('SELECT count(*) FROM procrastinate_heads()');
	is($elsewhere->query('SHOW procrastinate_migrate.max_build_workers'),
		'2', 'what another role has set before the library was loaded does not count');
	is($elsewhere->refusal($set) =~ s/:.*//sr, '42501', 'only a superuser sets the number');
	is($elsewhere->refusal('SET procrastinate_migrate.max_migrate_workers = 9') =~ s/:.*//sr,
		'42501', 'and that of migrations');
	run_sql('GRANT SET ON PARAMETER procrastinate_migrate.max_build_workers TO other_builder');
	is($elsewhere->query("$set; SHOW procrastinate_migrate.max_build_workers"),
		'9', 'or who has a grant');
	$reader->query('COMMIT');
	is(($callers[0]->wait)[1], '', 'the first build comes to its end');
	is($callers[1]->refusal($call), 'no error', 'and the second one in the next call');
	$_->close foreach $reader, $elsewhere, @callers;
	return;
}

# A role that may only use the schema builds an index of its own, and is not shown as the session at
# work.
sub build_of_another_role
{
	my $schema = filled_schema('faked', 19);
	my ($reader, $caller, $holder) = map { session($schema) } 1 .. 3;
	$reader->query(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM procrastinate_jobs');
	$caller->send("CALL procrastinate_migrate('0020')");
	wait_until(
		'SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE current_locker_pid ='
		  . " $reader->{pid}",
		'the build waits for the reader');
	my $progress = "SELECT pid FROM procrastinate_progress WHERE schema = '$schema'::regnamespace";
	my $worker =
	  q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'};
	$node->safe_psql($database, <<"SQL");
CREATE ROLE visitor LOGIN;
GRANT USAGE ON SCHEMA $schema TO visitor;
CREATE SCHEMA hers AUTHORIZATION visitor;
SET ROLE visitor;
CREATE TABLE hers.t AS SELECT 1 AS a;
CREATE FUNCTION hers.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
	'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN 1; END';
SQL
	$holder->query('SELECT pg_advisory_lock(1)');
	my $visitor = do { local $ENV{PGUSER} = 'visitor'; session($schema) };
	$visitor->query('BEGIN; LOCK TABLE procrastinate_schema_history IN ACCESS SHARE MODE');
	$visitor->send('CREATE INDEX ON hers.t (hers.slow(a))');
	until_blocked($visitor);
	my $as_visitor = "SET ROLE visitor; $progress";
	is($node->safe_psql($database, $as_visitor),
		$node->safe_psql($database, $worker), 'the worker is shown as the session at work');
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	$caller->wait;
	is($node->safe_psql($database, $as_visitor), '', 'without it no other session is');
	$holder->query('SELECT pg_advisory_unlock(1)');
	$visitor->wait;
	$_->close foreach $reader, $caller, $holder, $visitor;
	return;
}
