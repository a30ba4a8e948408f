# procrastinate_migrate_all() migrates the installations of a database, several at a time: with
# those that fail, that are locked or that belong to others, ended anywhere, and called several
# times at once. procrastinate_require_all() checks them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Psql;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

# Schemas PREFIX_1 ... at 0026. Returns their names.
sub tenants
{
	my ($prefix, $count, $revision) = @_;
	my @schemas = map { "${prefix}_$_" } 1 .. $count;
	upgrade($node, $database, $revision // 26, $_) foreach @schemas;
	return @schemas;
}

# Calls it for PREFIX_%. Returns the exit status and what went to standard error.
sub migrate_all
{
	my ($prefix, @arguments) = @_;
	my ($status, undef, $err) = $node->psql(
		$database,
		'CALL procrastinate_migrate_all('
		  . join(', ', "schemas => '{${prefix}\\\\_%}'", @arguments)
		  . ')');
	return ($status, $err);
}

sub revisions
{
	my ($prefix) = @_;
	return run_sql(
		q{SELECT string_agg(revision, ' ' ORDER BY schema::text) FROM procrastinate_installations}
		  . qq{ WHERE schema::text LIKE '$prefix\\_%'});
}

sub heads
{
	my ($count) = @_;
	return join ' ', ($HEAD_NAME) x $count;
}

all_of_them();
one_fails();
one_is_locked();
options();
those_of_others();
ended();
several_callers();
one_owner_a_worker();
places();
no_worker();
refused();
required();
done_testing();

sub all_of_them
{
	my @schemas = tenants('all', 5);
	tenants('allx', 1);
	my ($status, $err) = migrate_all('all', 'dry_run => true');
	is($status, 0, 'dry run');
	is(scalar(() = $err =~ /would be migrated from 0026 to head/g), 5, 'it tells what it would do');
	is(revisions('all'), join(' ', ('0026') x 5), 'and does nothing');
	($status, $err) = migrate_all('all');
	is($status, 0, 'it migrates') || diag($err);
	is(revisions('all'),  heads(5), 'all installations that fit the pattern');
	is(revisions('allx'), '0026',   'and no others');
	like($err, qr/5 installations to migrate, 0 have reached the target already/,
		'it tells how many');
	my ($first) = $err =~ /schema "(\w+)" is migrated/;
	is($first, 'all_1', 'the canary is the first');
	like($err, qr/ms \(5 of 5\)$/m, 'it tells the progress');
	is_at($node, $database, $_, $HEAD, "$_: the catalog is that of head") foreach @schemas;
	($status, $err) = migrate_all('all');
	is($status, 0, 'once more');
	like($err, qr/0 installations to migrate, 5 have reached/, 'there is nothing to do');
	return;
}

# A relation has the name of an index.
sub one_fails
{
	tenants('fail', 4);
	run_sql('CREATE INDEX procrastinate_jobs_priority_idx ON fail_2.procrastinate_jobs (attempts)');
	my ($status, $err) = migrate_all('fail', q{on_error => 'continue'}, 'workers => 1');
	isnt($status, 0, 'one fails: so does the call, at its end');
	like($err, qr/WARNING:  schema "fail_2" could not be migrated \(2 of 4\)\nDETAIL:  PM009: /,
		'a WARNING says why');
	like($err, qr/ERROR:  1 of 4 installations could not be migrated/, 'the error counts');
	like($err, qr/^DETAIL:  Schema "fail_2": PM009 /m, 'and names it');
	is(revisions('fail'), "$HEAD_NAME 0026 $HEAD_NAME $HEAD_NAME", 'the others are migrated');

	tenants('halt', 4);
	run_sql('CREATE INDEX procrastinate_jobs_priority_idx ON halt_2.procrastinate_jobs (attempts)');
	($status, $err) = migrate_all('halt', 'workers => 1');
	like($err, qr/^2 have not been begun\.$/m, 'or no other is begun');
	is(revisions('halt'), "$HEAD_NAME 0026 0026 0026", 'by default');
	run_sql('DROP INDEX halt_2.procrastinate_jobs_priority_idx');
	($status, $err) = migrate_all('halt');
	is($status, 0, 'the next call goes on with those that are left') || diag($err);
	is(revisions('halt'), heads(4), 'to the end');

	tenants('second', 4);
	run_sql(
		'CREATE INDEX procrastinate_jobs_priority_idx ON second_2.procrastinate_jobs (attempts)');
	($status, $err) =
	  migrate_all('second', q{on_error => 'continue'}, 'canary => 2', 'workers => 3');
	is(revisions('second'), "$HEAD_NAME 0026 0026 0026", 'canaries come one after the other');
	tenants('canary', 3);
	run_sql(
		'CREATE INDEX procrastinate_jobs_priority_idx ON canary_1.procrastinate_jobs (attempts)');
	($status, $err) = migrate_all('canary', q{on_error => 'continue'});
	is(revisions('canary'), '0026 0026 0026', 'a canary that fails stops the others in any case');
	my ($options) = $err =~ /^HINT:  A canary has failed\. .*: (canary => 0, .*)\.$/m;
	migrate_all('canary', $options);
	is(revisions('canary'), "0026 $HEAD_NAME $HEAD_NAME", 'the HINT goes on with the others');
	return;
}

sub one_is_locked
{
	tenants('locked', 3);
	my $blocker = session('locked_2');
	$blocker->query('BEGIN; LOCK TABLE procrastinate_jobs');
	my ($status, $err) =
	  migrate_all('locked', q{on_error => 'continue'}, q{retry_for => '0.3 s'}, 'workers => 3');
	isnt($status, 0, 'one is locked');
	like($err, qr/Schema "locked_2": 55P03 /, 'the error says so');
	is(revisions('locked'), "$HEAD_NAME 0026 $HEAD_NAME", 'the others are migrated');
	$blocker->query('ROLLBACK');
	$blocker->close;
	is((migrate_all('locked'))[0], 0, 'later it can be migrated');
	is(revisions('locked'), heads(3), 'like the others');
	return;
}

# Each schema is migrated with the call's lock_timeout, retry_for and force.
sub options
{
	my ($schema) = tenants('options', 1, 29);
	my $worker = session($schema);
	$worker->query('SELECT id FROM procrastinate_fetch_job(NULL)');
	like((migrate_all('options'))[1],
		qr/Schema "options_1": PM013 /, 'old workers keep a post migration away');
	is((migrate_all('options', 'force => true'))[0], 0, 'force => true goes on');
	is(revisions('options'), heads(1), 'to head');

	($schema) = tenants('waits', 1);
	$worker->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs");
	my ($status, $err) =
	  migrate_all('waits', q{lock_timeout => '20 ms'}, q{retry_for => '0'}, 'force => true');
	like($err, qr/^It was tried once in /m, 'retry_for bounds the wait for a lock');
	like(
		$err,
		qr/^HINT:.*, lock_timeout => '20 ms', retry_for => '0 ms', force => true\);$/m,
		'the HINT repeats the options'
	);
	my $caller = session('public');
	$caller->send(q{CALL procrastinate_migrate_all(schemas => '{waits\\_%}',}
		  . q{ lock_timeout => '1 hour', retry_for => '0')});
	wait_until(
		"SELECT count(*) = 1 FROM pg_locks WHERE relation = '$schema.procrastinate_jobs'::regclass"
		  . ' AND NOT granted',
		'the schema waits for a lock');
	my $transaction = 'SELECT virtualtransaction FROM pg_locks'
	  . qq{ WHERE pid = $caller->{pid} AND locktype = 'virtualxid'};
	my $first = run_sql($transaction);
	wait_until("SELECT ($transaction) <> '$first'",
		'no transaction of the call lasts: index builds would wait for it');
	$worker->query('ROLLBACK');
	is(($caller->wait)[1], '', 'lock_timeout is how long each waits for a lock');
	$_->close foreach $worker, $caller;
	return;
}

sub those_of_others
{
	run_sql('CREATE ROLE tenant LOGIN; CREATE ROLE other');
	foreach my $schema ('own_1', 'own_2')
	{
		my $role = $schema eq 'own_1' ? 'tenant' : 'other';
		run_sql("CREATE SCHEMA $schema AUTHORIZATION $role");
		upgrade($node, $database, 26, $schema);
	}
	my ($status, undef, $err) = $node->psql(
		$database,
		q{CALL procrastinate_migrate_all(schemas => '{own\\\\_%}')},
		extra_params => [ '-U', 'tenant' ]);
	is($status, 0, 'a role migrates what it may change') || diag($err);
	is(revisions('own'), "$HEAD_NAME 0026", 'and leaves what it may not change');
	is( run_sql(q{SELECT DISTINCT applied_by FROM procrastinate_log('own_1')}
			  . q{ WHERE event = 'upgrade' AND to_revision > '0026'}),
		'tenant',
		'the history has its name');
	return;
}

sub ended
{
	my $call = q{CALL procrastinate_migrate_all(schemas => '{ended\\\\_%}')};
	my $worker_of = q{pid FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'}
	  . q{ AND query ~ 'procrastinate_migrate'};
	tenants('ended', 4);
	foreach my $what (qw(worker caller server))
	{
		# A worker waits for this lock.
		my $blocker = session('ended_1');
		$blocker->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS SHARE MODE');
		my $caller = start_psql($node, $database, [$call]);
		wait_until("SELECT count(*) > 0 FROM (SELECT $worker_of) w", 'a worker runs');
		wait_until(q{SELECT count(*) > 0 FROM procrastinate_progress},
			'the view procrastinate_progress shows its installation');
		run_sql("SELECT pg_terminate_backend(pid) FROM (SELECT $worker_of) w") if $what eq 'worker';
		run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '"
			  . ($call =~ s/'/''/gr) . q{' AND backend_type = 'client backend'})
		  if $what eq 'caller';
		$node->stop('immediate') if $what eq 'server';
		$caller->{run}->finish;
		ok($caller->{run}->result, "$what ended: so does the call");
		like($caller->{err}, qr/Schema "ended_1": 57P01 /, 'and says which installation failed')
		  if $what eq 'worker';
		$node->start if $what eq 'server';
		wait_until("SELECT count(*) = 0 FROM (SELECT $worker_of) w", 'no worker is left');
		eval { $blocker->query('ROLLBACK'); $blocker->close; 1 } or 1;
	}
	my ($status, $err) = migrate_all('ended');
	is($status, 0, 'the next call goes on') || diag($err);
	is(revisions('ended'), heads(4), 'to the end');
	is_at($node, $database, "ended_$_", $HEAD, "ended_$_: the catalog is that of head")
	  foreach 1 .. 4;
	return;
}

sub several_callers
{
	tenants('many', 4);
	my $call =
	  q{CALL procrastinate_migrate_all(schemas => '{many\\\\_%}', on_error => 'continue')};
	my @callers = map { start_psql($node, $database, [$call]) } 1 .. 4;
	foreach my $caller (@callers)
	{
		$caller->{run}->finish;
		ok(!$caller->{run}->result, 'one of four callers ends without an error')
		  || diag($caller->{err});
	}
	is(revisions('many'), heads(4), 'all are migrated');
	is( run_sql(
			q{SELECT count(*) FROM generate_series(1, 4) n, procrastinate_log('many_' || n)}
			  . q{ WHERE event = 'upgrade' GROUP BY n, to_revision HAVING count(*) > 1}),
		'',
		'none twice');
	return;
}

# A trigger of one owner may leave something in the session.
sub one_owner_a_worker
{
	run_sql(<<'SQL');
CREATE TABLE sessions (pid int, schema text);
CREATE FUNCTION note_session() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog AS $$
BEGIN
	INSERT INTO public.sessions SELECT pg_backend_pid(), c.schema_name
	  FROM pg_event_trigger_ddl_commands() c WHERE c.schema_name LIKE 'kept%';
END $$;
CREATE ROLE first_owner;
CREATE ROLE second_owner;
SQL
	foreach my $number (1 .. 6)
	{
		my $owner = $number <= 3 ? 'first_owner' : 'second_owner';
		run_sql("CREATE SCHEMA kept_$number AUTHORIZATION $owner");
		upgrade($node, $database, 26, "kept_$number");
	}
	run_sql('CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note_session()');
	my ($status, undef, $err) = $node->psql($database,
		q{SET procrastinate_migrate.min_concurrent_build_size = '1MB';}
		  . q{ CALL procrastinate_migrate_all(schemas => '{kept%}', workers => 1)});
	is($status, 0, 'installations of two owners') || diag($err);
	is(revisions('kept'), heads(6), 'are migrated');
	is( run_sql(
			q{SELECT string_agg(schemas, ';' ORDER BY schemas)}
			  . q{ FROM (SELECT string_agg(DISTINCT schema, ',' ORDER BY schema) AS schemas}
			  . q{ FROM sessions GROUP BY pid) s}),
		'kept_1,kept_2,kept_3;kept_4,kept_5,kept_6',
		'one worker for those of each');
	run_sql('DROP EVENT TRIGGER note');
	return;
}

# All tenants are locked, so that no worker ends.
sub places
{
	my $workers = q{SELECT count(*) FROM pg_stat_activity}
	  . q{ WHERE backend_type = 'procrastinate_migrate' AND query LIKE 'CALL %'};
	my @schemas = tenants('place', 6);
	my $blocker = session('public');
	my $lock    = 'BEGIN; LOCK TABLE ' . join(', ', map { "$_.procrastinate_jobs" } @schemas);
	my $call    = 'CALL procrastinate_migrate_all('
	  . q{schemas => '{place\\_%}', workers => 6, canary => 0)};
	foreach my $case ([ 1, 1, 'max_migrate_workers' ],
		[ 32, 3, 'half of max_worker_processes, without the one that the server has' ])
	{
		my ($setting, $places, $name) = @$case;
		$blocker->query($lock);
		my @callers = map {
			start_psql($node, $database,
				[ "SET procrastinate_migrate.max_migrate_workers = $setting", $call ])
		} 1 .. 2;
		wait_until(
			q{SELECT count(*) = 2 FROM pg_locks l JOIN pg_stat_activity a USING (pid)}
			  . q{ WHERE a.backend_type = 'client backend' AND l.locktype = 'advisory'}
			  . q{ AND l.objsubid = 3 AND l.objid = 0},
			'two calls run');
		wait_until("SELECT ($workers) = $places", "$name: $places workers run");
		is(run_sql($workers), $places, "$name: no more");
		$blocker->query('ROLLBACK');
		foreach my $caller (@callers)
		{
			$caller->{run}->finish;
			ok(!$caller->{run}->result, "$name: both calls end") || diag($caller->{err});
		}
		is(revisions('place'), heads(6), "$name: all are migrated");
		run_sql("DROP SCHEMA $_ CASCADE") foreach @schemas;
		upgrade($node, $database, 26, $_) foreach @schemas;
	}
	$blocker->close;
	return;
}

sub no_worker
{
	my $small = start_server(conf => "max_worker_processes = 0\n");
	my $there = new_database($small);
	upgrade($small, $there, 26);
	my ($status, undef, $err) = $small->psql($there, 'CALL procrastinate_migrate_all()');
	isnt($status, 0, 'without a background worker it fails');
	like($err, qr/ERROR:  there is no background worker to migrate an installation with/,
		'and says so');
	is($small->safe_psql($there, 'SELECT revision FROM procrastinate_current()'),
		'0026', 'nothing has changed');
	return;
}

sub refused
{
	foreach my $case (
		[ 'workers => 0',         qr/workers must be between 1 and 32/ ],
		[ 'canary => -1',         qr/canary must not be negative/ ],
		[ q{on_error => 'what'},  qr/invalid value for parameter "on_error"/ ],
		[ 'workers => NULL',      qr/workers must not be null/ ],
		[ q{target => 'nowhere'}, qr/nowhere/ ])
	{
		my ($argument, $error) = @$case;
		my ($status, $err) = migrate_all('all', $argument);
		isnt($status, 0, "$argument: refused");
		like($err, $error, "$argument: the error says why");
	}
	my ($status, undef, $err) =
	  $node->psql($database, 'BEGIN; CALL procrastinate_migrate_all(); COMMIT');
	like($err, qr/cannot run inside a transaction block/, 'nor does it run in a transaction block');
	return;
}

sub required
{
	is(run_sql(q{SELECT procrastinate_require_all('head', schemas => '{all\\\\_%}')}),
		'5', 'procrastinate_require_all() counts what it has checked');
	run_sql('DROP FUNCTION all_3.procrastinate_fetch_job_v2 CASCADE');
	my ($status, undef, $err) = $node->psql(
		$database,
		q{SELECT procrastinate_require_all('head', schemas => '{all%}')},
		extra_params => [qw(-v VERBOSITY=verbose)]);
	isnt($status, 0, 'it fails');
	like(
		$err,
		qr/ERROR:  PM016: 2 of 6 installations do not fit head/,
		'and says how many do not fit');
	like($err, qr/schema "allx_1" is not at/i,                   'one for its revision');
	like($err, qr/schema "all_3"/i,                              'one for its differences');
	my $blocker = session('public');
	$blocker->query('BEGIN; LOCK TABLE all_1.procrastinate_schema_history');
	($status, undef, $err) = $node->psql($database,
		q{SELECT procrastinate_require_all('head', schemas => '{all%}')});
	like(
		$err,
		qr/ERROR:  3 of 6 installations do not fit.*^(?:DETAIL:  )?Schema "all_1" is locked/ms,
		'one that is locked is a failure');
	$blocker->close;
	($status, undef, $err) = $node->psql(
		$database,
		q{SELECT procrastinate_require_all('head', schemas => '{nothing}')},
		extra_params => [qw(-v VERBOSITY=verbose)]);
	like($err, qr/ERROR:  PM015: no installation that you may change fits/,
		'no installation is an error');
	($status, $err) = migrate_all('nothing');
	is($status, 0, 'for a call that migrates it is none');
	like($err, qr/WARNING:  .*no installation that you may change fits/, 'but it warns');
	return;
}
