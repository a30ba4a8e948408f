# procrastinate_defer_periodic_job of every revision: a tick of a periodic task is deferred once, is
# remembered, and the older ones are forgotten.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

# Makes every function that defers jobs return NULL, as one might that was replaced.
my $DEFER_NOTHING = <<'SQL';
DO $do$
DECLARE
	definition text;
BEGIN
	FOR definition IN
		SELECT pg_get_functiondef(oid) FROM pg_proc
		 WHERE pronamespace = quote_ident(current_schema())::regnamespace
		   AND proname ~ '^procrastinate_defer_jobs?(_v1)?$'
	LOOP
		EXECUTE regexp_replace(definition, 'AS \$function\$.*\$function\$',
			'AS ''BEGIN RETURN NULL; END''');
	END LOOP;
END $do$
SQL

# First and last revision, name for the tests, the call of a hash, and what it takes: locks, a
# periodic id with args, a priority.
my @periodics = (
	[ 10, 11, 'procrastinate_defer_periodic_job of queue, task, tick',
		periodic('procrastinate_defer_periodic_job', qw(queue task tick)) ],
	[ 12, 22, 'procrastinate_defer_periodic_job with locks',
		periodic('procrastinate_defer_periodic_job', qw(queue lock queueing_lock task tick)) ],
	[ 21, 30, 'procrastinate_defer_periodic_job with args',
		periodic('procrastinate_defer_periodic_job',
			qw(queue lock queueing_lock task periodic_id tick args)) ],
	[ 26, 30, 'procrastinate_defer_periodic_job with priority',
		periodic('procrastinate_defer_periodic_job',
			qw(queue lock queueing_lock task priority periodic_id tick args)) ],
	[ 30, 34, 'procrastinate_defer_periodic_job_v1',
		periodic('procrastinate_defer_periodic_job_v1',
			qw(queue lock queueing_lock task priority periodic_id tick args)) ],
	[ 34, undef, 'procrastinate_defer_periodic_job_v2',
		periodic('procrastinate_defer_periodic_job_v2',
			qw(queue lock queueing_lock task priority periodic_id tick args)) ],);

my $node = start_server();
walk_revisions($node, \&visit);
done_testing();

sub visit
{
	my ($session, $revision) = @_;
	my $before = called_before($session);
	foreach my $form (forms($revision, @periodics))
	{
		my (undef, undef, $name, $call, %takes) = @$form;
		first_tick($session, $revision, $name, $call, \%takes);
		same_tick($session, $revision, $name, $call, \%takes);
		what_a_tick_is($session, $revision, $name, $call, \%takes);
		older_ticks($session, $revision, $name, $call, \%takes);
		all_or_nothing($session, $revision, $name, $call) if $takes{lock};
	}
	side_by_side($session, $revision);
	all_called($session, $before, 'periodic', $revision);
	return;
}

# A call of a periodic form as a function of a hash, and the names of what it takes.
sub periodic
{
	my ($function, @names) = @_;
	my $call = sub {
		my (%tick) = @_;
		my %value = (queue => 'default', task => 'clean', priority => 0, periodic_id => '',
			args => '{}', tick => 100, %tick);
		return 'SELECT ' . call_of($function, map { lit($value{$_}) } @names);
	};
	return ($call, map { $_ => 1 } @names);
}

# The records of periodic ticks, as text: task, queue (while it makes the tick), periodic id, tick
# and job.
sub records
{
	my ($session, $revision) = @_;
	my @columns = 'task_name';
	push @columns, 'queue_name' if $revision >= 12 and $revision < 21;
	push @columns, q{nullif(periodic_id, '')} if $revision >= 21;
	my $columns = join ', ', @columns, 'defer_timestamp', q{coalesce(job_id::text, 'no job')};
	return join ', ', sort split /\n/,
	  $session->query("SELECT concat_ws(' ', $columns) FROM procrastinate_periodic_defers");
}

sub ticks
{
	my ($session) = @_;
	return $session->query(
		q{SELECT string_agg(task_name || ' ' || defer_timestamp, ', '}
		  . ' ORDER BY task_name, defer_timestamp)'
		  . ' FROM procrastinate_periodic_defers');
}

sub first_tick
{
	my ($session, $revision, $name, $call, $takes) = @_;
	my %tick = (queue => 'night', task => 'sweep', lock => 'l', queueing_lock => 'ql',
		priority => 6, periodic_id => 'p', tick => 1700000000,
		args => '{"timestamp": 1, "k": "v"}');
	scenario($session, sub {
		my $id = $session->query($call->(%tick));
		like($id, qr/^\d+$/, "$name returns a job's id");
		my $priority = $revision < 25 ? '' : ' || \'|\' || priority';
		my @values   = (
			'night', 'sweep',
			$takes->{lock} ? ('l', 'ql') : ('NULL', 'NULL'),
			$takes->{args} ? '{"k": "v", "timestamp": 1}' : '{"timestamp": 1700000000}',
			'todo', 'NULL', 0);
		push @values, $takes->{priority} ? 6 : 0 if $revision >= 25;
		is($session->query('SELECT queue_name, task_name, lock, queueing_lock, args, status,'
				  . ' scheduled_at, attempts'
				  . ($revision >= 25 ? ', priority' : '')
				  . " FROM procrastinate_jobs WHERE id = $id"),
			join('|', @values), "$name defers the job with the given values");
		my @record = ('sweep');
		push @record, 'night' if $revision >= 12 and $revision < 21;
		push @record, 'p' if $takes->{periodic_id};
		is(records($session, $revision), join(' ', @record, 1700000000, $id),
			"$name records the tick and its job");
	});
	return;
}

sub same_tick
{
	my ($session, $revision, $name, $call, $takes) = @_;
	scenario($session, sub {
		my $id     = $session->query($call->(tick => 100));
		my $record = records($session, $revision);
		is($session->query($call->(tick => 100)), 'NULL',
			"$name returns NULL for a tick that has been deferred");
		is($session->query('SELECT string_agg(id::text, \' \') FROM procrastinate_jobs'),
			$id, "$name defers a tick once");
		is(records($session, $revision), $record, "$name does not change the record of a tick");

		# The job's end does not open the tick again.
		$session->query("UPDATE procrastinate_jobs SET status = 'succeeded'");
		is($session->query($call->(tick => 100)),
			'NULL', "$name returns NULL for the tick of a job that has ended");
		isnt($session->query($call->(tick => 101)), 'NULL', "$name defers the next tick");
		if ($revision >= 15)
		{
			$session->query('DELETE FROM procrastinate_jobs');
			is($session->query($call->(tick => 101)),
				'NULL', "$name returns NULL for the tick of a job that is deleted");
		}
	});
	return;
}

# Which columns make a tick: with the others changed it is the same tick.
sub what_a_tick_is
{
	my ($session, $revision, $name, $call, $takes) = @_;
	my %other = (task => 'other');
	my %same;
	if ($takes->{periodic_id})
	{
		$other{periodic_id} = 'other';
		%same = (queue => 'other', lock => 'other', args => '{"other": 1}');
	}
	elsif ($revision >= 12)
	{
		# From 0021 on the table itself holds one record a task, periodic id and tick.
		$other{queue} = 'other' if $revision < 21;
		%same = (lock => 'other', queueing_lock => 'other');
	}
	else
	{
		%same = (queue => 'other');
	}
	foreach my $key (sort keys %other)
	{
		scenario($session, sub {
			$session->query($call->());
			isnt($session->query($call->($key => $other{$key})),
				'NULL', "$name defers the same tick of another $key");
		});
	}
	foreach my $key (sort keys %same)
	{
		scenario($session, sub {
			$session->query($call->());
			is($session->query($call->($key => $same{$key})),
				'NULL', "$name takes a tick with another $key for the same tick");
		});
	}
	return;
}

sub older_ticks
{
	my ($session, $revision, $name, $call, $takes) = @_;
	my $at = sub { my ($tick, @more) = @_; $call->(tick => $tick, @more) };

	scenario($session, sub {
		$session->query($at->(100));
		$session->query($at->(100, task => 'other'));
		$session->query($at->(200));
		is(ticks($session), 'clean 200, other 100',
			"$name deletes the older records of its task only");
		isnt($session->query($at->(150)), 'NULL', "$name defers a tick that comes late");
		is(ticks($session), 'clean 150, clean 200, other 100',
			"$name deletes no younger record for a late tick");
		is($session->query('SELECT count(*) FROM procrastinate_jobs'),
			'4', "$name keeps the jobs of the records that it deletes");
	});

	# If there are records of older ticks, a tick that is recorded does not change them.
	scenario($session, sub {
		$session->query($at->(300));
		$session->query("INSERT INTO procrastinate_periodic_defers ($_->[0]) VALUES ($_->[1])")
		  foreach leftovers($revision, $takes, 10, 20);
		is($session->query($at->(300)), 'NULL', "$name returns NULL beside older records");
		is(ticks($session), 'clean 10, clean 20, clean 300',
			"$name changes nothing if the tick is recorded");
		$session->query($at->(301));
		is(ticks($session), 'clean 301', "$name deletes all older records");
	});

	scenario($session, sub {
		$session->query($at->(100));
		$session->query($DEFER_NOTHING);
		is($session->query($at->(200)), 'NULL',
			"$name returns NULL if deferring returns no job id");
		is(ticks($session), 'clean 200',
			"$name deletes older records if deferring returns no job id");
	}) if $revision >= 13;

	my $key = $takes->{periodic_id} ? 'periodic_id' : $takes->{lock} ? 'queue' : undef;
	return if not $key;
	scenario($session, sub {
		$session->query($at->(100, $key => 'other'));
		$session->query($at->(200));
		is(ticks($session), $revision == 12 ? 'clean 200' : 'clean 100, clean 200',
			"$name " . ($revision == 12 ? 'forgets' : 'keeps') . " older ticks of another $key");
	});
	return;
}

# Columns and values of records for older ticks of the task, as the form writes them.
sub leftovers
{
	my ($revision, $takes, @ticks) = @_;
	my ($columns, $values) = (q{task_name, defer_timestamp}, q{'clean', %d});
	($columns, $values) = ("$columns, queue_name", "$values, 'default'")
	  if $takes->{lock} and $revision < 23 and not $takes->{periodic_id};
	return map { [ $columns, sprintf $values, $_ ] } @ticks;
}

# A job that cannot be deferred leaves no record of its tick, and the older records as they are.
sub all_or_nothing
{
	my ($session, $revision, $name, $call) = @_;
	scenario($session, sub {
		my @busy = (queueing_lock => 'busy');
		my $id = $session->query($call->(tick => 100, @busy));
		my $record = records($session, $revision);
		$session->query('SAVEPOINT before');
		like($session->refusal($call->(tick => 200, @busy)),
			qr/^23505: .*"procrastinate_jobs_queueing_lock_idx(_v1)?"$/,
			"$name is refused while the job of the tick before waits with the same queueing lock");
		$session->query('ROLLBACK TO before');
		is(records($session, $revision), $record, "$name records no tick that it could not defer");
		$session->query("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = $id");
		isnt($session->query($call->(tick => 200, @busy)),
			'NULL', "$name defers that tick once the queueing lock is free");
	});
	return;
}

# Schedulers of two releases at work on one schema: a tick of the one is a tick of the other.
sub side_by_side
{
	my ($session, $revision) = @_;
	my @forms = grep { my (undef, undef, undef, undef, %takes) = @$_; $takes{periodic_id} }
	  forms($revision, @periodics);
	foreach my $first (@forms)
	{
		foreach my $second (grep { $_ != $first } @forms)
		{
			scenario($session, sub {
				isnt($session->query($first->[3]->(periodic_id => 'p')),
					'NULL', "$first->[2] defers a tick");
				is($session->query($second->[3]->(periodic_id => 'p')),
					'NULL', "$second->[2] does not defer it again");
				isnt($session->query($second->[3]->(periodic_id => 'p', tick => 200)),
					'NULL', "$second->[2] defers the next tick");
				is(ticks($session), 'clean 200', "$second->[2] deletes the record of $first->[2]");
			});
		}
	}
	return;
}
