# Blockers of steps and of index builds: the caller's NOTICE and procrastinate_progress name them. A
# session that reads procrastinate_progress blocks nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Progress;

my $node     = start_server(conf => 'max_prepared_transactions = 2');
my $database = new_database($node);
use_database($node, $database);

a_build_and_a_prepared_transaction();
a_step_and_a_prepared_transaction();
a_plain_build();
a_step_that_takes_long();
a_build_and_the_lock_of_its_table();
what_is_left_of_a_build();
the_lock_of_builds();
a_build_under_way();
a_step_and_a_reader_of_another_role();
a_batch_and_a_row();
a_build_of_somebody_else();
an_installation_by_another_tool();
done_testing();

sub progress
{
	return $node->safe_psql($database,
		'SELECT schema, step, pid IS NOT NULL, phase, waiting_for FROM procrastinate_progress');
}

sub a_build_and_a_prepared_transaction
{
	my $session = session(filled_schema('prepared', 19, 10));
	$session->query(
		q{BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'of a}
		  . q{ client'}
	);
	my $caller = call('prepared', '0020');
	like(
		$caller->notice(qr/, for /),
		qr/^step\ 0020\.1:\ waiting\ for\ writers\ before\ build,\ for\ prepared\ transaction
			\ 'of\ a\ client'\ of\ role\ \S+\ since\ \S/x,
		'a NOTICE names the prepared transaction that blocks a build');
	is(progress(), 'prepared|1|t|waiting for writers before build|{0}',
		'and is seen to wait for one');
	$session->query(q{COMMIT PREPARED 'of a client'});
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, 'prepared', 20, 'to 0020');
	$_->close foreach $session, $caller;
	return;
}

# Between two tries no backend waits, so pg_locks shows no blocker.
sub a_step_and_a_prepared_transaction
{
	my $schema  = filled_schema('prepared_too', 24, 10);
	my $session = session($schema);
	$session->query(
		q{BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'of}
		  . q{ another'}
	);
	my $caller = call($schema, '0025');
	wait_for_step($node, $database, $schema, '0025.1');
	is(seen('step, waiting_for'), '2|{0}',
		'a step is seen to wait for a prepared transaction, in pauses, too');
	like($caller->notice(qr/tried/),
		qr/^step 0025\.2: waiting for locks, tried (?:once|\d+ times), for a prepared transaction$/,
		'and a NOTICE says so');
	$session->query(q{COMMIT PREPARED 'of another'});
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $session, $caller;
	return;
}

# Writers and the build block each other. Advisory locks of another role with the same keys are
# ignored.
sub a_plain_build
{
	my $schema = filled_schema('plain', 19, 10);
	$node->safe_psql($database, 'CREATE ROLE outsider LOGIN');
	my $outsider = do { local $ENV{PGUSER} = 'outsider'; session('public') };
	my ($writer, $caller) = map { session($schema) } 1 .. 2;
	$outsider->query(<<"SQL");
SELECT pg_advisory_lock_shared($LOCK_KEY{running}, oid::integer),
       pg_advisory_lock(($LOCK_KEY{index_build}::bigint << 32) | oid::bigint)
  FROM pg_namespace WHERE nspname = '$schema'
SQL
	$writer->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	$caller->send(q{CALL procrastinate_migrate('0020', concurrently => false)});
	is(seen('step, pid, waiting_for'), "1|$caller->{pid}|{$writer->{pid}}",
		'a build without a worker is seen to wait for a writer, in pauses, too');
	$writer->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 20, 'to 0020');
	is(progress(), '', 'and then no row is shown');
	$_->close foreach $writer, $caller, $outsider;
	return;
}

# A blocker that has ended its transaction is not listed any more.
sub a_step_that_takes_long
{
	my $schema = filled_schema('long', 24, 10);
	my ($reader, $gate, $caller) = map { session($schema) } 1 .. 3;
	$gate->query(<<'SQL');
SELECT pg_advisory_lock(545);
CREATE FUNCTION public.come_to_the_gate() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT pg_try_advisory_xact_lock(545) LOOP
		PERFORM pg_sleep(0.005);
	END LOOP;
END $$;
CREATE EVENT TRIGGER gate ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
	EXECUTE FUNCTION public.come_to_the_gate();
SQL
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0025')});
	is(seen('step, waiting_for'), "2|{$reader->{pid}}", 'a step is seen to wait for a reader');
	wait_for($node, $database, $caller->pauses, 'it pauses');
	$reader->query('ROLLBACK');
	is($gate->query('SELECT waiting_for FROM procrastinate_progress'), 'NULL',
		'not after the reader has ended, in a pause');
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_periodic_defers');
	wait_for($node, $database,
		"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $caller->{pid}",
		'the step is at its statement');
	is(progress(), "$schema|2|t||", 'nor once the step has its locks');
	$reader->query('COMMIT');
	$gate->query('SELECT pg_advisory_unlock(545)');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$gate->query('DROP EVENT TRIGGER gate; DROP FUNCTION public.come_to_the_gate');
	$_->close foreach $reader, $gate, $caller;
	return;
}

# A build that waits for its table has no row in pg_stat_progress_create_index.
sub a_build_and_the_lock_of_its_table
{
	my $session = session(filled_schema('vacuumed', 19, 10));
	$session->query('BEGIN; LOCK TABLE procrastinate_jobs IN SHARE UPDATE EXCLUSIVE MODE');
	my $caller = call('vacuumed', '0020');
	like(
		$caller->notice(qr/, for /),
		qr/^step\ 0020\.1:\ waiting\ for\ the\ lock\ of\ its\ table,\ for\ session
			\ $session->{pid}\ of\ role\ \S+\ since\ \S/x,
		'a NOTICE names the session that blocks a build');
	is(progress(), "vacuumed|1|t||{$session->{pid}}", 'and is seen to wait for it');
	$session->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, 'vacuumed', 20, 'to 0020');
	$_->close foreach $session, $caller;
	return;
}

# The invalid index is dropped with lock retries.
sub what_is_left_of_a_build
{
	my $schema = filled_schema('left', 19, 10);
	cancelled_in_build($node, $database, $schema, '0020');
	my ($reader, $caller) = map { session($schema) } 1 .. 2;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0020')});
	is(seen('step, pid, waiting_for'), "1|$caller->{pid}|{$reader->{pid}}",
		'what is left of a build is seen to wait for a reader, in pauses, too');
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 20, 'to 0020');
	$_->close foreach $reader, $caller;
	return;
}

# Another call builds an index.
sub the_lock_of_builds
{
	my $holder = session(filled_schema('held', 19, 10));
	my $reader = session('held');
	$reader->query(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM procrastinate_events');
	$holder->send(q{CALL procrastinate_migrate('0020')});
	wait_for($node, $database, 'SELECT count(*) = 1 FROM pg_stat_progress_create_index',
		'a build waits for a reader');
	my $caller = call('held', '0020');
	like(
		$caller->notice(qr/builds/),
		qr/^step\ 0020\.1:\ waiting\ for\ .*\ session\ $holder->{pid}\ of\ role\ \S+,\ which\ has
			\ the\ advisory\ lock\ of\ index\ builds$/x,
		'a NOTICE names the session that holds the lock of builds');
	$reader->query('COMMIT');
	is(($holder->wait)[1], '', 'the build comes to its end');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, 'held', 20, 'to 0020');
	$_->close foreach $holder, $reader, $caller;
	return;
}

# The validation phase waits for an uncommitted job with the same lock value.
sub a_build_under_way
{
	my $schema = filled_schema('midway', 7, 3000);
	my ($before, $first, $second) = map { session($schema) } 1 .. 3;
	my $insert =
	  q{INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status) VALUES ('q', 'task',}
	    . q{ 'the same', 'doing')};
	$before->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my $caller = call($schema, '0008');
	wait_for_phase('waiting for writers before build');
	$first->query("BEGIN; $insert");
	$before->query('COMMIT');
	wait_for_phase('waiting for writers before validation');
	$second->query("BEGIN; $insert");
	$first->query('COMMIT');
	wait_for_phase('index validation: scanning table');
	my ($done, $blocks) = split /\|/, $before->query(<<'SQL');
SELECT max((ctid::text::point)[0]::integer) FILTER (WHERE lock = 'the same'),
	   pg_relation_size('procrastinate_jobs') / current_setting('block_size')::integer
  FROM procrastinate_jobs
SQL
	cmp_ok($done, '>', 10, 'it is far in the table');
	my $percent = int(100 * $done / $blocks);
	like(
		$caller->notice(qr/validation: scanning table.*, for /),
		qr/^step\ 0008\.1:\ index\ validation:\ scanning\ table,\ $percent%,\ for\ session
			\ $second->{pid}\ of\ role\ \S+\ since\ \S/x,
		'a NOTICE names the phase of a build and its blocker');
	is( $node->safe_psql(
			$database, 'SELECT phase, done, "left", waiting_for FROM procrastinate_progress'),
		join('|', 'index validation: scanning table', $done, $blocks - $done, "{$second->{pid}}"),
		'and it is seen');
	$second->query('ROLLBACK');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 8, 'to 0008');
	$_->close foreach $before, $first, $second, $caller;
	return;
}

sub wait_for_phase
{
	my ($phase) = @_;
	return wait_for(
		$node, $database,
		"SELECT count(*) = 1 FROM pg_stat_progress_create_index JOIN pg_stat_activity USING (pid)"
		  . " WHERE phase = '$phase' AND wait_event_type = 'Lock'",
		"a build is at: $phase");
}

# Caller and reader are the owner of the queue, who cannot see the queries of others.
sub a_step_and_a_reader_of_another_role
{
	$node->safe_psql($database,
		'CREATE ROLE keeper LOGIN; CREATE SCHEMA keeper AUTHORIZATION keeper');
	$node->safe_psql(
		$database,
		q{SET client_min_messages = error; SET ROLE keeper; SELECT procrastinate_upgrade('0024',
		'keeper');
GRANT USAGE ON SCHEMA keeper TO outsider; GRANT SELECT ON keeper.procrastinate_jobs TO outsider});
	my $reader = do { local $ENV{PGUSER} = 'outsider'; session('keeper') };
	my $caller = do { local $ENV{PGUSER} = 'keeper';   session('keeper') };
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0025')});
	is(seen('step, waiting_for', 'keeper'), "2|{$reader->{pid}}",
		'a step is seen to wait for a session of another role, in pauses, too');
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, 'keeper', 25, 'to 0025');
	$_->close foreach $reader, $caller;
	return;
}

# A batch waits for a row, not for a table.
sub a_batch_and_a_row
{
	my $schema = filled_schema('rows', 23, 3000);
	my ($bystander, $writer, $caller) = map { session($schema) } 1 .. 3;
	$caller->query(q{SET procrastinate_migrate.max_wal_rate = '1kB'});
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_for($node, $database, 'SELECT done > 0 FROM procrastinate_progress', 'a batch is done');
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	$caller->wait;
	$bystander->query(
		'BEGIN; SELECT count(*) FROM procrastinate_events; LOCK TABLE procrastinate_periodic_defers'
		  . ' IN ROW EXCLUSIVE MODE'
	);
	$writer->query('BEGIN; SELECT FROM procrastinate_events WHERE id = 3000 FOR UPDATE');
	$caller->query('RESET procrastinate_migrate.max_wal_rate');
	$caller->send(q{CALL procrastinate_migrate('0024')});
	is(seen('step, waiting_for'), "2|{$writer->{pid}}",
		'a batch is seen to wait for who has a row, in pauses, too');
	$_->query('COMMIT') foreach $bystander, $writer;
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 24, 'to 0024');
	$_->close foreach $bystander, $writer, $caller;
	return;
}

# A user's index build during the batches is not shown.
sub a_build_of_somebody_else
{
	my $schema = filled_schema('indexed', 23, 15_000);
	my ($writer, $builder, $caller) = map { session($schema) } 1 .. 3;
	$writer->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	$builder->send('CREATE INDEX CONCURRENTLY own ON procrastinate_jobs (task_name)');
	wait_for($node, $database,
		q{SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase ~ '^waiting'},
		'a build runs');
	my $grantor = session($schema);
	$grantor->query("BEGIN; GRANT USAGE ON SCHEMA $schema TO PUBLIC");
	$caller->query(q{SET procrastinate_migrate.max_wal_rate = '10kB'});
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_for($node, $database,
		q{SELECT count(*) = 1 FROM procrastinate_progress WHERE kind = 'batched' AND done > 0},
		'batches are under way');
	is( $node->safe_psql(
			$database, 'SELECT pid, phase, done <= 15000, waiting_for FROM procrastinate_progress'),
		"$caller->{pid}||t|",
		'a build of another session is not shown as theirs, nor its blocker'
		  . ' batches'
	);
	$grantor->query('ROLLBACK');
	$grantor->close;
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	$caller->wait;
	$writer->query('COMMIT');
	is(($builder->wait)[1], '', 'which comes to its end');
	$node->safe_psql($database, "SET client_min_messages = error; DROP SCHEMA $schema CASCADE");
	$_->close foreach $writer, $builder, $caller;
	return;
}

# pg_class does not show a table that another transaction is creating. Each try of the installation
# begins with a pre-check that succeeds.
sub an_installation_by_another_tool
{
	run_sql('CREATE SCHEMA begun');
	my ($tool, $caller) = map { session('begun') } 1 .. 2;
	$tool->query('BEGIN; CREATE TABLE procrastinate_jobs (id bigint)');
	is( $caller->refusal(
			q{CALL procrastinate_migrate('head', 'begun', retry_for => '200 ms')}),
		'55P03: the installation could not get its locks',
		'retry_for bounds the wait for a table that another session creates');
	$caller->query('SET client_min_messages = notice');
	$caller->send(q{CALL procrastinate_migrate('head', 'begun')});
	like(
		$caller->notice(qr/tried/),
		qr/^installation:\ waiting\ for\ locks,\ tried\ (?:once|\d+\ times),
			\ for\ session\ $tool->{pid}$/x,
		'and a NOTICE names the session');
	$tool->query('ROLLBACK');
	is(($caller->wait)[1], '', 'it goes on when that session has ended');
	is(run_sql(q{SELECT is_head FROM procrastinate_current('begun')}), 't', 'to head');
	$_->close foreach $tool, $caller;
	return;
}
