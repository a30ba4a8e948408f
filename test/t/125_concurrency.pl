# Clients side by side: fetches that neither share a job nor wait, jobs of one lock one at a time,
# a periodic tick deferred by one of two schedulers, no deadlock. Order is made by transactions that
# are held open; where one session must wait for another, the server is asked whether it does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my @fetches = (
	[ 1,  30,    'procrastinate_fetch_job(NULL)' ],
	[ 30, 32,    'procrastinate_fetch_job_v1(NULL)' ],
	[ 32, undef, 'procrastinate_fetch_job_v2(NULL, NULL)' ],);

my @periodics = (
	[ 10, 11, q{procrastinate_defer_periodic_job('q', 'clean', %d)} ],
	[ 12, 22, q{procrastinate_defer_periodic_job('q', NULL, NULL, 'clean', %d)} ],
	[ 21, 30, q{procrastinate_defer_periodic_job('q', NULL, NULL, 'clean', 'p', %d, '{}')} ],
	[ 26, 30, q{procrastinate_defer_periodic_job('q', NULL, NULL, 'clean', 0, 'p', %d, '{}')} ],
	[ 30, 34, q{procrastinate_defer_periodic_job_v1('q', NULL, NULL, 'clean', 0, 'p', %d, '{}')} ],
	[   34, undef,
		q{procrastinate_defer_periodic_job_v2('q', NULL, NULL, 'clean', 0, 'p', %d, '{}')} ],
);

# The revisions at which a body changes; those between repeat the one before.
my %load = map { $_ => 1 } 1, 2, 5, 8, 22, 25, 27, 29, 30, 32, 36, 38, $HEAD;

# A session that waits where it must not gets an error.
my $node = start_server(conf => 'deadlock_timeout = 100ms');
my %others;
walk_revisions($node, \&visit);
$_->close foreach map { @$_ } values %others;
is( $node->safe_psql('postgres', 'SELECT sum(deadlocks) FROM pg_stat_database'),
	'0', 'there was no deadlock');
done_testing();

sub visit
{
	my ($session, $revision, undef, $schema, $database) = @_;
	my $sessions = $others{$schema} //= [ map { new_session($node, $database, $schema) } 1 .. 3 ];
	foreach my $form (forms($revision, @fetches))
	{
		my $fetch = $form->[2];
		different_jobs($session, $revision, $fetch, @$sessions);
		one_lock($session, $revision, $fetch, @$sessions);
		beyond_the_first($session, $revision, $fetch, @$sessions)     if $revision >= 8;
		many_workers($session, $revision, $fetch, $schema, $database) if $load{$revision};
	}
	foreach my $form (forms($revision, @periodics))
	{
		one_tick($session, $database, $form->[2], @$sessions);
		order_of_locks($session, $revision, $database, $form->[2], @$sessions) if $revision >= 13;
	}
	abort_before_retry($session, $revision, $database, @$sessions) if $revision >= 30;
	return;
}

sub empty
{
	my ($session, $revision) = @_;
	$session->query('DELETE FROM procrastinate_periodic_defers') if $revision >= 10;
	$session->query('DELETE FROM procrastinate_jobs');
	$session->query('DELETE FROM procrastinate_job_locks') if $revision < 8;
	return;
}

# Runs SQL and asserts that it did not have to wait for a lock: a wait ends in an error.
sub at_once
{
	my ($session, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$session->query(q{SET lock_timeout = '10s'});
	$session->send($sql);
	my ($rows, $error) = $session->wait;
	$session->query('ROLLBACK') if $error ne '';
	$session->query('RESET lock_timeout');
	return is($error eq '' ? $rows : $error, $expected, $name);
}

# Waits until the session's query hangs on a lock of another.
sub waits
{
	my ($session, $database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($database, $session->waits_for_lock), $name);
}

sub different_jobs
{
	my ($session, $revision, $fetch, @sessions) = @_;
	insert_jobs($session, $revision, map { { id => $_ } } 1 .. 4);
	$_->query('BEGIN') foreach @sessions;
	my $next = "SELECT id FROM $fetch";
	at_once($sessions[0], $next, '1',    'the first of three fetches the first job');
	at_once($sessions[1], $next, '2',    'the second fetches the next job without waiting');
	at_once($sessions[2], $next, '3',    'the third fetches the next job without waiting');
	at_once($sessions[0], $next, '4',    'the first fetches the last job');
	at_once($sessions[1], $next, 'NULL', 'a fetch finds no job, and does not wait');
	$sessions[0]->query('ROLLBACK');
	$sessions[1]->query('COMMIT');
	at_once($sessions[2], $next, '1', 'another session fetches the job of a rolled back fetch');
	$sessions[2]->query('COMMIT');
	is( $session->query(
			q{SELECT string_agg(id || ' ' || status, ', ' ORDER BY id)}
			  . ' FROM procrastinate_jobs'),
		'1 doing, 2 doing, 3 doing, 4 todo',
		'the jobs that were fetched are marked once');
	empty($session, $revision);

	# A job that another session has locked is passed over.
	insert_jobs($session, $revision, map { { id => $_ } } 1 .. 2);
	$sessions[0]->query('BEGIN; SELECT 1 FROM procrastinate_jobs WHERE id = 1 FOR UPDATE');
	at_once($sessions[1], $next, '2', 'a job that another session locks is passed over');
	$sessions[0]->query('COMMIT');
	empty($session, $revision);
	return;
}

sub one_lock
{
	my ($session, $revision, $fetch, @sessions) = @_;
	my $end = q{UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id = };
	insert_jobs($session, $revision, map { { id => $_, lock => 'x' } } 1 .. 3);
	$sessions[0]->query('BEGIN');
	is($sessions[0]->query("SELECT id FROM $fetch"), '1', 'the first job of a lock is fetched');
	if ($revision < 8)
	{
		# The locks are rows of a table with a unique key: the second may wait for the first.
		$sessions[1]->send("SELECT id FROM $fetch");
		$sessions[0]->query('COMMIT');
		my ($id, $error) = $sessions[1]->wait;
		is("$id$error", 'NULL', 'the second session gets no job of that lock');
	}
	else
	{
		at_once(
			$sessions[1], "SELECT id FROM $fetch",
			'NULL',       'the second session gets no job of that lock, and does not wait');
		$sessions[0]->query('COMMIT');
	}
	at_once($sessions[1], "SELECT id FROM $fetch", 'NULL',
		'nor after the fetch of the first job has committed');
	$sessions[0]->query("BEGIN; $end 1");
	$sessions[0]->query('DELETE FROM procrastinate_job_locks') if $revision < 8;
	at_once(
		$sessions[1], "SELECT id FROM $fetch",
		'NULL',       'nor before the end of the first job is committed');
	$sessions[0]->query('COMMIT');
	at_once($sessions[1], "SELECT id FROM $fetch", '2', 'the second job follows the first');
	empty($session, $revision);
	return;
}

# More jobs that others have locked, or that are held up, than are looked at one by one (five, or
# fifty).
sub beyond_the_first
{
	my ($session, $revision, $fetch, @sessions) = @_;
	my $next = "SELECT id FROM $fetch";
	my $free = q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM (SELECT id}
	  . q{ FROM procrastinate_jobs WHERE id > 2000 FOR UPDATE SKIP LOCKED) AS f};

	insert_jobs($session, $revision, map { { id => $_ } } 1 .. 120);
	$sessions[0]->query('BEGIN; SELECT 1 FROM procrastinate_jobs WHERE id <= 110 FOR UPDATE');
	$sessions[1]->query('BEGIN');
	at_once($sessions[1], $next, '111', 'many jobs that another session locks are passed over');
	at_once($sessions[2], $next, '112', 'jobs that a third session has fetched are passed over');
	$sessions[1]->query('ROLLBACK');
	at_once($sessions[2], $next, '111', 'jobs of a rolled back fetch come before later jobs');
	$sessions[0]->query('COMMIT');
	at_once($sessions[2], $next, '1', 'an unlocked job comes before all later jobs');
	empty($session, $revision);

	my @held_up = map {
		{ id => $_, lock => "lock $_", scheduled_at => '2999-01-01' },
		  { id => 1000 + $_, lock => "lock $_" }
	} 1 .. 60;
	insert_jobs(
		$session, $revision, @held_up, { id => 2001, lock => 'x' },
		{ id => 2002, lock => 'x' }, { id => 2003, lock => 'y' }, { id => 2004 },
		{ id => 2005, lock => 'z' });
	$sessions[0]->query('BEGIN');
	at_once($sessions[0], $next, '2001', 'beyond many jobs that are held up, the first is fetched');
	is($session->query($free), '2002 2003 2004 2005', 'and no other job is locked');
	at_once($sessions[1], $next, '2003',
		'the next fetch gets a job of another lock without waiting');
	$sessions[2]->query('BEGIN; SELECT 1 FROM procrastinate_jobs WHERE id = 2004 FOR UPDATE');
	at_once($sessions[1], $next, '2005', 'or one that is not locked');
	at_once($sessions[1], $next, 'NULL', 'a fetch finds no job, and does not wait');
	$sessions[2]->query('COMMIT');
	at_once($sessions[1], $next, '2004', 'an unlocked job is fetched');
	$sessions[0]->query(q{UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id = 2001});
	at_once($sessions[1], $next, 'NULL', 'the end of the first job is not committed');
	$sessions[0]->query('COMMIT');
	at_once($sessions[1], $next, '2002', 'the second job of its lock is fetched after that');
	empty($session, $revision);
	return;
}

# Four workers on jobs of few locks. The events tell afterwards who ran when: events of one lock
# are numbered in the order of their transactions.
sub many_workers
{
	my ($session, $revision, $fetch, $schema, $database) = @_;
	my $finish = $revision < 16
	  ? q{procrastinate_finish_job(:job, 'succeeded', NULL)}
	  : $revision < 23 ? q{procrastinate_finish_job(:job, 'succeeded', NULL::timestamptz)}
	  : $revision < 30 ? q{procrastinate_finish_job(:job, 'succeeded', false)}
	  :                  q{procrastinate_finish_job_v1(:job, 'succeeded', false)};
	my $priority = $revision >= 36 ? ', priority'   : '';
	my $value    = $revision >= 36 ? ', g % 3'      : '';
	my $null     = $revision < 8   ? q{'own ' || g} : 'NULL';
	$session->query(
		"INSERT INTO procrastinate_jobs (queue_name, task_name, lock$priority)"
		  . " SELECT 'q', 't', CASE WHEN g % 4 > 0 THEN 'lock ' || g % 4 ELSE $null END$value"
		  . ' FROM generate_series(1, 160) AS g');
	my $script = PostgreSQL::Test::Utils::tempdir() . '/work.sql';
	append_to_file($script, <<"SQL");
SET search_path = @{[ name($schema) ]};
SELECT coalesce(max(id), 0) AS job FROM $fetch \\gset
\\if :job > 0
SELECT $finish;
\\endif
SQL
	my ($out, $err);
	my $done = IPC::Run::run(
		[   $node->installed_command('pgbench'), qw(-n -c 4 -j 2 -t 150 -f), $script,
			$node->connstr($database) ],
		'>',
		\$out,
		'2>',
		\$err);
	ok($done && $err !~ /ERROR|aborted/, "four workers at $fetch end without an error")
	  or diag($err);
	one_after_the_other($session, $fetch, $finish);
	is( $session->query(
			'SELECT count(*), min(attempts), max(attempts) FROM procrastinate_jobs'
			  . q{ WHERE status = 'succeeded'}),
		'160|1|1',
		'every job ran once');
	is( $session->query(
			q{SELECT count(*) FROM (SELECT job_id FROM procrastinate_events}
			  . q{ WHERE type = 'started' GROUP BY job_id HAVING count(*) = 1) AS s}),
		'160',
		'every job was started once');
	is($session->query(<<'SQL'), '0', 'no two jobs of one lock ran at the same time');
SELECT count(*)
  FROM (SELECT e.type, e.job_id, lag(e.type) OVER w AS last_type, lag(e.job_id) OVER w AS last_job
          FROM procrastinate_events e JOIN procrastinate_jobs j ON j.id = e.job_id
         WHERE j.lock LIKE 'lock%' AND e.type IN ('started', 'succeeded')
        WINDOW w AS (PARTITION BY j.lock ORDER BY e.id)) AS run
 WHERE (type = 'started' AND last_type <> 'succeeded')
    OR (type = 'succeeded' AND (last_type, last_job) IS DISTINCT FROM ('started', job_id))
SQL
	my $order = $revision >= 36 ? 'j.priority DESC, j.id' : 'j.id';
	is($session->query(<<"SQL"), '0', 'the jobs of one lock ran in their order') if $revision >= 8;
SELECT count(*)
  FROM (SELECT row_number() OVER (PARTITION BY j.lock ORDER BY e.id) AS ran,
               row_number() OVER (PARTITION BY j.lock ORDER BY $order) AS due
          FROM procrastinate_events e JOIN procrastinate_jobs j ON j.id = e.job_id
         WHERE j.lock LIKE 'lock%' AND e.type = 'started') AS run
 WHERE ran <> due
SQL
	unlink $script;
	empty($session, $revision);
	return;
}

# Runs the jobs that are left: a worker that finds locked jobs only ends.
sub one_after_the_other
{
	my ($session, $fetch, $finish) = @_;
	while ((my $id = $session->query("SELECT id FROM $fetch")) ne 'NULL')
	{
		(my $call = $finish) =~ s/:job/$id/;
		$session->query("SELECT $call");
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# Schedulers
# ------------------------------------------------------------------------------------------------

sub one_tick
{
	my ($session, $database, $call, @sessions) = @_;
	my $tick = 'SELECT ' . sprintf $call, 100;
	foreach my $end ('COMMIT', 'ROLLBACK')
	{
		$sessions[0]->query('BEGIN');
		my $id = $sessions[0]->query($tick);
		isnt($id, 'NULL', 'the first scheduler defers a tick');
		$sessions[1]->send($tick);
		waits($sessions[1], $database, 'the second waits for the first to commit or roll back');
		$sessions[0]->query($end);
		my ($second, $error) = $sessions[1]->wait;
		is($error, '', "the second has no error after the first's $end");
		if ($end eq 'COMMIT') { is($second, 'NULL', 'and defers nothing') }
		else                  { isnt($second, 'NULL', 'and defers the tick itself') }
		is($session->query('SELECT count(*) FROM procrastinate_jobs'), '1', 'one job was deferred');
		is( $session->query(
				'SELECT count(*), count(job_id), min(defer_timestamp)'
				  . ' FROM procrastinate_periodic_defers'),
			'1|1|100',
			'one tick was recorded, with its job');
		empty($session, $HEAD);
	}
	return;
}

# Older records are locked by id, smallest first, wherever they lie: two schedulers that forget
# the same records cannot wait for each other.
sub order_of_locks
{
	my ($session, $revision, $database, $call, @sessions) = @_;
	my %record = (task_name => 'clean');
	$record{periodic_id} = 'p' if $call =~ /'p'/;
	$record{queue_name}  = 'q' if $revision < 23 and not $record{periodic_id};
	my $columns = join ', ', sort keys %record;
	my $values  = join ', ', map { lit($record{$_}) } sort keys %record;
	$session->query(
		"INSERT INTO procrastinate_periodic_defers (id, defer_timestamp, $columns)"
		  . " SELECT 1000 + g, 50 - g, $values FROM unnest(ARRAY[5, 3, 4, 1, 2]) AS g");
	foreach my $held (1 .. 5)
	{
		$sessions[0]->query(
			'BEGIN; SELECT 1 FROM procrastinate_periodic_defers'
			  . " WHERE id = 1000 + $held FOR UPDATE");

		# Without these ways to join, a deletion takes the records as they lie.
		$sessions[1]->query(
			'BEGIN; SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off');
		$sessions[1]->send('SELECT ' . sprintf $call, 100 + $held);
		waits($sessions[1], $database, "a scheduler waits for the older record $held");
		my $free = $session->query(
			q{SELECT string_agg((id - 1000)::text, ' ' ORDER BY id) FROM (SELECT id}
			  . ' FROM procrastinate_periodic_defers WHERE id BETWEEN 1001 AND 1005'
			  . ' FOR UPDATE SKIP LOCKED) AS f');
		is( $free, $held == 5 ? 'NULL' : join(' ', $held + 1 .. 5),
			'it has locked the records of smaller ids only');
		$sessions[0]->query('COMMIT');
		my ($id, $error) = $sessions[1]->wait;
		is($error, '', 'the scheduler goes on once the record is unlocked');
		$sessions[1]->query($held < 5 ? 'ROLLBACK' : 'COMMIT');
	}
	is( $session->query('SELECT min(defer_timestamp), count(*) FROM procrastinate_periodic_defers'),
		'105|1', 'all older records are deleted');
	empty($session, $revision);
	return;
}

# A request to abort that is under way when the job is put back is not lost.
sub abort_before_retry
{
	my ($session, $revision, $database, @sessions) = @_;
	my @retries = forms(
		$revision,
		[ 30, undef, 'procrastinate_retry_job_v1' ],
		[ 37, undef, 'procrastinate_retry_job_v2' ]);
	foreach my $retry (map { $_->[2] } @retries)
	{
		insert_jobs($session, $revision, { id => 1, status => 'doing' });
		$sessions[0]->query('BEGIN; SELECT procrastinate_cancel_job_v1(1, true, false)');
		$sessions[1]->send("SELECT $retry(1, now(), NULL, NULL, NULL)");
		waits($sessions[1], $database, "$retry waits for a request to abort that is not committed");
		$sessions[0]->query('COMMIT');
		my (undef, $error) = $sessions[1]->wait;
		is($error, '', "$retry has no error");
		is( $session->query('SELECT status, abort_requested, attempts FROM procrastinate_jobs'),
			'failed|t|0', 'the job fails instead of running again');
		empty($session, $revision);
	}
	return;
}
