# Several sessions deploy at once: one does the work, the others wait and have nothing to do. The
# advisory lock is per schema, does not conflict with users' locks, and ends with its session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $crowd      = 16;
my $lock_class = $LOCK_KEY{installation};
my $blocker    = 77;

my $node     = start_server(conf => "synchronous_commit = on\nrestart_after_crash = on");
my $database = new_database($node);
use_database($node, $database);
my $things_in = <<'SQL';
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = %1$s::regnamespace)
     + (SELECT count(*) FROM pg_proc WHERE pronamespace = %1$s::regnamespace)
     + (SELECT count(*) FROM pg_type WHERE typnamespace = %1$s::regnamespace)
SQL

crowds();
schemas_side_by_side();
locks_of_users();
waiting();
death();
timeouts();
isolation_levels();
done_testing();

# ------------------------------------------------------------------------------------------------
# Tools
# ------------------------------------------------------------------------------------------------

sub new_schema
{
	my ($schema, $revision) = @_;
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	upgrade($node, $database, $revision, $schema) if $revision;
	return $schema;
}

sub upgrade_call
{
	my ($schema, $target) = @_;
	return 'SELECT procrastinate_upgrade(' . lit($target // 'head') . ', ' . lit($schema) . ')';
}

sub migrate_call
{
	my ($schema) = @_;
	return "CALL procrastinate_migrate('head', schema => " . lit($schema) . ')';
}

# What was recorded of whole migrations, oldest first: 'base>0001 0001>0002'.
sub history
{
	my ($schema) = @_;
	return $node->safe_psql(
		$database,
		"SELECT string_agg(from_revision || '>' || to_revision, ' ' ORDER BY id)"
		  . " FROM $schema.procrastinate_schema_history WHERE event !~ '^step '");
}

# The history of a schema that walked one by one.
sub steps
{
	my ($from, $to) = @_;
	return join ' ', map { name_of($_ - 1) . '>' . name_of($_) } $from + 1 .. $to;
}

sub name_of
{
	my ($revision) = @_;
	return $revision ? revision_name($revision) : 'base';
}

# Runs each call in a session of its own, all started at the same moment by an advisory lock.
# Returns what each psql wrote on stderr.
sub all_at_once
{
	my (@calls) = @_;
	my $keeper = session();
	$keeper->query("SELECT pg_advisory_lock($blocker)");
	my @running;
	foreach my $call (@calls)
	{
		push @running,
		  start_psql(
			$node, $database, [ "SELECT pg_advisory_lock_shared($blocker)", $call ],
			qw(-v ON_ERROR_STOP=1 -v VERBOSITY=verbose));
	}
	my $waiting = @calls;
	wait_until(
		"SELECT count(*) = $waiting FROM pg_locks"
		  . " WHERE locktype = 'advisory' AND objid = $blocker AND NOT granted",
		'all sessions wait for the advisory lock');
	$keeper->close;
	$_->{run}->finish foreach @running;
	return map { $_->{err} } @running;
}

sub errors_in
{
	return map { /(?:ERROR|FATAL):\s+(.*)/ ? $1 : () } @_;
}

# ------------------------------------------------------------------------------------------------
# Sixteen at once
# ------------------------------------------------------------------------------------------------

sub crowds
{
	my ($last_commit) = (commit_points(1, $HEAD))[-1];
	my @crowds = (
		[ 0,  'upgrade', \&upgrade_call, "base>$HEAD_NAME" ],
		[ 0,  'migrate', \&migrate_call, "base>$HEAD_NAME" ],
		[ 1,  'migrate', \&migrate_call, undef ],
		[ 26, 'migrate', \&migrate_call, undef ],
		[ $last_commit, 'upgrade', \&upgrade_call, undef ],);
	foreach my $case (@crowds)
	{
		my ($from, $how, $call, $recorded) = @$case;
		my $start  = name_of($from);
		my $label  = "$crowd sessions that $how from $start at once";
		my $schema = new_schema("${how}_from_$start", $from);
		$recorded //= steps(0, $HEAD);

		my @notes = all_at_once(($call->($schema)) x $crowd);
		is(join("\n", errors_in(@notes)), '', "$label: none fails");
		is_at($node, $database, $schema, $HEAD, "$label: the schema is at head");
		is(history($schema), $recorded, "$label: the history has each revision once");
		my $idle = grep { /is at $HEAD_NAME \(head\) already: nothing to do/ } @notes;
		is($idle, $crowd - 1, "$label: all but one find nothing to do") if $how eq 'upgrade';
		ok( (grep { /waiting for session \d+ of role \S+, which is changing schema/ } @notes) > 0,
			"$label: some get a notice that they wait")
		  if $how eq 'upgrade';
	}

	# A session that migrates lets go of the lock between two revisions. One transaction cannot
	# carry on from there until 0027 is committed, and says so.
	my $schema = new_schema('mixed', 1);
	my @notes = all_at_once(map { (upgrade_call($schema), migrate_call($schema)) } 1 .. $crowd / 2);
	my @errors = errors_in(@notes);
	my $honest = qr/^PM007:\ one\ transaction\ cannot\ upgrade\ from\ 00\d\d\ to\ $HEAD_NAME$
	  |^PM012:\ migration\ 00\d\d\ is\ under\ way\ in\ schema\ "mixed"$/x;
	is( join("\n", grep { $_ !~ $honest } @errors),
		'', 'upgrade and migrate at once: no error except that of one transaction');
	is( join("\n", errors_in(@notes[ map { 2 * $_ + 1 } 0 .. $crowd / 2 - 1 ])),
		'', 'upgrade and migrate at once: no call of procrastinate_migrate() fails');
	is_at($node, $database, $schema, $HEAD, 'upgrade and migrate at once: the schema is at head');
	my $history   = history($schema);
	my @revisions = $history =~ />(\d+)/g;
	is( scalar(grep { $revisions[$_] le $revisions[ $_ - 1 ] } 1 .. $#revisions),
		0, 'upgrade and migrate at once: the history has no revision twice');
	like(
		$history, qr/^base>(?:.*>)?$HEAD_NAME$/,
		'upgrade and migrate at once: the history ends at head');
	return;
}

# ------------------------------------------------------------------------------------------------
# Which sessions the lock concerns
# ------------------------------------------------------------------------------------------------

sub schemas_side_by_side
{
	my @held   = map { new_schema("held_$_", 0) } 0 .. 1;
	my @free   = map { new_schema("free_$_", $_ * 26) } 0 .. 1;
	my $holder = session();
	$holder->query('BEGIN');
	$holder->query(upgrade_call($_)) foreach @held;

	my $other = session();
	$other->query(q{SET lock_timeout = '10s'});
	is( $other->refusal(upgrade_call($free[0])),
		'no error', 'a schema is upgraded from base while the upgrade of another is open');
	is( $other->refusal(migrate_call($free[1])),
		'no error', 'a schema is migrated from 0026 while the upgrade of another is open');
	is_at($node, $database, $_, $HEAD, "schema $_ is at head") foreach @free;
	$holder->query('COMMIT');
	is_at($node, $database, $_, $HEAD, "schema $_ is at head") foreach @held;
	$_->close foreach $holder, $other;

	my @many    = map { new_schema("many_$_", 0) } 1 .. 4;
	my @notes   = all_at_once(map { upgrade_call($_), migrate_call($_) } @many);
	my @strange = grep { $_ !~ /^PM007/ } errors_in(@notes);
	is("@strange", '', 'four schemas are upgraded at once by two sessions each');
	is_at($node, $database, $_, $HEAD, "schema $_ is at head") foreach @many;
	return;
}

sub locks_of_users
{
	my $schema  = new_schema('users', 0);
	my $oid     = $node->safe_psql($database, "SELECT '$schema'::regnamespace::oid");
	my $user    = session();
	my $both    = $lock_class * 2**32 + $oid;
	my $turned  = $oid * 2**32 + $lock_class;
	my @one_key = (
		$oid, $lock_class, $both, $turned, 0, 1, -1,
		'9223372036854775807', '-9223372036854775808');
	my @two_keys = (
		"0, $oid", "$oid, $oid", "$oid, $lock_class", "$lock_class, 0",
		"$lock_class, $oid + 1", "$lock_class, -1", "$lock_class + 1, $oid", '0, 0', '1, 1');
	$user->query("SELECT pg_advisory_lock($_)") foreach @one_key, @two_keys;
	$user->query('BEGIN');
	$user->query("SELECT pg_advisory_xact_lock($_ + 2)")                            foreach 1 .. 20;
	$user->query("SELECT pg_advisory_xact_lock_shared($lock_class, $oid + 1 + $_)") foreach 1 .. 20;

	my $deployer = session();
	$deployer->query(q{SET lock_timeout = '10s'});
	is( $deployer->refusal(upgrade_call($schema, '0026')),
		'no error', q{users' advisory locks are not in the way of an upgrade});
	is( $deployer->refusal(migrate_call($schema)),
		'no error', q{users' advisory locks are not in the way of a migration});

	$deployer->query('BEGIN');
	$deployer->query(upgrade_call($schema));
	my $held = "FROM pg_locks WHERE locktype = 'advisory' AND pid = $deployer->{pid}";
	is( $deployer->query("SELECT classid, objid, objsubid, mode, granted $held"),
		"$lock_class|$oid|3|ExclusiveLock|t",
		q{the lock is one that no SQL function can take, and there is no other});
	$deployer->query('ROLLBACK');
	is($deployer->query("SELECT count(*) $held"), '0', 'the lock ends with the transaction');
	$_->close foreach $deployer, $user;
	return;
}

# ------------------------------------------------------------------------------------------------
# The second waits
# ------------------------------------------------------------------------------------------------

# A session that has upgraded a schema and not committed, and one that waits to do so.
sub two_sessions
{
	my ($schema, $call) = @_;
	my @two = (session(), session());
	$two[0]->query('BEGIN');
	$two[0]->query(upgrade_call($schema));
	$two[1]->send($call);
	wait_until($two[1]->waits_for_lock, 'the second session waits for the first');
	return @two;
}

sub waiting
{
	foreach my $end (qw(COMMIT ROLLBACK))
	{
		foreach my $call (\&upgrade_call, \&migrate_call)
		{
			my $how    = $call == \&upgrade_call ? 'upgrades' : 'migrates';
			my $schema = new_schema(lc "${end}_$how", 0);
			my ($first, $second) = two_sessions($schema, $call->($schema));
			$first->query($end);
			my (undef, $error) = $second->wait;
			my $label = "the second session $how after a $end of the first";
			is($error, '', "$label: it has no error");
			is_at($node, $database, $schema, $HEAD, "$label: the schema is at head");
			is(history($schema), "base>$HEAD_NAME", "$label: the work was done once");
			$_->close foreach $first, $second;
		}
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# The first session is ended
# ------------------------------------------------------------------------------------------------

sub death
{
	my $schema = new_schema('terminated', 0);
	my ($first, $second) = two_sessions($schema, upgrade_call($schema));
	$node->safe_psql($database, "SELECT pg_terminate_backend($first->{pid})");
	my ($rows, $error) = $second->wait;
	is("$rows$error", $HEAD_NAME, 'the second does the work when the first is terminated');
	is_at($node, $database, $schema, $HEAD, 'the schema is at head after the first was terminated');
	is(history($schema), "base>$HEAD_NAME", 'the history has rows of the second session only');
	$second->close;
	undef $first;

	$schema = new_schema('killed', 0);
	($first, $second) = two_sessions($schema, upgrade_call($schema));
	my $log = -s $node->logfile;
	kill 'KILL', $first->{pid};
	ok( $node->wait_for_log(qr/database system is ready to accept connections/, $log),
		'the server recovers when the first is killed');
	is( $node->safe_psql($database, sprintf $things_in, lit($schema)),
		'0', 'the schema is empty after the first was killed');
	is( $node->safe_psql($database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
		'0', 'no lock is left after the first was killed');
	is( $node->safe_psql($database, upgrade_call($schema)),
		$HEAD_NAME, 'a new session upgrades after the first was killed');
	is_at($node, $database, $schema, $HEAD, 'the schema is at head after the first was killed');
	undef $_ foreach $first, $second;
	return;
}

sub timeouts
{
	my @cases = (
		[ 'lock_timeout',      '55P03: canceling statement due to lock timeout' ],
		[ 'statement_timeout', '57014: canceling statement due to statement timeout' ],
		[ 'cancel',            '57014: canceling statement due to user request' ],);
	foreach my $case (@cases)
	{
		my ($what, $expected) = @$case;
		foreach my $call (\&upgrade_call, \&migrate_call)
		{
			my $how = $call == \&upgrade_call ? 'upgrade' : 'migrate';
			next if "$what $how" eq 'lock_timeout migrate';    # retry_for counts instead
			my $schema = new_schema("${what}_$how", 0);
			my ($first, $second) = (session(), session());
			$first->query('BEGIN');
			$first->query(upgrade_call($schema));
			$second->query("SET $what = '200ms'") if $what ne 'cancel';
			$second->send($call->($schema));
			if ($what eq 'cancel')
			{
				wait_until($second->waits_for_lock, 'the second session waits for the first');
				$node->safe_psql($database, "SELECT pg_cancel_backend($second->{pid})");
			}
			my (undef, $error) = $second->wait;
			is($error, $expected, "$what ends a waiting $how with the error of the server");
			is( $second->query(
					"SELECT count(*) FROM pg_locks WHERE pid = $second->{pid}"
					  . " AND (locktype = 'advisory' OR relation >= 16384)"),
				'0',
				"$what of a waiting $how leaves no lock");
			$first->query('ROLLBACK');
			is( $first->query(sprintf $things_in, lit($schema)),
				'0', "$what of a waiting $how leaves nothing");
			$second->query("RESET $what") if $what ne 'cancel';
			is($second->refusal($call->($schema)), 'no error', "$how succeeds after $what");
			$_->close foreach $first, $second;
		}
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# Isolation levels that do not see what the first has committed
# ------------------------------------------------------------------------------------------------

sub isolation_levels
{
	foreach my $level ('repeatable read', 'serializable')
	{
		my $tag    = $level =~ s/ /_/r;
		my $fresh  = new_schema("fresh_$tag", 0);
		my ($last_commit) = (commit_points(1, $HEAD))[-1];
		my $old    = new_schema("old_$tag", $last_commit);
		my $late   = new_schema("late_$tag",  0);
		my $first  = session();
		my $second = session();
		my $begin  = "BEGIN ISOLATION LEVEL $level";

		$second->query($begin);
		is($second->query(upgrade_call($fresh)), $HEAD_NAME, "$level may install");
		is($second->query(upgrade_call($fresh)), $HEAD_NAME,
			"$level may run an upgrade that has nothing to do");
		$second->query('COMMIT');
		is_at($node, $database, $fresh, $HEAD, "$level has installed head");

		$second->query($begin);
		like(
			$second->refusal(upgrade_call($old)),
			qr/^25001: a migration cannot run at isolation level/, "$level may not change rows");
		$second->query("ROLLBACK; SET default_transaction_isolation = '$level'");
		like(
			$second->refusal(migrate_call($old)),
			qr/^25001: /, "$level as a default may not change rows either");
		is_at($node, $database, $old, $last_commit, "$level has changed nothing");
		$second->query('RESET default_transaction_isolation');

		$first->query('BEGIN');
		$first->query(upgrade_call($late));
		$second->query("$begin; SELECT count(*) FROM pg_class");
		$second->send(upgrade_call($late));
		wait_until($second->waits_for_lock, 'the second session waits for the first');
		$first->query('COMMIT');
		my ($rows, $error) = $second->wait;
		is("$rows$error", $HEAD_NAME, "$level sees that the first has done the work meanwhile");
		$second->query('COMMIT');
		is(history($late), "base>$HEAD_NAME", "$level does not repeat the upgrade");
		$_->close foreach $first, $second;
	}
	return;
}
