# procrastinate_migrate() on a queue in use: no session queues behind a step, an interrupted
# migration is continued, and until then other changes fail.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server(conf => "max_prepared_transactions = 4\n");
my $database = new_database($node);
use_database($node, $database);

gives_up();
a_wait_for_another_change();
advice_for_an_odd_name();
cancelled_as_time_is_up();
refused_while_under_way();
workers_notice_nothing();
smallest_and_largest_id();
done_testing();

# ------------------------------------------------------------------------------------------------
# Locks that conflict
# ------------------------------------------------------------------------------------------------

sub gives_up
{
	my $schema = filled_schema('gives_up', 14);
	my ($holder, $caller, $worker, $reader) = map { session($schema) } 1 .. 4;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$holder->query(
		q{SET application_name = 'a report'; BEGIN; SELECT count(*) FROM procrastinate_jobs});
	my $call = "CALL procrastinate_migrate('0015', lock_timeout => '20 ms', retry_for => '300 ms')";

	# This step conflicts with writers, not with readers.
	$holder->query('LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my (undef, undef, $err) = $node->psql(
		$database, "SET search_path = $schema, public; "
		  . q{CALL procrastinate_migrate('0015', lock_timeout => '10 ms', retry_for => '3 s')});
	like(
		$err,
		qr/ERROR:  migration 0015 \(.*\), step 1 \(the whole migration\) could not get its locks/,
		'it gives up');
	my ($tries, $seconds) = $err =~
	  /^DETAIL:  It was tried (\d+) times in (\d+) s\. No try has changed anything\.$/m;
	cmp_ok($seconds // 0,  '>=', 3,  'after as long as it may try');
	cmp_ok($tries   // 0,  '>',  1,  'more than once');
	cmp_ok($tries   // 99, '<',  20, 'in pauses that grow');
	like(
		$err,
		qr/^Session\ $holder->{pid}\ of\ role\ \S+\ \(a\ report\),\ client\ backend,\ idle\ in
			\ transaction\ for\ \d\d:\d\d:\d\d:\ .*RowExclusiveLock\ on\ procrastinate_jobs.*;
			\ LOCK\ TABLE/mx,
		'and its blocker');
	unlike($err, qr/^Session $reader->{pid} /m,
		'but no other session that has been there for longer');
	$reader->query('COMMIT');
	like(
		$err,
		qr/^HINT:\ \ .*CALL\ public\.procrastinate_migrate\('0015',\ schema\ =>\ 'gives_up',
			\ lock_timeout\ =>\ '10\ ms',\ retry_for\ =>\ '1\ hour'\);/mx,
		'and what to do');
	is_at($node, $database, $schema, 14, 'nothing of the step is left');
	is($caller->refusal($call) =~ s/:.*//r, '55P03', 'by the SQLSTATE of locks');
	is( $worker->query(
			'INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES (\'q\', \'t\') RETURNING'
			  . ' task_name'
		),
		't',
		'a worker goes on');
	$holder->query('COMMIT');

	# A prepared transaction has no session.
	$holder->query(
		"BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'left"
		  . " behind'"
	);
	(undef, undef, $err) = $node->psql($database, "SET search_path = $schema, public; $call");
	like($err, qr/^Prepared transaction 'left behind' of role \S+ for .*on procrastinate_jobs/m,
		'a prepared transaction is named');
	$holder->query("ROLLBACK PREPARED 'left behind'");

	$caller->query($call);
	is_at($node, $database, $schema, 15, 'without blockers it ends');

	my @nonsense = (
		[ q{lock_timeout => '0'}, '22023' ], [ q{lock_timeout => '2 hours'}, '22023' ],
		[ q{retry_for => '-1 s'}, '22023' ], [ 'retry_for => NULL',          '22004' ],
		[ 'concurrently => NULL', '22004' ]);
	is($caller->refusal("CALL procrastinate_migrate($_->[0])") =~ s/:.*//r, $_->[1],
		"$_->[0] is refused")
	  foreach @nonsense;
	$_->close foreach $holder, $caller, $worker, $reader;
	return;
}

# retry_for bounds the wait for another session's change of the schema, too.
sub a_wait_for_another_change
{
	my $schema = filled_schema('patient', 14);
	my ($other, $caller) = map { session($schema) } 1 .. 2;
	$other->query(
		"BEGIN; SELECT count(*) FROM procrastinate_repair(schema => '$schema', dry_run => false)");
	$caller->query('SET client_min_messages = notice');
	$caller->send(q{CALL procrastinate_migrate('0015', retry_for => '1 s')});
	like(
		$caller->notice(qr/waiting/),
		qr/^pre-check: waiting for locks, tried (?:once|\d+ times), for session $other->{pid}/,
		'the first NOTICE names the session that is changing the schema');
	my (undef, $error) = $caller->wait;
	like($error, qr/^55P03: could not lock the tables to read the current revision$/,
		'the call gives up after retry_for');
	$caller->send(q{CALL procrastinate_migrate('0015', retry_for => '3 min')});
	wait_for($node, $database, $caller->waits_for_lock, 'the call waits');
	$other->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on after the other session has ended its transaction');
	is_at($node, $database, $schema, 15, 'to 0015');
	$_->close foreach $other, $caller;
	return;
}

sub advice_for_an_odd_name
{
	my $schema = filled_schema(q{'; the "odd"' one}, 14);
	my $holder = session($schema);
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my $call = q{CALL procrastinate_migrate('0015', schema => } . lit($schema);
	my (undef, undef, $err) =
	  $node->psql($database, "$call, lock_timeout => '20 ms', retry_for => '0')");
	my ($advice) = $err =~ /^HINT:  .*(CALL .*;)$/m;
	my $expected = $call =~ s/CALL /CALL public./r;
	is($advice, "$expected, lock_timeout => '20 ms', retry_for => '1 hour');",
		'the hint has an odd name as SQL writes it');
	$holder->query('COMMIT');
	$node->safe_psql($database, $advice);
	is_at($node, $database, $schema, 15, 'and runs when pasted');
	$holder->close;
	return;
}

# A cancel that arrives together with the lock timeout is reported as a cancel. The process is
# stopped until both have arrived.
sub cancelled_as_time_is_up
{
	my $schema = filled_schema('two_signals', 14);
	my ($holder, $caller) = map { session($schema) } 1 .. 2;
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	$caller->send("CALL procrastinate_migrate('0015', lock_timeout => '2 s')");
	my $waits =
	  "FROM pg_locks WHERE pid = $caller->{pid} AND NOT granted AND waitstart IS NOT NULL";
	wait_until("SELECT count(*) = 1 $waits", 'the call waits for the jobs');
	kill 'STOP', $caller->{pid};
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	wait_until("SELECT clock_timestamp() - waitstart > '3 s' $waits", 'its time is up');
	kill 'CONT', $caller->{pid};
	my (undef, $error) = $caller->wait;
	is($error, '57014: canceling statement due to user request',
		'a cancel as the time is up is a cancel');

	# statement_timeout as well.
	$caller->query("SET statement_timeout = '2500ms'");
	$caller->send("CALL procrastinate_migrate('0015', lock_timeout => '2 s')");
	wait_until("SELECT count(*) = 1 $waits", 'the call waits for the jobs again');
	kill 'STOP', $caller->{pid};
	wait_until("SELECT clock_timestamp() - waitstart > '3 s' $waits", 'both times are up');
	kill 'CONT', $caller->{pid};
	(undef, $error) = $caller->wait;
	is($error, '57014: canceling statement due to statement timeout', 'so is a statement_timeout');
	$_->close foreach $holder, $caller;
	return;
}

# ------------------------------------------------------------------------------------------------
# Under way
# ------------------------------------------------------------------------------------------------

sub refused_while_under_way
{
	my $schema = filled_schema('under_way', 23);
	my ($reader, $caller) = map { session($schema) } 1 .. 2;
	my $script = $caller->query("SELECT procrastinate_sql('0023:0024')");
	$reader->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE')
	  ;    # in the way of the foreign key
	$caller->send("CALL procrastinate_migrate('0024')");
	is( cancelled_after($node, $database, $caller, $schema, '0024.5'),
		'57014: canceling statement due to user request', '0024 is cancelled between two steps');
	$reader->query('COMMIT');

	is( $caller->query('SELECT revision, source FROM procrastinate_current()'),
		'0023|0024: 5 of 9 done',
		'procrastinate_current() warns of it');
	my @refused = (
		q{SELECT procrastinate_upgrade('0024')},
		q{SELECT procrastinate_upgrade('0024', dry_run => true)},
		q{SELECT procrastinate_stamp('0024', verify => false)},
		'SELECT procrastinate_adopt()', 'SELECT procrastinate_repair(dry_run => false)');
	is($caller->query(qq{SELECT procrastinate_upgrade('$_')}), '0023', "$_ is reached")
	  foreach '0023', '0019';
	my $index =
	  $caller->query(q{SELECT pg_get_indexdef('procrastinate_jobs_queue_name_idx'::regclass)});
	my $repair = q{SELECT * FROM procrastinate_repair(dry_run => false)};
	is($caller->refusal($repair), 'PM012: migration 0024 is under way in schema "under_way"',
		'repair is refused although there is nothing to repair');
	$caller->query('DROP INDEX procrastinate_jobs_queue_name_idx');
	is( $caller->query(
			q{SELECT count(*) FROM procrastinate_repair() WHERE object =}
			  . q{ 'procrastinate_jobs_queue_name_idx'}
		),
		'1',
		'something is to be repaired');
	is($caller->refusal($_), 'PM012: migration 0024 is under way in schema "under_way"',
		"refused: $_")
	  foreach @refused;
	$caller->query($index);
	is( $caller->query(
			q{SELECT since = applied_at FROM procrastinate_progress, procrastinate_log() WHERE}
			  . q{ event = 'step 0024.5'}
		),
		't',
		'procrastinate_progress shows when the step before ended');
	$caller->query(
		'BEGIN; INSERT INTO procrastinate_schema_history (id, event, from_revision, to_revision,'
		  . ' duration, version, system_identifier, database_oid)'
		  . q{ SELECT max(id) + 1, 'step 0024.10, 7 of 9 by magic', '0023', '0023', '0', '9.9.9',}
		  . " $THIS_DATABASE"
		  . q{ FROM procrastinate_schema_history}
	);
	is( $caller->query(
			'SET LOCAL client_min_messages = error; SELECT revision, source FROM'
			  . ' procrastinate_current()'
		),
		'0023|step 0024.10, 7 of 9 by magic',
		'procrastinate_current() warns of a step of a newer version');
	is($caller->query(q{SELECT string_agg(revision, ' ') FROM procrastinate_pending('0025')}),
		'0024 0025', 'procrastinate_pending() of what is ahead');
	is($caller->query('SELECT count(*) FROM procrastinate_progress'), '0',
		'and nobody knows what comes next');
	$caller->query('SAVEPOINT s');
	foreach my $call (@refused[ 0, 2 .. 4 ])
	{
		is($caller->refusal($call) =~ s/:.*//sr, 'PM006',
			"a step that a newer version has made: $call");
		$caller->query('ROLLBACK TO s');
	}
	foreach my $step ('step ', 'step 0024.9', 'step 9999.1')
	{
		$caller->query('UPDATE procrastinate_schema_history SET event = '
			  . lit($step)
			  . ' WHERE id = (SELECT max(id) FROM procrastinate_schema_history)');
		$caller->query('SAVEPOINT t');
		is($caller->refusal(q{SELECT procrastinate_upgrade('0024')}) =~ s/:.*//sr, 'PM006',
			"nor is this one known: '$step'");
		$caller->query('ROLLBACK TO t');
	}
	$caller->query('ROLLBACK');
	my (undef, undef, $err) = $node->psql($database, $script, on_error_stop => 1);
	like($err, qr/ERROR:  a migration is under way in schema "under_way"/,
		'the offline script refuses');
	(undef, undef, $err) =
	  $node->psql($database, "SELECT procrastinate_upgrade('head', '$schema')");
	like($err,
		qr/^HINT:  To finish it: CALL public\.procrastinate_migrate\('0024', schema => 'under_way'\);$/m,
		'with what ends it');

	# Jobs come and go meanwhile.
	$caller->query(q{SELECT procrastinate_defer_job('q', 't', NULL, NULL, '{}'::jsonb, now())});
	is( $caller->query(
			'SELECT count(*) FROM procrastinate_events WHERE job_id_bigint IS DISTINCT FROM job_id'
		),
		'0',
		'new events have the new column filled');
	$caller->query(q{CALL procrastinate_migrate('0024')});
	is_at($node, $database, $schema, 24, 'and it ends');
	is( $caller->query(
			q{SELECT string_agg(event, ' ' ORDER BY id) FROM procrastinate_log() WHERE event ~}
			  . q{ 'step'}
		),
		join(' ', map { "step 0024.$_" } 1 .. 8),
		'no step was done twice');
	$_->close foreach $reader, $caller;
	return;
}

# ------------------------------------------------------------------------------------------------
# Clients under load
# ------------------------------------------------------------------------------------------------

sub workers_notice_nothing
{
	# The newest clients here are of release 3.2; later revisions may lack what they call.
	my $last = last_revision_for('3.2.0');
	foreach my $path ([ 1, 6, '0.8' ], [ 6, 22, '0.8' ], [ 22, 30, '0.23' ], [ 30, 32, '3.0' ],
		[ 32, 34, '3.2', '3.0' ], [ 34, $last, '3.2' ])
	{
		my ($from, $to, @releases) = @$path;
		my ($start, $end) = (revision_name($from), revision_name($to));
		my $there = new_database($node);
		upgrade($node, $there, $from);
		my $load = start_load($node, $there, [ release_scripts(@releases) ], qw(-c 4 -R 400));
		$node->poll_query_until($there, 'SELECT count(*) > 20 FROM procrastinate_events')
		  or die 'no client works';
		$node->safe_psql($there, "CALL procrastinate_migrate('$end')");
		my $jobs = $node->safe_psql($there, 'SELECT max(id) FROM procrastinate_jobs');
		$node->poll_query_until($there, "SELECT max(id) > $jobs + 20 FROM procrastinate_jobs")
		  or die 'no client works any more';
		is(stop_load($load),         '',  "$start to $end: no client sees an error");
		is(deadlocks($node, $there), '0', "$start to $end: nor is there a deadlock");
		is_at($node, $there, 'public', $to, "$start to $end: the catalog is that of $end");

		# Before 0006 the event of deferring is not written.
		my $jobs_with_event = $from < 6 ? q{status <> 'todo'} : 'true';
		is( $node->safe_psql(
				$there,
				qq{SELECT count(*) FROM procrastinate_jobs j WHERE $jobs_with_event AND NOT EXISTS
			(SELECT FROM procrastinate_events e WHERE e.job_id = j.id)}),
			'0',
			"$start to $end: every job has its event");
		is( $node->safe_psql(
				$there,
				q{SELECT count(*) FROM procrastinate_jobs j WHERE status = 'succeeded'
				AND NOT EXISTS
			(SELECT FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'succeeded')}),
			'0',
			"$start to $end: and so has every success");
	}
	return;
}

# The first and the last id that there can be are in a batch, too. There are more ids between two
# batches than a bigint can say.
sub smallest_and_largest_id
{
	my $schema = 'far_ids';
	upgrade($node, $database, 30, $schema);
	my ($session, $holder) = map { session($schema) } 1 .. 2;
	$session->query(<<'SQL');
INSERT INTO procrastinate_jobs (id, queue_name, task_name, status)
SELECT id, 'q', 't', 'aborting'
  FROM (SELECT -9223372036854775808 + n FROM generate_series(0, 2999) AS n
        UNION ALL VALUES (5), (9223372036854775807)) AS i (id)
SQL
	$holder->query('BEGIN; SELECT FROM procrastinate_jobs WHERE id = 5 FOR UPDATE');
	$session->send(q{CALL procrastinate_migrate('0031')});
	wait_until(
		q{SELECT count(*) > 0 FROM procrastinate_progress WHERE done < 0 AND waiting_for <> '{}'},
		'some batches are done');
	is($holder->query('SELECT "left" FROM procrastinate_progress'),
		'9223372036854775807', 'as many ids are left as can be said');
	is(
		$holder->query('SELECT done BETWEEN -9223372036854775808 AND -9223372036854772809, total'
			  . ' FROM procrastinate_under_way()'),
		't|9223372036854775807',
		'done and total are ids'
	);
	is($holder->query('SELECT revision FROM procrastinate_current()'),
		'0030', 'the revision is known');
	$holder->query('COMMIT');
	is(($session->wait)[1], '', 'ids at both ends of bigint are in the range of the batches');
	is($session->query('SELECT count(*) FROM procrastinate_jobs WHERE abort_requested'),
		'3002', 'and all their rows have changed');
	$_->close foreach $session, $holder;
	return;
}
