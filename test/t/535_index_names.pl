# Names of the indexes that procrastinate_migrate() builds are taken: by an index built ahead, by an
# invalid index, by an index of another table, by an index that another session is building.

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

my $by_hand = <<'SQL';
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0020 ON procrastinate_jobs (id, lock)
	WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[])
SQL

an_index_built_ahead();
what_is_left_of_one_built_ahead();
a_name_that_is_taken();
an_index_of_the_name();
a_build_by_hand();
a_build_by_hand_that_commits();
a_build_by_hand_that_came_first();
a_build_by_hand_that_came_second();
a_build_that_is_lost_again();
done_testing();

# A call has built an index ahead and failed before the revision that needs it.
sub an_index_built_ahead
{
	my $session = queue('ahead', 7, 3);
	my $index   = q{SELECT to_regclass('procrastinate_jobs_id_lock_idx_0020') IS NOT NULL};
	$session->query(
		q{CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'ahead'::regnamespace
	AND proname = 'procrastinate_defer_periodic_job') THEN
		RAISE 'no further';
	END IF;
END $$;
CREATE EVENT TRIGGER stop ON ddl_command_end EXECUTE FUNCTION stop()});
	is($session->refusal('CALL procrastinate_migrate()'), 'P0001: no further',
		'a call to head ends after 0008');
	$session->query('DROP EVENT TRIGGER stop; DROP FUNCTION stop()');
	is($session->query($index), 't', 'and has built an index of 0020 ahead');
	is( $session->query(
			q{SELECT problem || ', ' || severity FROM procrastinate_check() WHERE object ~}
			  . q{ 'idx_0020'}
		),
		'extra, info',
		'which does no harm');
	my $script = $session->query(q{SELECT procrastinate_sql('current:0020')});
	$session->query('BEGIN');
	is($session->refusal(q{SELECT procrastinate_upgrade('0020')}), 'no error',
		'procrastinate_upgrade() goes on');
	is($session->query($index), 'f', 'and leaves none of it');
	$session->query('ROLLBACK');
	$node->safe_psql($database, $script);
	is($session->query($index), 'f', 'nor does the offline script');
	is_at($node, $database, 'ahead', 20, 'at 0020');
	is($session->refusal('CALL procrastinate_migrate()'), 'no error',
		'procrastinate_migrate() goes on from there');
	is_at($node, $database, 'ahead', $HEAD, 'to head');
	$session->close;
	return;
}

# An index that exists only between two revisions.
sub a_name_that_is_taken
{
	my $session = queue('taken', 23, 1);
	$session->query(
		'CREATE INDEX procrastinate_events_job_id_bigint ON procrastinate_jobs (task_name)');
	is( $session->refusal(q{CALL procrastinate_migrate('0024')}),
		'PM009: cannot build index "procrastinate_events_job_id_bigint" of migration 0024',
		'an index of the name is not taken for ours');
	is($session->query('SELECT revision, source FROM procrastinate_current()'), '0023|upgrade',
		'and nothing has been done');
	$session->query('ALTER INDEX procrastinate_events_job_id_bigint RENAME TO own');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'renamed it is in nobody\'s way');
	is($session->query(q{SELECT to_regclass('own') IS NOT NULL}), 't', 'and stays');
	$session->close;
	return;
}

# Built for another target by a call that was ended.
sub what_is_left_of_one_built_ahead
{
	my %builds_ahead = (8 => '0020', 27 => '0029');
	foreach my $revision (sort { $a <=> $b } keys %builds_ahead)
	{
		my ($schema, $later) = ("ahead_$revision", $builds_ahead{$revision});
		my $target  = sprintf '%04d', $revision;
		my $session = queue($schema, $revision - 1, 3);
		my ($reader, $second, $caller) = map { user_session($node, $database, $schema) } 1 .. 3;
		my $snapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class';
		$reader->query($snapshot);
		$caller->send("CALL procrastinate_migrate('$later')");
		my $state = "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
		  . " WHERE c.relnamespace = '$schema'::regnamespace AND c.relname ="
		    . " 'procrastinate_jobs_id_lock_idx_$later'";

		if ($revision == 8)    # the first index is its own
		{
			wait_for_build($node, $database);
			$second->query($snapshot);    # which only the next one waits for
			$reader->query('ROLLBACK');
		}
		wait_for($node, $database, "SELECT ($state) = false", 'it is being built');
		$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
		$caller->wait;
		$_->query('ROLLBACK') foreach $reader, $second;
		wait_for($node, $database,
			q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type =}
			  . q{ 'procrastinate_migrate'},
			'the worker has gone');
		is($session->query($state), 'f', "$target: what is left of an index for $later is invalid");
		is($session->refusal("CALL procrastinate_migrate('$target')"), 'no error',
			'a call that does not need it');
		is($session->query($state), '', 'drops it');
		is_at($node, $database, $schema, $revision, "and ends at $target");
		$_->close foreach $session, $reader, $second, $caller;
	}
	return;
}

# An index of another table has the name.
sub an_index_of_the_name
{
	my $session = queue('named', 19, 3);
	cancelled_in_build($node, $database, 'named', '0020');
	$session->query(
		'DROP INDEX procrastinate_jobs_id_lock_idx_0020; CREATE TABLE own (id int);'
		  . ' CREATE INDEX procrastinate_jobs_id_lock_idx_0020 ON own (id)');
	is( $session->refusal(q{CALL procrastinate_migrate('0020')}),
		'PM009: cannot build index "procrastinate_jobs_id_lock_idx_0020" of migration 0020',
		'an index of another table is not taken for ours');
	$session->query('DROP TABLE own');

	# With concurrently => false an invalid index is dropped first, too.
	cancelled_in_build($node, $database, 'named', '0020');
	is($session->refusal(q{CALL procrastinate_migrate('0020', concurrently => false)}), 'no error',
		'without the name it goes on, with writers waiting');
	is_at($node, $database, 'named', 20, 'to 0020');
	$session->close;
	return;
}

# A user's CREATE INDEX CONCURRENTLY of the same name waits for an old snapshot.
sub a_build_by_hand
{
	my $session = queue('by_hand', 19, 3);
	my ($reader, $builder) = map { session('by_hand') } 1 .. 2;
	cancelled_in_build($node, $database, 'by_hand', '0020');
	$session->query('DROP INDEX procrastinate_jobs_id_lock_idx_0020');
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$builder->send($by_hand);
	wait_for($node, $database,
		"SELECT phase ~ 'old snapshots' FROM pg_stat_progress_create_index WHERE pid ="
		  . " $builder->{pid}",
		'the build waits');
	my (undef, undef, $error) = $node->psql(
		$database,
		q{CALL procrastinate_migrate('0020', 'by_hand', lock_timeout => '20 ms', retry_for => '300}
		  . q{ ms')}
	);
	like($error, qr/ERROR:  migration 0020 .* could not get its locks/,
		'a call waits for the session that builds it, and gives up');
	like($error,
		qr/^Session\ $builder->{pid}\ .*:\ ShareUpdateExclusiveLock\ on\ procrastinate_jobs;
			\ CREATE\ INDEX/mx,
		'and names who builds it');
	$session->send(q{CALL procrastinate_migrate('0020')});
	wait_for($node, $database, $session->pauses, 'another one has tried');
	$reader->query('COMMIT');
	is(($builder->wait)[1], '', 'the build by hand comes to its end');
	is(($session->wait)[1], '', 'and so does the call');
	is_at($node, $database, 'by_hand', 20, 'at 0020');
	$_->close foreach $session, $reader, $builder;
	return;
}

# It releases the table before it commits; until then its index is invalid.
sub a_build_by_hand_that_commits
{
	my $session = queue('committing', 19, 3);
	my ($blocker, $builder) = map { session('committing') } 1 .. 2;
	cancelled_in_build($node, $database, 'committing', '0020');
	$session->query('DROP INDEX procrastinate_jobs_id_lock_idx_0020');
	$blocker->query(
		q{CREATE FUNCTION public.wait() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF tg_tag = 'CREATE INDEX' THEN
		PERFORM pg_advisory_xact_lock(20);
	END IF;
END $$;
CREATE EVENT TRIGGER wait ON ddl_command_end EXECUTE FUNCTION public.wait();
SELECT pg_advisory_lock(20)});
	$builder->send($by_hand);
	wait_until($builder->waits_for_lock, 'the build is about to commit');
	is( $node->safe_psql(
			$database,
			"SELECT count(*) FROM pg_locks WHERE pid = $builder->{pid} AND relation ="
			  . " 'committing.procrastinate_jobs'::regclass"
		),
		'0',
		'and its table is free');
	$session->send(q{CALL procrastinate_migrate('0020', lock_timeout => '1 min')});
	wait_until($session->waits_for_lock, 'a call waits for it');
	$blocker->query('SELECT pg_advisory_unlock(20)');
	is(($builder->wait)[1], '', 'the build comes to its end');
	is(($session->wait)[1], '', 'and so does the call');
	is_at($node, $database, 'committing', 20, 'at 0020');
	$blocker->query('DROP EVENT TRIGGER wait; DROP FUNCTION public.wait()');
	$_->close foreach $session, $blocker, $builder;
	return;
}

# Both builds wait for the table; the first one then waits for the other's snapshot. The deadlock
# check ends one.
sub a_build_by_hand_that_came_first
{
	my $session = queue('overtaken', 19, 3);
	my ($holder, $builder) = map { session('overtaken') } 1 .. 2;
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN SHARE UPDATE EXCLUSIVE MODE');
	$builder->send($by_hand);
	wait_until($builder->waits_for_lock, 'the build by hand waits');
	$session->send(q{CALL procrastinate_migrate('0020')});
	wait_for_build($node, $database);
	$holder->query('COMMIT');
	is(($builder->wait)[1], '', 'the build by hand does not wait for the worker in turn');
	is(($session->wait)[1], '', 'whose call goes on with that index');
	is_at($node, $database, 'overtaken', 20, 'to 0020');
	$_->close foreach $session, $holder, $builder;
	return;
}

# The other build waits for the table with a snapshot, for which the worker then waits: a deadlock.
sub a_build_by_hand_that_came_second
{
	my $session = queue('crossed', 19, 3);
	my ($writer, $builder) = map { session('crossed') } 1 .. 2;
	$writer->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	$session->send(q{CALL procrastinate_migrate('0020')});
	wait_for_build($node, $database);
	$builder->query(q{SET deadlock_timeout = '1 min'});
	$builder->send('CREATE INDEX CONCURRENTLY own ON procrastinate_jobs (task_name)');
	wait_until($builder->waits_for_lock, 'the build by hand waits');
	my $log = -s $node->logfile;
	$writer->query('COMMIT');
	is(($session->wait)[1], '',
		'the call that waits for who waits for its worker comes to its end');
	is(($builder->wait)[1], '', 'and so does the build by hand');
	ok($node->log_contains('deadlock detected', $log), 'one of them has tried again');
	$session->query('DROP INDEX own');
	is_at($node, $database, 'crossed', 20, 'at 0020');
	$_->close foreach $session, $writer, $builder;
	return;
}

# ANALYZE waits for the table with a snapshot at each try of the build.
sub a_build_that_is_lost_again
{
	my $session = queue('lost', 19, 3);
	my ($writer, $analyzer, $holds, $waits) = map { session('lost') } 1 .. 4;
	my $lock = 'BEGIN; LOCK TABLE procrastinate_schema_history IN SHARE ROW EXCLUSIVE MODE';
	my $lose = sub {
		my ($meanwhile) = @_;
		$writer->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
		$meanwhile->();
		wait_for_build($node, $database);
		$analyzer->send('ANALYZE procrastinate_jobs');
		wait_until($analyzer->waits_for_lock, 'ANALYZE runs');
		return;
	};
	$analyzer->query(q{SET deadlock_timeout = '1 min'});

	# One build fails, and the next begins at the next try.
	$lose->(
		sub {
			$session->send(
				q{CALL procrastinate_migrate('0020', lock_timeout => '1 min', retry_for => '6 s')});
		});
	$holds->query($lock);
	$writer->query('COMMIT');
	is(($analyzer->wait)[1], '', 'a build that waits for who waits for it is ended');
	my $lost = $holds->query('SELECT clock_timestamp()');

	# The call drops the rest of the build. Then another session has its turn.
	my $is_dropped = q{SELECT to_regclass('procrastinate_jobs_id_lock_idx_0020') IS NULL};
	eventually(
		sub {
			wait_until($session->waits_for_lock, 'the call waits for its turn');
			$waits->send($lock);
			wait_until($waits->waits_for_lock, 'another session waits behind it');
			$holds->query('COMMIT');
			$waits->wait;
			($holds, $waits) = ($waits, $holds);
			return $holds->query($is_dropped) eq 't';
		},
		'what is left of the build is dropped');
	$lose->(sub { $holds->query('COMMIT') });
	my $log = -s $node->logfile;
	wait_until("SELECT clock_timestamp() > '$lost'::timestamptz + interval '6 s'",
		'the call has tried for long enough');
	$writer->query('COMMIT');
	is(($analyzer->wait)[1], '', 'the next one, too');
	like(($session->wait)[1], qr/^55P03: migration 0020 .* could not get its locks/,
		'and the call gives up in the end');
	ok( $node->log_contains(
			qr/DETAIL:\ \ It\ was\ tried\ \d+\ times\ in\ \d+\ s\.\ An\ invalid\ index\ is
				\ left,\ which\ the\ next\ call\ drops\ unless\ another\ session\ is\ building
				\ it\.\n\s*Deadlock\ detected\n\s*Process/x,
			$log),
		'and says of what, and what is left');
	is($session->refusal(q{CALL procrastinate_migrate('0020')}), 'no error',
		'the next call goes on');
	is_at($node, $database, 'lost', 20, 'to 0020');
	$_->close foreach $session, $writer, $analyzer, $holds, $waits;
	return;
}
