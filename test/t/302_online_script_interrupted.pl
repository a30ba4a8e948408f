# Online scripts of procrastinate_sql() that are held up, ended anywhere, or refused; and beside
# clients that work.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Script;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
run_sql('CREATE ROLE app LOGIN');
my $path; # of the script of the last installation

held_up();
ended_in_a_step();
ended_in_batches();
ended_in_a_build();
stopped_server();
calls_and_scripts();
in_use();
refused();
goes_on_after_an_error();
workers_notice_nothing();
done_testing();

# A schema of the role's at a revision, and its script to a target.
sub installation
{
	my ($schema, $revision, $target) = @_;
	run_sql("CREATE SCHEMA $schema AUTHORIZATION app");
	upgrade($node, $database, $revision, $schema);
	$path = script_of("current:$target", $schema);
	return;
}

sub script_of
{
	return script_file(script_text($node, $database, @_, 'online => true'));
}

sub run_it
{
	return run_script($node, $database, $path, '-U', 'app', @_);
}

# Runs the script, which another session keeps from ending, until the condition is true.
sub start_until
{
	my ($condition, $what, @options) = @_;
	my $script = start_script($node, $database, $path, '-U', 'app', @options);
	wait_until($condition, $what);
	return $script;
}

# The script's session.
sub its_session
{
	return "(SELECT pid FROM pg_stat_activity WHERE usename = 'app')";
}

sub terminate
{
	my ($script) = @_;
	run_sql('SELECT pg_terminate_backend(pid) FROM ' . its_session() . ' AS s');
	$script->{run}->finish;
	return;
}

sub last_event
{
	my ($schema) = @_;
	return run_sql("SELECT event FROM procrastinate_log('$schema') ORDER BY id DESC LIMIT 1");
}

sub ends_at
{
	my ($schema, $revision, $label) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $err) = run_it();
	is($status, 0, "$label: run again, it ends without an error") || diag($err);
	is_at($node, $database, $schema, $revision, "$label: the catalog is right");
	is( run_sql("SELECT count(*) FROM procrastinate_check('current', '$schema')"),
		'0', "$label: so are the functions");
	is( run_sql("SELECT count(*) FROM (SELECT event FROM procrastinate_log('$schema')"
			  . " WHERE event !~ ', |\\.0\$' GROUP BY event, to_revision HAVING count(*) > 1) t"),
		'0',
		"$label: no step was done twice");
	return;
}

# A lock that others have: it asks again, says who has it, and gives up after retry_for.
sub held_up
{
	installation('held', 22, '0023');
	my $blocker = session('held');
	$blocker->query('BEGIN; LOCK TABLE procrastinate_periodic_defers IN ACCESS SHARE MODE');
	my ($status, $err) = run_it('-v', 'retry_for=0.3 s');
	is($status, 3, 'without its lock the script ends with an error');
	like($err, qr/ERROR:  step 0023\.1 could not have its locks/, 'which names the step');
	like($err, qr/DETAIL:  It was tried \d+ times in \d+ s\. No try has changed anything\./,
		'and says that nothing has changed');
	like(
		$err,
		qr/Session $blocker->{pid}.*AccessShareLock on procrastinate_periodic_defers/,
		'and names the blocker');
	like($err, qr/HINT:.*-v retry_for='1 hour'/, 'and what to do');
	is(run_sql("SELECT revision FROM procrastinate_current('held')"), '0022', 'it is where it was');

	{
		# Written like this, a time is read as one of another time zone.
		local $ENV{PGOPTIONS} = '-c DateStyle=SQL -c TimeZone=Asia/Kolkata';
		($status) = run_it('-v', 'retry_for=0.3 s');
		is($status, 3, 'it gives up with any DateStyle');
	}

	my $script = start_script($node, $database, $path, '-U', 'app', '-v', 'lock_timeout=10 ms');
	$script->{run}->pump until $script->{err} =~ /tried 3 times/;
	like(
		$script->{err},
		qr/NOTICE:  step 0023\.1: waiting for locks, tried once\nDETAIL:  Session $blocker->{pid}/,
		'a NOTICE names the blocker');
	$blocker->query('COMMIT');
	$script->{run}->finish;
	ok(!$script->{run}->result, 'once the lock is free the script ends');
	is(run_sql("SELECT revision FROM procrastinate_current('held')"), '0023', 'at its target');
	$blocker->close;
	return;
}

# Each step that a lock can keep waiting: ended there, then run again.
sub ended_in_a_step
{
	my $schema = 'ended';
	installation($schema, 1, 'head');
	my @events = map { /\A-- step (\d{4}\.\d)/m ? $1 : () } split /^(?=-- step )/m, slurp($path);
	my $ended = 0;
	for (my $i = 0; $i < @events; $i += 5)
	{
		# A session that has locked all tables of the schema lets the script do nothing more.
		my $blocker = session($schema);
		$blocker->query('BEGIN');
		$blocker->query(
			run_sql(
				    "SELECT coalesce(string_agg(format('LOCK TABLE %s IN ACCESS SHARE MODE', oid::regclass),"
				  . " '; '), 'SELECT') FROM pg_class WHERE relnamespace = '$schema'::regnamespace"
				  . " AND relkind = 'r' AND relname <> 'procrastinate_schema_history'"));
		my $script = start_script($node, $database, $path, '-U', 'app');
		$script->{run}->pump
		  until $script->{err} =~ /waiting for locks|ERROR/ || !$script->{run}->pumpable;
		if ($script->{err} =~ /waiting for locks/)
		{
			$ended++;
			terminate($script);
		}
		else
		{
			$script->{run}->finish;
		}
		$blocker->query('ROLLBACK');
		$blocker->close;

		# One step further, by a run that ends behind it.
		my ($name) = $script->{err} =~ /(?:step (\d{4}\.\d)): waiting/ or last;
		my ($upto) = slurp($path) =~ /\A(.*?^-- step \Q$name\E .*?^\\endif\n)/ms;
		my ($status, $err) =
		  run_script($node, $database, script_file("$upto\\endif\n"), '-U', 'app');
		is($status, 0, "ended while step $name waited, it is done by the next run") || diag($err);
	}
	cmp_ok($ended, '>', 5, 'the script was ended in many steps');
	ends_at($schema, $HEAD, 'ended in steps');
	return;
}

# Between two batches: the next run goes on behind the last one that the history has.
sub ended_in_batches
{
	installation('batches', 23, '0024');
	run_sql('SET search_path = batches;'
		  . ' INSERT INTO procrastinate_jobs (queue_name, task_name, args)'
		  . " SELECT 'q', 't', '{}' FROM generate_series(1, 3000)");
	my $script = start_until(
		q{SELECT event ~ 'step 0024.1, ' FROM procrastinate_log('batches') ORDER BY id DESC LIMIT 1},
		'a batch is done',
		'-v', 'max_wal_rate=1 kB');
	terminate($script);
	like(last_event('batches'), qr/^step 0024\.1, 1000 of 3000$/, 'the first batch is done');
	ends_at('batches', 24, 'ended between batches');
	is(run_sql('SELECT count(*) FROM batches.procrastinate_events WHERE job_id IS NULL'),
		'0', 'all rows are changed');
	return;
}

# What is left of an index is dropped.
sub ended_in_a_build
{
	installation('build', 10, '0011');
	my $reader = session('build');
	$reader->query(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM procrastinate_jobs');
	my $script = start_until(
		"SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase ~ 'waiting' AND"
		  . " current_locker_pid = $reader->{pid}",
		'the build waits for the reader');
	terminate($script);
	my $invalid = q{SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid}
	  . q{ WHERE relnamespace = 'build'::regnamespace AND NOT indisvalid};
	is(run_sql($invalid),   '1',           'an invalid index is left');
	is(last_event('build'), 'step 0011.0', 'the history says that the migration has begun');

	# Another run while the build goes on: it waits for it.
	$script = start_until(
		"SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase ~ 'waiting' AND"
		  . " current_locker_pid = $reader->{pid}",
		'the second build waits for the reader');
	my $second = start_script($node, $database, $path, '-U', 'app');
	$second->{run}->pump until $second->{err} =~ /waiting for locks/ || !$second->{run}->pumpable;
	like($second->{err}, qr/step 0011\.1: waiting for locks/, 'another run waits for the build');
	$reader->query('COMMIT');
	$_->{run}->finish foreach $script, $second;
	ok(!$_->{run}->result, 'a run ends without an error') || diag($_->{err})
	  foreach $script, $second;
	is(run_sql($invalid), '0', 'no invalid index is left');
	ends_at('build', 11, 'ended in a build');
	$reader->close;
	return;
}

# The server is stopped at once while columns change behind the barrier.
sub stopped_server
{
	installation('stopped', 29, '0030');
	my $blocker = session('stopped');
	$blocker->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	my $script = start_script($node, $database, $path, '-U', 'app');
	$script->{run}->pump
	  until $script->{err} =~ /step 0030\.2: waiting/ || !$script->{run}->pumpable;
	$node->stop('immediate');
	$script->{run}->finish;
	ok($script->{run}->result, 'the script ends with an error');
	$node->start;
	is(last_event('stopped'), 'step 0030.1', 'the barrier is installed, the columns are as before');
	my $worker = session('stopped');
	my $fetch  = q{SELECT count(id) FROM procrastinate_fetch_job(NULL::varchar[])};
	$worker->query(
		q{SELECT procrastinate_defer_job('q', 't', 0, NULL, NULL, '{}'::jsonb, now())});
	is($worker->query($fetch), '1', 'workers fetch');
	ends_at('stopped', 30, 'stopped server');
	is(run_sql(q{SELECT to_regclass('stopped.procrastinate_fetch_barrier') IS NULL}),
		't', 'no barrier is left');
	$worker->close;
	return;
}

# A script finishes what a call has begun.
sub calls_and_scripts
{
	installation('mixed', 26, 'head');
	my $blocker = session('mixed');
	my @stopped;
	foreach my $lock (
		'procrastinate_jobs IN SHARE UPDATE EXCLUSIVE MODE',
		'procrastinate_jobs IN ACCESS SHARE MODE',
		'procrastinate_jobs IN ROW EXCLUSIVE MODE')
	{
		$blocker->query("BEGIN; LOCK TABLE $lock");
		my ($status) = $node->psql($database,
			q{CALL procrastinate_migrate('head', 'mixed', retry_for => '0.2 s')});
		isnt($status, 0, "the call cannot go on: $lock");
		push @stopped, last_event('mixed');
		$blocker->query('ROLLBACK');
	}
	$blocker->close;
	like($stopped[-1], qr/^step/, 'the call has ended between two steps');
	ends_at('mixed', $HEAD, 'a script after a call');
	return;
}

# Old workers, as far as the role may see them.
sub in_use
{
	installation('used', 30, '0031');
	my $worker = do { local $ENV{PGUSER} = 'app'; session('used') };
	$worker->query(q{SELECT count(id) FROM procrastinate_fetch_job(NULL::varchar[])});
	my ($status, $err) = run_it();
	is($status, 3, 'what old code uses is not dropped');
	like(
		$err,
		qr/ERROR:  migration 0031 drops functions of schema "used" that seem to be in use/,
		'the error says why');
	like(
		$err,
		qr/DETAIL:  Session $worker->{pid} of role app.*, calls procrastinate_fetch_job$/m,
		'and names the session');
	like($err, qr/HINT:.*-v force=1/, 'and what to do');
	is(last_event('used'), 'upgrade', 'nothing has changed');
	$worker->query('LISTEN "procrastinate_any_queue"');
	($status, $err) = run_it();
	like($err, qr/listens for jobs on a channel of older releases/,
		'a session that listens on the old channel counts, too');
	($status, $err) = run_it('-v', 'force=1');
	is($status, 0, 'unless that is wanted') || diag($err);
	is_at($node, $database, 'used', 31, 'then the catalog is right');
	$worker->close;
	return;
}

sub refused
{
	my $refused = sub {
		my ($what, $error, @options) = @_;
		my ($status, $err) = run_it(@options);
		is($status, 3, "$what: refused");
		like($err, $error, "$what: the error says why");
		unlike($err, qr/CONTEXT/, "$what: and shows no program");
		return;
	};
	installation('trap', 30, '0032');
	run_sql(<<'SQL');
CREATE ROLE third_role;
CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
ALTER FUNCTION public.trap() OWNER TO third_role;
CREATE TRIGGER trap AFTER UPDATE ON trap.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION trap();
SQL
	$refused->('code of another role', qr/ERROR:  role "app" may not change the installation/);
	run_sql('DROP TRIGGER trap ON trap.procrastinate_jobs');
	run_sql('ALTER TABLE trap.procrastinate_jobs FORCE ROW LEVEL SECURITY;'
		  . ' ALTER TABLE trap.procrastinate_jobs ENABLE ROW LEVEL SECURITY');
	$refused->('forced policies', qr/ERROR:  row-level security is forced on table/);
	run_sql('ALTER TABLE trap.procrastinate_jobs NO FORCE ROW LEVEL SECURITY;'
		  . ' ALTER TABLE trap.procrastinate_jobs DISABLE ROW LEVEL SECURITY');
	my ($status, $err) = run_script(
		$node, $database,
		script_file("SET SESSION AUTHORIZATION app;\n" . slurp($path)));
	like($err, qr/ERROR:  this script must not run as role "app" after SET ROLE/,
		'after SET SESSION AUTHORIZATION it does not run');
	is(run_sql(q{SELECT revision FROM procrastinate_current('trap')}),
		'0030', 'nothing has changed');

	installation('of_column', 22, '0024');
	run_sql('CREATE VIEW public.on_events AS SELECT job_id FROM of_column.procrastinate_events');
	$refused->(
		'a view of the column', qr/ERROR:  cannot replace column procrastinate_events.job_id/);
	is(run_sql(q{SELECT revision FROM procrastinate_current('of_column')}),
		'0022', 'before the first step');

	installation('late', 12, '0030');
	$path = script_of('0020:0030', 'late');
	$refused->('a schema before the range', qr/ERROR:  schema "late" is before 0020/);
	$path = script_of('base:0010', 'late');
	($status, $err) = run_it();
	is($status, 0, 'a schema behind the range is no error');
	like($err, qr/NOTICE:  schema "late" is at 0012: nothing to do/, 'and nothing is done');

	installation('taken', 10, '0011');
	run_sql(
		'CREATE INDEX procrastinate_periodic_defers_job_id_fkey ON taken.procrastinate_jobs (id)');
	$refused->('a name that is taken', qr/ERROR:  cannot build index/);
	return;
}

# Without ON_ERROR_STOP: nothing runs after a step that has failed.
sub goes_on_after_an_error
{
	installation('proceed', 22, '0026');
	my $blocker = session('proceed');
	$blocker->query('BEGIN; LOCK TABLE procrastinate_periodic_defers IN ACCESS SHARE MODE');
	my ($status, $err) =
	  run_it('-v', 'ON_ERROR_STOP=0', '-v', 'retry_for=0 s', '-v', 'lock_timeout=1 ms');
	like($err, qr/is not at the step before step 0024\.1/,
		'the steps behind the error refuse to run');
	is(run_sql(q{SELECT revision FROM procrastinate_current('proceed')}),
		'0022', 'nothing has changed');
	$blocker->query('ROLLBACK');
	$blocker->close;
	ends_at('proceed', 26, 'after an error that did not stop psql');
	return;
}

sub workers_notice_nothing
{
	my $last = last_revision_for('3.2.0');
	foreach my $way ([ 1, 6, '0.8' ], [ 6, 22, '0.8' ], [ 22, 30, '0.23' ], [ 30, 32, '3.0' ],
		[ 32, 34, '3.2', '3.0' ], [ 34, $last, '3.2' ])
	{
		my ($from, $to, @releases) = @$way;
		my $label = revision_name($from) . ' to ' . revision_name($to);
		my $there = new_database($node);
		upgrade($node, $there, $from);
		my $range  = 'current:' . revision_name($to);
		my $script = script_file(script_text($node, $there, $range, 'public', 'online => true'));
		my $load = start_load($node, $there, [ release_scripts(@releases) ], qw(-c 4 -R 400));
		$node->poll_query_until($there, 'SELECT count(*) > 20 FROM procrastinate_events')
		  or die 'no client works';
		my ($status, $err) = run_script($node, $there, $script);
		is($status, 0, "$label: the script ends without an error") || diag($err);
		my $jobs = $node->safe_psql($there, 'SELECT max(id) FROM procrastinate_jobs');
		$node->poll_query_until($there, "SELECT max(id) > $jobs + 20 FROM procrastinate_jobs")
		  or die 'no client works any more';
		is(stop_load($load),         '',  "$label: no client sees an error");
		is(deadlocks($node, $there), '0', "$label: nor is there a deadlock");
		is_at($node, $there, 'public', $to, "$label: the catalog is right");
	}
	return;
}
