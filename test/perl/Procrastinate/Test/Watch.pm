# Waiting for events, and evidence that something has or has not changed: calls of functions,
# versions of rows, lists of lines.

package Procrastinate::Test::Watch;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

use Procrastinate::Test::Facts;

our @EXPORT =
  qw(all_called called_before create_row_versions held_locks same_lines wait_for wait_for_build
  wait_for_step);

# The test files call all functions up to this revision. A release that scripts/new-revision adds
# may bring others, which they do not know yet: test 100 prints these. Once the files call the
# functions of a later revision, it stands here.
our $CALLED_UP_TO = 38;

# Which test file looks at which functions: each function of structure.tsv belongs to one subject.
our %SUBJECT = (
	fetch         => qr/^procrastinate_fetch_job/,
	finish        => qr/^procrastinate_(?:finish|retry|cancel)_job/,
	defer         => qr/^procrastinate_defer_job/,
	periodic      => qr/^procrastinate_defer_periodic_job/,
	triggers      => qr/^procrastinate_(?:trigger_|unlink_|sync_)/,
	notifications => qr/^procrastinate_notify_/,
	workers       => qr/^procrastinate_(?:register_|unregister_|update_heartbeat|prune_)/,);

# How often the functions of the session's schema were called so far: signature => count.
sub called_before
{
	my ($session) = @_;
	$session->query('SELECT pg_stat_force_next_flush()');
	my $calls = $session->query(
		q{SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', f.calls}
		  . q{ FROM pg_stat_user_functions f JOIN pg_proc p ON p.oid = f.funcid}
		  . q{ WHERE p.pronamespace = quote_ident(current_schema())::regnamespace});
	return { map { split /\|/, $_, 2 } split /\n/, $calls };
}

# Asserts that every function of this subject that lives at the revision was called since then.
sub all_called
{
	my ($session, $before, $subject, $revision) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $now = called_before($session);
	my %is_known = map { $_ => 1 } map { structure($_) } 1 .. $CALLED_UP_TO;
	my @missed;
	foreach my $line (grep { /^function / && $is_known{$_} } structure($revision))
	{
		my ($signature) = $line =~ /^function (.*?\)) returns /;
		next if $signature !~ $SUBJECT{$subject};
		push @missed, $signature if ($now->{$signature} // 0) == ($before->{$signature} // 0);
	}
	return is(join("\n", @missed), '', "every function of this revision about $subject was called");
}

# Waits until the query's value is true. Dies with `what` after the test's timeout.
sub wait_for
{
	my ($node, $database, $query, $what) = @_;
	$node->poll_query_until($database, $query) or die "waited in vain until $what";
	return;
}

# Waits until the worker that builds an index waits for a lock.
sub wait_for_build
{
	my ($node, $database) = @_;
	return wait_for(
		$node, $database,
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'}
		  . q{ AND wait_event_type = 'Lock'},
		'a build waits');
}

# Waits until a step is the last row of the log.
sub wait_for_step
{
	my ($node, $database, $schema, $step) = @_;
	return wait_for($node, $database,
		"SELECT event = 'step $step' FROM procrastinate_log('$schema') ORDER BY id DESC LIMIT 1",
		"step $step is done");
}

# Returns the strongest lock of a process on each table of the schema, as procrastinate_plan()
# writes it, sorted by table. Without the history, tables that are not committed, and ACCESS SHARE.
sub held_locks
{
	my ($session, $schema, $pid) = @_;
	return split /\n/, $session->query(<<"SQL");
SELECT DISTINCT ON (c.relname)
       upper(trim(regexp_replace(replace(l.mode, 'Lock', ''), '([A-Z])', ' \\1', 'g')))
           || ' on ' || c.relname
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
 WHERE l.pid = $pid AND l.granted AND l.mode <> 'AccessShareLock'
   AND c.relnamespace = '$schema'::regnamespace AND c.relkind = 'r'
   AND c.relname NOT IN ('procrastinate_schema_history', 'procrastinate_fetch_barrier')
 ORDER BY c.relname, array_position('{RowShareLock, RowExclusiveLock,
       ShareUpdateExclusiveLock, ShareLock, ShareRowExclusiveLock, ExclusiveLock,
       AccessExclusiveLock}', l.mode) DESC
SQL
}

# Compares two lists of lines and shows only the lines that differ.
sub same_lines
{
	my ($got, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $same = @$got == @$expected;
	my @shown;
	foreach my $i (0 .. ($#$got > $#$expected ? $#$got : $#$expected))
	{
		my ($left, $right) = ($got->[$i] // '(nothing)', $expected->[$i] // '(nothing)');
		push @shown, "     got: $left\nexpected: $right" if $left ne $right;
	}
	my $result = ok($same && !@shown, $name);
	diag(join "\n", @shown > 12 ? (@shown[ 0 .. 11 ], '...') : @shown) if !$result;
	return $result;
}

# Creates the function watch.row_versions(schema): a hash of the versions of all rows of the
# schema's tables and of its rows in the catalog. It is the same if nothing was changed, or changed
# back.
sub create_row_versions
{
	my ($node, $database) = @_;
	$node->safe_psql($database, <<'SQL');
CREATE SCHEMA watch;
CREATE FUNCTION watch.row_versions(in_schema regnamespace) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	place record;
	part text;
	result text := '';
BEGIN
	FOR place IN
		SELECT * FROM (VALUES
			('pg_class', 'relnamespace = %1$s'),
			('pg_proc', 'pronamespace = %1$s'),
			('pg_type', 'typnamespace = %1$s'),
			('pg_constraint', 'connamespace = %1$s'),
			('pg_enum', 'enumtypid IN (SELECT oid FROM pg_type WHERE typnamespace = %1$s)'),
			('pg_attribute', 'attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = %1$s)'),
			('pg_index', 'indexrelid IN (SELECT oid FROM pg_class WHERE relnamespace = %1$s)'),
			('pg_trigger', 'tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = %1$s)')
		) AS catalog (name, condition)
		UNION ALL
		SELECT * FROM (SELECT oid::regclass::text, 'true' FROM pg_class
			WHERE relnamespace = in_schema AND relkind = 'r' ORDER BY oid) AS own
	LOOP
		EXECUTE format('SELECT string_agg(ctid::text || xmin, '' '' ORDER BY ctid) FROM %2$s WHERE '
			|| place.condition, in_schema::oid, place.name) INTO part;
		result := concat(result, place.name, part);
	END LOOP;
	RETURN md5(result);
END $$;
SQL
	return;
}

1;
