# procrastinate_plan() names the locks that are really taken, procrastinate_progress shows the steps
# under way, procrastinate_wait() waits for the schema, and changes are notified.

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

locks();
plan_of_all();
progress();
progress_of_the_first_step();
progress_of_two();
waits();
revisions_are_notified();
done_testing();

# ------------------------------------------------------------------------------------------------
# The plan
# ------------------------------------------------------------------------------------------------

# A migration that is one step takes the locks that the plan names, on tables that were there
# before.
sub locks
{
	my ($session, $watcher) = map { session('planned') } 1 .. 2;
	$session->query('CREATE SCHEMA planned');
	upgrade($node, $database, 1, 'planned');
	foreach my $revision (2 .. $HEAD)
	{
		my $target = revision_name($revision);
		my $plan   = $session->query(
			"SELECT kind || ': ' || coalesce(lock, '') FROM procrastinate_plan_details('$target')");
		if ($plan !~ /\n/)
		{
			$session->query("BEGIN; SELECT procrastinate_upgrade('$target')");
			my $held = join(', ', reverse held_locks($watcher, 'planned', $session->{pid}));
			$session->query('COMMIT');
			is($plan, "brief: $held", "$target takes the locks of its plan") if $plan =~ /^brief/;
		}
		else
		{
			upgrade($node, $database, $revision, 'planned');
		}
	}
	$_->close foreach $session, $watcher;
	return;
}

sub plan_of_all
{
	my $session = session('whole');
	$session->query('CREATE SCHEMA whole');
	is( $session->query(
			'SELECT count(*), min(revision), max(revision), count(DISTINCT kind) FROM'
			  . q{ procrastinate_plan('head-1')}
		),
		join('|', $HEAD - 1, '0001', revision_name($HEAD - 1), 1),
		'from base each migration is a step');
	upgrade($node, $database, 1, 'whole');
	$session->query('CREATE TEMP TABLE small AS SELECT * FROM procrastinate_plan_details()');
	insert_many($session, 900);    # a batch
	my $estimates = $session->query(<<'SQL');
SELECT count(DISTINCT revision), bool_and(big.estimate > '0'),
       bool_and(big.estimate > small.estimate) FILTER (WHERE big.scans AND big.relation_size > 0)
  FROM small JOIN procrastinate_plan_details() AS big USING (revision, step)
SQL
	is($estimates, ($HEAD - 1) . '|t|t',
		'each step has an estimate; that of a step that reads a table grows with it');
	is( $session->query(
			q{SELECT count(*) FROM procrastinate_plan() WHERE ltrim(replace(extract(epoch FROM}
			  . q{ estimate)::text, '.', ''), '0') ~ '[1-9].+[1-9]'}
		),
		'0',
		'which does not pretend to be known to more than two digits');
	my $planned =
	  $session->query(q{SELECT string_agg(revision || '.' || step, ' ') FROM procrastinate_plan()});
	is( $session->query(
			q{SELECT bool_and(relation_size > 0) FROM procrastinate_plan_details('0007') WHERE}
			  . q{ relation = 'procrastinate_jobs'}
		),
		't',
		'the plan has the sizes of existing tables');
	is( $session->query(
			q{SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM procrastinate_plan_details()}
			  . q{ WHERE scans}
		),
		'batched concurrent validated',
		'the plan marks steps that read a table');
	is( $session->query(
			q{SELECT string_agg(revision, ' ') FROM procrastinate_plan_details() WHERE rewrites}),
		'0024',
		'what rewrites rows, too');
	is( $session->query(
			q{SELECT count(*) FROM procrastinate_plan_details('0028') WHERE statement ~}
			  . q{ 'id_lock_idx_0029' AND revision = '0027'}
		),
		'0',
		'what would be built ahead of a later revision is not planned without it');

	$session->query('CALL procrastinate_migrate()');
	my $done = $session->query(<<'SQL');
SELECT string_agg(step, ' ' ORDER BY id)
  FROM (SELECT id, regexp_replace(event, '^step ', '') AS step FROM procrastinate_log()
	WHERE event ~ '^step .*[.][1-9]'
        UNION ALL
		SELECT l.id, to_revision || '.' || (SELECT count(*) + 1 FROM procrastinate_log() s
		  WHERE s.event ~ ('^step ' || l.to_revision || '[.][1-9]'))
          FROM procrastinate_log() l WHERE event = 'upgrade' AND to_revision > '0001') AS steps
SQL
	is($done, $planned, 'the steps that were planned are those that were done');
	is($session->query('SELECT count(*) FROM procrastinate_plan()'), '0',
		'at head nothing is planned');
	$session->close;
	return;
}

# ------------------------------------------------------------------------------------------------
# Under way
# ------------------------------------------------------------------------------------------------

sub progress
{
	$node->safe_psql($database, 'CREATE SCHEMA slow');
	upgrade($node, $database, 19, 'slow');
	my ($reader, $caller, $watcher) = map { session('slow') } 1 .. 3;
	is($watcher->query('SELECT count(*) FROM procrastinate_progress'), '0', 'nothing is under way');
	$reader->query(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0020')});
	$node->poll_query_until($database,
		'SELECT count(*) = 1 FROM procrastinate_progress WHERE waiting_for IS NOT NULL')
	  or die 'no build waits';
	is( $watcher->query(
			q{SELECT schema, revision, step, steps, kind, title, since IS NOT NULL, phase ~}
			  . q{ '^waiting', waiting_for}
			  . ' FROM procrastinate_progress'),
		"slow|0020|1|2|concurrent|build the index for the look-up of locks|t|t|{$reader->{pid}}",
		'other sessions see a build and its blocker');
	is( $watcher->query(
			'SELECT backend_type FROM procrastinate_progress JOIN pg_stat_activity USING (pid)'),
		'procrastinate_migrate',
		'with the worker that is at it');
	$reader->query('COMMIT');
	my (undef, $error) = $caller->wait;
	is($error, '', 'it goes on once the reader has gone');
	is($watcher->query('SELECT count(*) FROM procrastinate_progress'), '0',
		'nothing is under way any more');
	$_->close foreach $reader, $caller, $watcher;
	return;
}

# A call whose first step is blocked.
sub progress_of_the_first_step
{
	my $schema = 'first';
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	upgrade($node, $database, 23, $schema);
	my ($reader, $caller, $watcher) = map { session($schema) } 1 .. 3;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_events');
	$caller->send(q{CALL procrastinate_migrate('0024')});
	$node->poll_query_until($database,
		"SELECT waiting_for IS NOT NULL AND pid = $caller->{pid} FROM procrastinate_progress")
	  or die 'it does not wait';
	$node->poll_query_until($database,
		"SELECT clock_timestamp() > xact_start + interval '1.5 s' FROM pg_stat_activity WHERE pid ="
		  . " $reader->{pid}"
	  )
	  or die 'time stands still';
	my %seen;
	$seen{
		$watcher->query(
			'SELECT revision, step, title, since, pid, waiting_for FROM procrastinate_progress') }++
	  foreach 1 .. 50;
	is( join("\n", keys %seen),
		"0024|1|add a column and a trigger to fill it|NULL|$caller->{pid}|{$reader->{pid}}",
		'a call before its first step is shown with its blocker, in pauses, too');
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on');
	is($watcher->query('SELECT count(*) FROM procrastinate_progress'), '0',
		'nothing is under way any more');
	$_->close foreach $reader, $caller, $watcher;
	return;
}

# Two calls on two schemas pause between tries.
sub progress_of_two
{
	my (%holder, %caller);
	foreach my $schema (qw(one another))
	{
		$node->safe_psql($database, "CREATE SCHEMA $schema");
		upgrade($node, $database, 24, $schema);
		($holder{$schema}, $caller{$schema}) = map { session($schema) } 1 .. 2;
		$holder{$schema}->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
		$caller{$schema}->send(q{CALL procrastinate_migrate('0025')});
	}
	my $watcher = session('one');
	$node->poll_query_until($database,
		q{SELECT count(*) = 2 FROM procrastinate_progress WHERE step = 2})
	  or die 'they do not wait';
	my %seen;
	$seen{
		$watcher->query(
			q{SELECT string_agg(schema || ' ' || coalesce(pid::text, 'nobody'), ', ' ORDER BY pid)}
			  . q{ FROM procrastinate_progress}
		) }++
	  foreach 1 .. 50;
	is( join('; ', keys %seen),
		join(
			', ',
			map    { "$_ $caller{$_}{pid}" }
			  sort { $caller{$a}{pid} <=> $caller{$b}{pid} } keys %caller),
		'each call is seen at its own schema, in its pauses, too');
	$_->query('COMMIT') foreach values %holder;
	is(($_->wait)[1], '', 'and comes to its end') foreach values %caller;
	is($watcher->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '0',
		'without a lock left');
	$_->close foreach $watcher, values %holder, values %caller;
	return;
}

# ------------------------------------------------------------------------------------------------
# procrastinate_wait()
# ------------------------------------------------------------------------------------------------

# The number of transactions that the sessions have begun, once each of them pauses in one:
# procrastinate_wait() looks in one transaction and pauses in the next.
sub transactions_of
{
	my ($watcher, @waiters) = @_;
	my @numbers;
	foreach my $waiter (@waiters)
	{
		my $number = '';
		$number = $watcher->query(<<"SQL") while $number eq '';
SELECT split_part(virtualxid, '/', 2) FROM pg_locks JOIN pg_stat_activity USING (pid)
 WHERE locktype = 'virtualxid' AND pid = $waiter->{pid} AND wait_event = 'Extension'
SQL
		push @numbers, $number;
	}
	return @numbers;
}

# A session in another database is not notified: it looks by itself only. In the same time a session
# that is woken by each of the notifications looks more often.
sub is_woken
{
	my ($waiter, $deployer) = @_;
	my $elsewhere = new_database($node);
	$node->safe_psql($elsewhere, 'CREATE SCHEMA waiting');
	my $unnotified = user_session($node, $elsewhere, 'waiting');
	$unnotified->send(q{CALL procrastinate_wait('0001', '3 min')});
	my @before = transactions_of($deployer, $waiter, $unnotified);
	my $last   = $before[0];
	foreach (1 .. 10)
	{
		$deployer->query('NOTIFY procrastinate_schema');
		my $now = $last;
		($now) = transactions_of($deployer, $waiter) while $now == $last;
		$last = $now;
	}
	my @after = transactions_of($deployer, $waiter, $unnotified);
	my ($looks, $by_itself) = map { $after[$_] - $before[$_] } 0, 1;
	cmp_ok($looks, '>', 2 * $by_itself,
		'a notification wakes a wait: it looks more often than by itself');
	$node->safe_psql($elsewhere, "SELECT pg_cancel_backend($unnotified->{pid})");
	$unnotified->wait;
	$unnotified->close;
	return;
}

sub waits
{
	$node->safe_psql($database, 'CREATE SCHEMA awaited');
	upgrade($node, $database, 26, 'awaited');
	my ($waiter, $deployer, $listener) = map { session('awaited') } 1 .. 3;
	is($waiter->refusal(q{CALL procrastinate_wait('0026')}), 'no error',
		'no wait if the schema is there already');
	is($waiter->refusal(q{CALL procrastinate_wait('0028', '10 ms')}),
		'PM014: schema "awaited" is not at 0028 in time', 'a wait ends in time');
	is($waiter->refusal(q{CALL procrastinate_wait('0028', '-178000000 years')}),
		'PM014: schema "awaited" is not at 0028 in time', 'a time that is over is none');
	is($waiter->refusal(q{CALL procrastinate_wait('2.6.0@pre', '1 min')}), 'no error',
		'nor where a release finds its part');
	is($waiter->refusal(q{CALL procrastinate_wait('nowhere')}) =~ s/:.*//r, 'PM001',
		'what is no target is refused');
	is($waiter->refusal(q{BEGIN; CALL procrastinate_wait()}) =~ s/:.*//r, '25001',
		'and so is a transaction block');
	$waiter->query('ROLLBACK');
	$deployer->query('BEGIN; LOCK TABLE procrastinate_schema_history');
	is($waiter->refusal(q{CALL procrastinate_wait('0028', '10 ms')}),
		'PM014: schema "awaited" is not at 0028 in time', 'as long as its history is locked, too');
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_wait('0028', '10 ms', 'awaited')});
	my ($query) = $err =~ /^HINT:  To see that session: (.+)$/m;
	is( $node->safe_psql($database, $query),
		"$deployer->{pid}|AccessExclusiveLock|awaited.procrastinate_schema_history",
		'and the hint finds who has it');
	$deployer->query('COMMIT');
	$deployer->query('CREATE SCHEMA gone');
	$waiter->send(q{CALL procrastinate_wait('0028', schema => 'gone')});
	wait_for($node, $database, $waiter->pauses, 'procrastinate_wait() waits');
	$deployer->query('DROP SCHEMA gone');
	is(($waiter->wait)[1], '3F000: schema "gone" has been dropped or renamed by another session',
		'a wait for a schema that is dropped ends with an error');
	$deployer->query('CREATE SCHEMA before');
	$waiter->send(q{CALL procrastinate_wait('0001', schema => 'before')});
	wait_for($node, $database, $waiter->pauses, 'procrastinate_wait() waits');
	$deployer->query(
		q{ALTER SCHEMA before RENAME TO afterwards; SELECT procrastinate_upgrade('0001',}
		  . q{ 'afterwards')}
	);
	is(($waiter->wait)[1], '', 'under a new name it is the same');
	$waiter->send(q{CALL procrastinate_wait('0002', '5 s', 'afterwards')});
	wait_for($node, $database, $waiter->pauses, 'procrastinate_wait() waits');
	$deployer->query('ALTER SCHEMA afterwards RENAME TO later');
	is(($waiter->wait)[1], 'PM014: schema "later" is not at 0002 in time', 'and is called by that');
	$deployer->query('CREATE SCHEMA alone;'
		  . ' ALTER TABLE later.procrastinate_schema_history SET SCHEMA alone');
	is(
		$waiter->refusal(q{CALL procrastinate_wait('0028', schema => 'alone')}),
		'PM009: schema "alone" has no table procrastinate_jobs, but its history says 0001',
		'where only a history is, it does not wait');
	is($waiter->query('SELECT count(*) FROM pg_listening_channels()'), '0',
		'no channel is listened to afterwards');

	$waiter->send(q{CALL procrastinate_wait('0028', '3 min', 'awaited')});
	$node->poll_query_until($database,
		"SELECT wait_event = 'Extension' AND backend_xmin IS NULL FROM pg_stat_activity WHERE pid ="
		  . " $waiter->{pid}"
	  )
	  or die 'procrastinate_wait() does not wait';
	is_woken($waiter, $deployer);

	$listener->query('LISTEN procrastinate_schema');

	# An index build would wait for a snapshot of the waiting session.
	$deployer->query('CALL procrastinate_migrate()');
	my (undef, $error) = $waiter->wait;
	is($error, '', 'the wait ends when the schema is there');
	$listener->query('SELECT 1');
	is( join(', ', $listener->notifications),
		join(', ', map { 'procrastinate_schema ' . revision_name($_) . ' awaited' } 27 .. $HEAD),
		'each change is notified with its revision and the schema');
	$_->close foreach $waiter, $deployer, $listener;
	return;
}

# ------------------------------------------------------------------------------------------------
# Notifications
# ------------------------------------------------------------------------------------------------

# Each committed change is notified, and nothing else.
sub revisions_are_notified
{
	my ($session, $listener) = map { session('told') } 1 .. 2;
	$session->query('CREATE SCHEMA told');
	$listener->query('LISTEN procrastinate_schema');
	my $heard = sub {
		return join ' ', map { s/^procrastinate_schema (\d+) told$/$1/r } $listener->notifications;
	};
	my @changes = (
		[ q{SELECT procrastinate_upgrade('0003', 'told')},          '0001 0002 0003' ],
		[ q{SELECT procrastinate_upgrade('0005')},                  '0004 0005' ],
		[ q{SELECT procrastinate_upgrade('0005')},                  '' ],
		[ q{SELECT procrastinate_upgrade('0007', dry_run => true)}, '' ],
		[ q{BEGIN; SELECT procrastinate_upgrade('0007'); ROLLBACK}, '' ],
		[ q{SELECT procrastinate_stamp('0006', verify => false)},   '0006' ],
		[ q{SELECT procrastinate_stamp('0004', verify => false)},   '0004' ],
		[ q{SELECT procrastinate_adopt()},                          '0005' ],
		[ q{SELECT procrastinate_adopt()},                          '' ],
		[ q{DROP TABLE procrastinate_schema_history; SELECT procrastinate_adopt()}, '0005' ],
		[   q{DROP SCHEMA told CASCADE; CREATE SCHEMA told;}
			  . q{ SELECT procrastinate_upgrade('head', 'told')},
			revision_name($HEAD) ]);
	foreach my $change (@changes)
	{
		my ($sql, $expected) = @$change;
		$session->query($sql);
		is($heard->(), $expected, "a listener receives '$expected': $sql");
	}
	$_->close foreach $session, $listener;
	return;
}
