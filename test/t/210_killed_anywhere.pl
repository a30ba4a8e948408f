# Cancels, terminates or kills the migrating session at its n-th command, for every n. The schema is
# at a revision, no row is lost, and the next call continues from there.
#
# An event trigger counts the commands, before and after each, and interrupts its own session. The
# session's settings crash.at (which count) and crash.how (cancel, terminate, kill) control it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $before_head = revision_name($HEAD - 1);

my $node = start_server(conf => <<'CONF');
synchronous_commit = on
restart_after_crash = on
crash.at = 0
crash.how = cancel
CONF
my $database = new_database($node);
use_database($node, $database);
$node->safe_psql($database, tools());
create_row_versions($node, $database);

# The jobs of all schemas, and what of them no revision changes.
my $rows_of = <<'SQL';
SELECT (SELECT count(*) || md5(string_agg(concat_ws('/', id, queue_name, task_name, lock, args,
	status, scheduled_at, attempts), ' ' ORDER BY id)) FROM %1$s.procrastinate_jobs)
	|| (SELECT count(*) || md5(string_agg(concat_ws('/', id, job_id, type, at), ' ' ORDER BY id))
	FROM %1$s.procrastinate_events)
SQL

cancelled_in_steps();
cancelled_in_one_transaction();
terminated();
killed();
done_testing();

# ------------------------------------------------------------------------------------------------
# Tools
# ------------------------------------------------------------------------------------------------

sub tools
{
	return <<'SQL';
CREATE SCHEMA crash;
CREATE SEQUENCE crash.counter;
CREATE FUNCTION crash.strike() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	self int := pg_backend_pid();
BEGIN
	-- A worker that builds an index has the setting of the server.
	IF current_setting('crash.at') = '0' THEN
		RETURN;
	END IF;
	IF nextval('crash.counter') <> current_setting('crash.at')::bigint THEN
		RETURN;
	END IF;
	CASE current_setting('crash.how')
		WHEN 'cancel' THEN PERFORM pg_cancel_backend(self);
		WHEN 'terminate' THEN PERFORM pg_terminate_backend(self);
		WHEN 'kill' THEN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || self);
	END CASE;
	PERFORM pg_sleep(60);
END $$;

CREATE EVENT TRIGGER before ON ddl_command_start EXECUTE FUNCTION crash.strike();
CREATE EVENT TRIGGER after ON ddl_command_end EXECUTE FUNCTION crash.strike();
SQL
}

# Settings for a run that is interrupted at the count, 0: never.
sub strike
{
	my ($at, $how) = @_;
	return "SELECT setval('crash.counter', 1, false); SET crash.at = $at; SET crash.how = $how";
}

# A schema at a revision of the tables, with rows in them.
sub new_schema
{
	my ($schema, $revision) = @_;
	my $session = session();
	$session->query("CREATE SCHEMA $schema");
	if ($revision)
	{
		$session->query("SELECT procrastinate_upgrade('0001', '$schema')");
		$session->query("SET search_path = $schema");
		insert_many($session, 300);
		$session->query("CALL public.procrastinate_migrate('" . revision_name($revision) . "')");
	}
	$session->close;
	return $schema;
}

sub rows_of
{
	my ($session, $schema) = @_;
	return $session->query(sprintf $rows_of, $schema);
}

sub versions_of
{
	my ($session, $schema) = @_;
	return $session->query("SELECT watch.row_versions('$schema')");
}

# How much of the way is recorded: migrations and steps.
sub done
{
	my ($session, $schema) = @_;
	return $session->query("SELECT count(*) FROM procrastinate_log('$schema')");
}

sub migrate_call
{
	my ($schema) = @_;
	return "CALL procrastinate_migrate('head', '$schema')";
}

sub upgrade_call
{
	my ($schema, $target) = @_;
	return "SELECT procrastinate_upgrade('$target', '$schema')";
}

# ------------------------------------------------------------------------------------------------
# Cancelled at each command
# ------------------------------------------------------------------------------------------------

sub cancelled_in_steps
{
	my $schema  = new_schema('in_steps', 0);
	my $session = session();
	my ($at, $strikes, $done) = (1, 0, 0);
	my ($before, $rows) = (versions_of($session, $schema), undef);
	my %strange;
	for (;;)
	{
		# To head from base would be one step.
		my $call =
		  $done ? migrate_call($schema) : "CALL procrastinate_migrate('0001', '$schema')";
		$session->query(strike($at, 'cancel'));
		my $error = $session->refusal($call);
		$session->query('RESET crash.at');
		last if $error eq 'no error' && $done;
		$strikes++ if $error ne 'no error';
		$strange{$error}++
		  if $error !~ /^(?:no error|57014: canceling statement due to user request)$/;

		my $now = done($session, $schema);
		if ($now == $done)
		{
			# Nothing of the step, not even a row changed and changed back.
			$strange{"after $done steps, strike $at"}++
			  if versions_of($session, $schema) ne $before;
			$at++;
			next;
		}

		# Struck in a later step: those before it are done.
		is_as_recorded($node, $database, $schema, "cancelled after $now steps");
		($at, $done) = (1, $now);
		add_rows($schema) if !defined $rows;
		$rows //= rows_of($session, $schema);
		is( rows_of($session, $schema),
			$rows, "no row is lost after $now steps");
		$before = versions_of($session, $schema);
	}
	is(join(', ', sort keys %strange), '', "$strikes cancels: the step at hand leaves nothing");
	cmp_ok($strikes, '>', 300, 'every command was cancelled, before and after it ran');
	is_at($node, $database, $schema, $HEAD, 'the schema reaches head after all cancels');
	is(rows_of($session, $schema), $rows, 'no row is lost by all cancels');
	is( $session->query(
			"SELECT count(*) || ' ' || count(DISTINCT to_revision)"
			  . " FROM $schema.procrastinate_schema_history WHERE event !~ '^step '"),
		"$HEAD $HEAD",
		'the history has each revision once after all cancels');
	$session->close;
	return;
}

sub add_rows
{
	my ($schema) = @_;
	$node->safe_psql($database, <<"SQL");
SET search_path = $schema;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock)
SELECT 'queue', 'task ' || n, 'lock ' || n FROM generate_series(1, 100) AS n
SQL
	return;
}

sub cancelled_in_one_transaction
{
	# A start that the tables have rows at, and base; the whole chain, and head at once.
	my @cases =
	  ([ 0, $before_head, 7 ], [ 0, $HEAD_NAME, 1 ], [ 27, $HEAD_NAME, 2 ], [ 1, '0026', 3 ]);
	foreach my $case (@cases)
	{
		my ($from, $target, $stride) = @$case;
		my $label   = 'cancelled in one transaction from ' . revision_name($from) . " to $target";
		my $schema  = new_schema("at_once_${from}_$target", $from);
		my $session = session();
		my $before  = versions_of($session, $schema);
		my $rows    = $from ? rows_of($session, $schema) : undef;
		my ($at, $strikes) = (1, 0);
		my %strange;

		for (;;)
		{
			$session->query(strike($at, 'cancel'));
			my $error = $session->refusal(upgrade_call($schema, $target));
			$session->query('RESET crash.at');
			last if $error eq 'no error';
			$strikes++;
			$strange{$error}++       if $error ne '57014: canceling statement due to user request';
			$strange{"strike $at"}++ if versions_of($session, $schema) ne $before;
			$at += $stride;
		}
		is(join(', ', sort keys %strange), '', "$label: nothing changes by $strikes cancels");
		cmp_ok($strikes, '>', 30, "$label: many commands were cancelled");
		is_at($node, $database, $schema, int $target, "$label: the last call reaches the target");
		is(rows_of($session, $schema), $rows, "$label: no row is lost") if $from;
		$session->close;
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# Terminated, killed
# ------------------------------------------------------------------------------------------------

# Runs a call in a session of its own, to be interrupted. Returns what psql prints, once the server
# takes connections again. Not just any connection: until it knows of the kill it takes them, too.
sub struck
{
	my ($at, $how, $call) = @_;
	my ($out, $err);
	my $log = -s $node->logfile;
	$node->psql(
		$database, strike($at, $how) . ";\n$call", stderr => \$err, stdout => \$out,
		on_error_stop => 1);
	$node->wait_for_log(qr/database system is ready to accept connections/, $log)
	  if $how eq 'kill';
	return $err;
}

# Interrupts a call at a spread of commands, and asserts the state of the schema each time.
sub run_path
{
	my ($how, $schema, $call, $end, $complaint, @spread) = @_;
	my $session = session();
	my $rows    = rows_of($session, $schema);
	$session->close;
	foreach my $at (@spread)
	{
		$session = session();
		my $from   = done($session, $schema);
		my $before = versions_of($session, $schema);
		$session->close;

		like(struck($at, $how, $call), $complaint, "$how at command $at takes effect");
		$session = session();
		my $now = done($session, $schema);
		cmp_ok($now, '>=', $from, "$how at command $at: the history does not go back");
		is(versions_of($session, $schema), $before, "$how at command $at: nothing has changed")
		  if $now == $from;
		is_as_recorded($node, $database, $schema, "$how at command $at");
		is(rows_of($session, $schema), $rows, "$how at command $at: no row is lost");
		$session->close;
	}
	$session = session();
	is($session->refusal($call), 'no error', "$how: a last attempt succeeds");
	is_at($node, $database, $schema, $end, "$how: the schema reaches its target");
	is(rows_of($session, $schema), $rows, "$how: no row is lost in the end");
	$session->close;
	return;
}

sub terminated
{
	my $complaint = qr/terminating connection due to administrator command/;
	my $steps     = new_schema('terminated_steps', 1);
	run_path(
		'terminate', $steps, migrate_call($steps), $HEAD, $complaint,
		map { int(1 + $_**1.9) % 60 + 1 } 1 .. 16);
	my $whole = new_schema('terminated_whole', 28);
	run_path(
		'terminate', $whole, upgrade_call($whole, '0038'), 38, $complaint,
		map { 1 + 15 * $_ } 0 .. 8);
	return;
}

sub killed
{
	my $complaint = qr/server closed the connection unexpectedly/;
	my $steps     = new_schema('killed_steps', 1);
	run_path(
		'kill', $steps, migrate_call($steps), $HEAD, $complaint,
		1, 4, 13, 22, 31, 6, 27, 40, 9, 50);
	my $whole = new_schema('killed_whole', 28);
	run_path('kill', $whole, upgrade_call($whole, '0038'), 38, $complaint, 2, 37, 80, 140);

	# From nothing: nothing is left, not even a history.
	my $empty = new_schema('killed_empty', 0);
	foreach
	  my $case ([ $before_head, 1 ], [ $before_head, 90 ], [ $before_head, 250 ], [ 'head', 60 ])
	{
		my ($target, $at) = @$case;
		like(
			struck($at, 'kill', upgrade_call($empty, $target)),
			$complaint, "kill at command $at on the way from base to $target");
		is( $node->safe_psql(
				$database,
				"SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass"
				  . " AND refobjid = '$empty'::regnamespace"),
			'0',
			"kill at command $at on the way from base to $target leaves the schema empty");
	}
	like(
		$node->safe_psql($database, strike(0, 'kill') . ";\n" . upgrade_call($empty, 'head')),
		qr/^$HEAD_NAME$/m, 'kill: a last attempt from base succeeds');
	is_at($node, $database, $empty, $HEAD, 'kill: the schema reaches head from base');
	return;
}
