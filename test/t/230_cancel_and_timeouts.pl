# Cancel, statement_timeout and lock_timeout in every migration: the error is the server's own and
# names migration and line, nothing of the migration is left, and the next call succeeds.
#
# Each step stands still where it first waits. A session holds the tables as a writer does, which
# stops every step that takes a lock on a table for itself; the others are stopped by an event
# trigger that wants a lock which that session holds as well.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $gate     = 77;
my $node     = start_server(conf => 'max_locks_per_transaction = 256');
my $database = new_database($node);
my @chain    = chain();
my %schema_before;

set_up();
my $keeper = new_session($node, $database);
stop_steps();
interrupt('cancel',            'SELECT procrastinate_upgrade(%s, %s)');
interrupt('statement_timeout', 'SELECT procrastinate_upgrade(%s, %s)');
interrupt('lock_timeout',      'SELECT procrastinate_upgrade(%s, %s)');
go_on();
done_testing();

# ------------------------------------------------------------------------------------------------
# A schema before each step
# ------------------------------------------------------------------------------------------------

sub schema_of
{
	my ($revision) = @_;
	return 'step_' . revision_name($revision);
}

sub set_up
{
	foreach my $revision (1 .. $HEAD)
	{
		my $schema = schema_of($revision);
		$node->safe_psql($database, "CREATE SCHEMA $schema");
		upgrade($node, $database, $revision - 1, $schema) if $revision > 1;
		$node->safe_psql($database, <<"SQL")              if $revision > 1;
SET search_path = $schema;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock)
SELECT 'queue', 'task', 'lock ' || n FROM generate_series(1, 20) AS n
SQL
	}
	create_row_versions($node, $database);
	$node->safe_psql($database, <<'SQL');
CREATE FUNCTION watch.stand_still() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF tg_tag <> ALL (ARRAY['CREATE SCHEMA', 'CREATE TABLE', 'COMMENT', 'GRANT']) THEN
		PERFORM pg_advisory_xact_lock_shared(77);
	END IF;
END $$;
CREATE EVENT TRIGGER stand_still ON ddl_command_end EXECUTE FUNCTION watch.stand_still();
SQL
	%schema_before = versions();
	return;
}

# The versions of all schemas: revision of the step => what watch.row_versions() says.
sub versions
{
	my %versions = map { split /\|/ } split /\n/, $node->safe_psql(
		$database,
		'SELECT right(nspname, 4)::int, watch.row_versions(oid) FROM pg_namespace'
		  . q{ WHERE nspname ~ '^step_'});
	return %versions;
}

sub stop_steps
{
	my $tables = $keeper->query(
		q{SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c}
		  . q{ JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname ~ '^step_'}
		  . q{ AND relkind = 'r' AND relname <> 'procrastinate_schema_history'});
	$keeper->query(
		"BEGIN; LOCK TABLE $tables IN ROW EXCLUSIVE MODE;"
		  . " SELECT pg_advisory_xact_lock($gate)");
	return;
}

# ------------------------------------------------------------------------------------------------
# Interrupted
# ------------------------------------------------------------------------------------------------

# Runs the step in a psql of its own, which then tells the locks that are left.
sub start_step
{
	my ($revision, $settings, $call) = @_;
	my $left = q{SELECT 'locks left', count(*) FROM pg_locks WHERE pid = pg_backend_pid()}
	  . q{ AND (locktype NOT IN ('virtualxid', 'relation') OR relation >= 16384)};
	my $step = sprintf $call, lit(revision_name($revision)), lit(schema_of($revision));
	local $ENV{PGAPPNAME} = 'interrupted';
	my $psql = start_psql(
		$node, $database, [ "SET client_min_messages = warning; $settings", $step, $left ],
		qw(-v VERBOSITY=verbose -v SHOW_CONTEXT=always));
	$psql->{revision} = $revision;
	return $psql;
}

sub interrupt
{
	my ($how, $call) = @_;
	my %expected = (
		cancel            => '57014: canceling statement due to user request',
		statement_timeout => '57014: canceling statement due to statement timeout',
		lock_timeout      => '55P03: canceling statement due to lock timeout');

	# Long enough to get to where a step waits, on a machine that is busy; all wait side by side.
	my %settings = (
		cancel            => '',
		statement_timeout => q{SET statement_timeout = '5s'},
		lock_timeout      => q{SET lock_timeout = '100ms'});
	my ($word) = $call =~ /(upgrade)/;
	my @running = map { start_step($_, $settings{$how}, $call) } 1 .. $HEAD;
	if ($how eq 'cancel')
	{
		my $waiting = "SELECT %s FROM pg_stat_activity WHERE application_name = 'interrupted'"
		  . q{ AND wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0};
		$node->poll_query_until($database, sprintf $waiting, "count(*) = $HEAD")
		  or die 'not every step waits';
		$node->safe_psql($database, sprintf $waiting, 'pg_cancel_backend(pid)');
	}
	$_->{run}->finish foreach @running;

	my %now = versions();
	foreach my $one (@running)
	{
		my $revision = $one->{revision};
		my $label    = "$how of $word to " . revision_name($revision);
		my ($error)  = $one->{err} =~ /ERROR:  (.*)/;
		is($error, $expected{$how}, "$label: the error is the server's own");
		names_the_line($one->{err}, $revision, $label);
		is($one->{out},     "locks left|0\n",          "$label: no lock is left");
		is($now{$revision}, $schema_before{$revision}, "$label: the schema is unchanged");
	}
	return;
}

sub text_of
{
	my ($revision) = @_;
	my $file = $chain[ $revision - 1 ]{file};
	return slurp(repository() . '/src/migrations/' . revision_name($revision) . "_$file");
}

# Asserts that the context names migration and file, and a line on which a statement begins; or the
# lock that is taken before the first.
sub names_the_line
{
	my ($err, $revision, $label) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $file = $chain[ $revision - 1 ]{file};
	my $name = revision_name($revision);
	return pass("$label: the context names the lock before the migration")
	  if $err =~
	  /^(?:CONTEXT:  )?lock of procrastinate_jobs\nbefore migration $name \(\Q$file\E\)$/m;
	my ($line) = $err =~ /^(?:CONTEXT:  )?migration $name \(\Q$file\E\), line (\d+)$/m;
	ok(defined $line, "$label: the context names the migration") or diag($err);
	my @lines = split /\n/, text_of($revision);
	like(
		$lines[ ($line // 0) - 1 ], qr/^(?:ALTER|CREATE|DROP|LOCK|UPDATE) /i,
		"$label: a statement begins at the line that the context names");
	return;
}

# ------------------------------------------------------------------------------------------------
# The next attempt, and what stopped the ones before
# ------------------------------------------------------------------------------------------------

sub go_on
{
	# Steps that say so in their first lines take no lock that writers wait for: with the event
	# trigger gone they pass, and the others do not.
	$node->safe_psql($database, 'DROP EVENT TRIGGER stand_still');
	foreach my $revision (2 .. $HEAD)
	{
		my $schema    = schema_of($revision);
		my $name      = revision_name($revision);
		my ($comment) = text_of($revision) =~ /\A((?:--.*\n)+)/;
		# Files of Procrastinate's own say nothing of locks.
		next if ($comment // '') !~ /\bLocks: /;
		$comment =~ s/\n-- / /g;
		my $free = $comment =~ /\bLocks: none on tables\b/;
		my ($out, $err);
		$node->psql(
			$database, "SET client_min_messages = warning; SET lock_timeout = '100ms';"
			  . " SELECT procrastinate_upgrade('$name', '$schema')",
			stdout => \$out, stderr => \$err);
		if ($free)
		{
			is($err, '', "$name passes writers, as its first lines say");
		}
		else
		{
			like($err, qr/lock timeout/, "$name waits for writers, as its first lines say");
		}
	}
	$keeper->query('COMMIT');
	$keeper->close;
	foreach my $revision (1 .. $HEAD)
	{
		upgrade($node, $database, $revision, schema_of($revision));
		is_at(
			$node, $database, schema_of($revision), $revision,
			revision_name($revision) . ' is reached by the next attempt');
	}
	return;
}
