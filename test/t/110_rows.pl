# Rows of an existing schema during an upgrade: from every revision, one step and on to head, no row
# is lost, and none changes other than as the migration intends.
#
# What a row should become is written down here, revision by revision, as an expression over the
# row's JSON. It is worked out before the upgrade, kept in a schema of its own, and compared with
# the rows found afterwards. A column that no expression names and that src/data has at one of the
# two revisions only is left out of the comparison; if it is new, it must have its default.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $JOBS = 2400;

my $node     = start_server(conf => "shared_buffers = 64MB\nwork_mem = 32MB");
my $database = new_database($node);

foreach my $start (0 .. $HEAD - 1)
{
	subtest 'rows of revision ' . revision_name($start) => sub { upgraded_from($start) };
}
done_testing();

# ------------------------------------------------------------------------------------------------
# Every start
# ------------------------------------------------------------------------------------------------

sub upgraded_from
{
	my ($start) = @_;
	my $schema  = "from $start";
	my $next    = $start + 1;
	my @stops   = ($next);
	push @stops, $HEAD if $next < $HEAD;

	upgrade($node, $database, $start, $schema)                    if $start > 0;
	$node->safe_psql($database, 'CREATE SCHEMA ' . name($schema)) if $start == 0;
	my $session = new_session($node, $database, $schema);
	fill($session, $start) if $start > 0;
	my %sequences = sequences($session);

	my @looked_at = $next < $HEAD ? ($next, $HEAD) : ($HEAD);
	keep($session, $start, $_) foreach $start > 0 ? @looked_at : ();
	foreach my $stop (@stops)
	{
		upgrade($node, $database, $stop == $HEAD ? 'head' : $stop, $schema);
		next if not grep { $_ == $stop } @looked_at;
		my $at = 'at ' . revision_name($stop);
		is_at($node, $database, $schema, $stop, "the structure is right $at");
		next if $start == 0;
		is(lost_or_changed($session, $start, $stop), '', "all rows are as expected $at");
		is(without_default($session, $start, $stop),
			'', "other new columns have their defaults $at");
		my %now = sequences($session);
		is_deeply(
			{ map { $_ => $now{$_} } grep { exists $now{$_} } keys %sequences },
			{ map { $_ => $sequences{$_} } grep { exists $now{$_} } keys %sequences },
			"sequences keep their values $at");
	}
	is( $session->query('SELECT count(*) FROM procrastinate_jobs'),
		'0', 'an upgrade of an empty schema adds no jobs')
	  if $start == 0;
	if ($start > 0)
	{
		cmp_ok(
			$session->query('SELECT count(*) FROM procrastinate_jobs'),
			'==', $JOBS + 2, 'no job is lost');
		like(
			$session->query(
				q{INSERT INTO procrastinate_jobs (queue_name, task_name)}
				  . q{ VALUES ('q', 't') RETURNING id}),
			qr/^\d+$/,
			'a new job gets an id that is free');
	}
	$session->close;
	$node->safe_psql(
		$database,
		'SET client_min_messages = warning; DROP SCHEMA IF EXISTS kept CASCADE; DROP SCHEMA '
		  . name($schema)
		  . ' CASCADE');
	return;
}

# Fills every table of the revision. Triggers are off, so that the rows are exactly these.
sub fill
{
	my ($session, $at) = @_;
	my @statuses = grep { $at < 31 or $_ ne 'aborting' } statuses($at);
	my $statuses = join ', ', map { lit($_) } @statuses;
	my $busy     = q{status IN ('doing', 'aborting')};
	my %job      = (
		id         => 'g',
		queue_name => q{CASE g % 5 WHEN 0 THEN repeat('x', 128) ELSE 'queue ' || g % 5 END},
		task_name  => q{CASE g % 7 WHEN 0 THEN '' ELSE 'module.task_' || g % 7 END},
		lock       => qq{CASE WHEN $busy AND g % 3 > 0 THEN 'lock ' || g}
		  . q{ WHEN g % 3 = 1 THEN 'lock ' || g % 40 WHEN g % 30 = 2 THEN '' END},
		args => q{jsonb_build_object('n', g, 'text', E'caf\u00e9 "\\\\" ' || g, 'deep',}
		  . q{ '{"a": [1, null, {"b": 1.50}], "big": 123456789012345678901234567890.5}'::jsonb)},
		status       => 'status::procrastinate_job_status',
		scheduled_at => q{CASE g % 6 WHEN 0 THEN '2020-01-01'::timestamptz}
		  . q{ + g * interval '1.000001 s' WHEN 1 THEN '2999-12-31' WHEN 2 THEN 'infinity' END},
		attempts => 'g % 4',);
	$job{lock}       = "coalesce($job{lock}, 'own lock ' || g)" if $at < 8;
	$job{started_at} = q{CASE WHEN g % 2 = 0 THEN '2021-01-01'::timestamptz}
	  . q{ + g * interval '1 s' END}
	  if $at < 3;
	$job{queueing_lock} = q{CASE WHEN g % 2 = 0 THEN 'queueing lock ' || g WHEN status <> 'todo'}
	  . q{ THEN 'queueing lock' END}
	  if $at >= 7;
	$job{priority}        = '(g % 7 - 3) * 1000000'                                    if $at >= 25;
	$job{abort_requested} = q{status <> 'todo' AND (g % 3 = 0 OR status = 'aborting')} if $at >= 30;
	$job{worker_id}       = q{CASE WHEN status <> 'todo' AND g % 4 > 0 THEN 1 + g % 20 END}

	  if $at >= 32;
	my $columns = join ', ', sort keys %job;
	my $values  = join ', ', map { $job{$_} } sort keys %job;

	$session->query("SET session_replication_role = replica");
	$session->query(
		'INSERT INTO procrastinate_workers (id, last_heartbeat)'
		  . q{ OVERRIDING SYSTEM VALUE SELECT g, '2024-01-01'::timestamptz + g * interval '1 h'}
		  . ' FROM generate_series(1, 20) AS g')
	  if $at >= 32;
	$session->query(
		"INSERT INTO procrastinate_jobs ($columns) SELECT $values FROM"
		  . " (SELECT g, (ARRAY[$statuses])[1 + g % @{[ scalar @statuses ]}] AS status FROM"
		  . " (SELECT generate_series(1, $JOBS) UNION VALUES (2147483647), (3000000000)) AS n (g)"
		  . ') AS j');

	# Two events a job of every type, some without a type or a time. Before 0024 they cannot point
	# to the job whose id is no integer.
	my $far  = $at < 24 ? 'WHERE id <= 2147483647' : '';
	my $null = 'NULL::procrastinate_job_event_type';
	$session->query(
		'INSERT INTO procrastinate_events (job_id, type, at)'
		  . " SELECT id, (enum_range($null) || $null)"
		  . "[1 + (id + n) % (1 + cardinality(enum_range($null)))],"
		  . q{ CASE WHEN id % 50 > 0 THEN '2022-02-02'::timestamptz + id * interval '0.1 s' END}
		  . " FROM procrastinate_jobs, generate_series(1, 2) AS n $far");
	fill_periodic($session, $at) if $at >= 10;
	$session->query(
		'INSERT INTO procrastinate_job_locks'
		  . q{ SELECT 'lock ' || g FROM generate_series(1, 9) AS g})
	  if $at < 8;
	$session->query(
		'INSERT INTO procrastinate_version (name, version)'
		  . q{ VALUES ('procrastinate', '0.5')})
	  if $at < 4;
	$session->query("SELECT setval('procrastinate_jobs_id_seq', 3000000000)");
	$session->query('RESET session_replication_role');
	return;
}

sub fill_periodic
{
	my ($session, $at) = @_;
	my %record = (
		task_name       => q{'periodic ' || g % 9},
		defer_timestamp => 'CASE WHEN g % 100 > 0 THEN 1600000000 + g * 60::bigint END',
		job_id          => 'CASE WHEN g % 4 > 0 THEN g END');
	$record{queue_name}  = q{'queue ' || g % 3} if $at >= 12 and $at < 21;
	$record{queue_name}  = q{CASE WHEN g % 2 = 0 THEN 'queue ' || g % 3 END} if $at =~ /^2[12]$/;
	$record{periodic_id} = q{CASE WHEN g % 2 = 0 THEN 'id ' || g % 3 ELSE '' END} if $at >= 21;
	my $columns = join ', ', sort keys %record;
	my $values  = join ', ', map { $record{$_} } sort keys %record;
	$session->query(
		"INSERT INTO procrastinate_periodic_defers ($columns)"
		  . " SELECT $values FROM generate_series(1, 600) AS g");
	return;
}

# ------------------------------------------------------------------------------------------------
# What rows should become: by table, the query that turns the rows of the start, as JSON, into
# those of the stop
# ------------------------------------------------------------------------------------------------

# [ revision, table, what it does to a row ]
sub changes
{
	return (
		[ 3,  'jobs',            q{r - 'started_at'} ],
		[ 7,  'jobs',            q{r || '{"queueing_lock": null}'} ],
		[ 12, 'periodic_defers', q{r || '{"queue_name": "undefined"}'} ],
		[ 21, 'periodic_defers', q{r || '{"periodic_id": ""}'} ],
		[ 23, 'periodic_defers', q{r - 'queue_name'} ],
		[ 25, 'jobs',            q{r || '{"priority": 0}'} ],
		[ 30, 'jobs', q{r || jsonb_build_object('abort_requested', r ->> 'status' = 'aborting')} ],
		[   31, 'jobs', q{CASE WHEN r ->> 'status' = 'aborting'}
			  . q{ THEN r || '{"status": "doing", "abort_requested": true}' ELSE r END} ],
		[ 32, 'jobs', q{r || '{"worker_id": null}'} ]);
}

# The changes of rows on the way from one revision to another.
sub changes_between
{
	my ($from, $to) = @_;
	return grep { $from < $_->[0] and $_->[0] <= $to } changes();
}

# The definitions of the tables' columns at a revision: table => column => what follows the name.
sub columns_at
{
	my ($revision) = @_;
	my %columns;
	foreach my $fact (grep { $_->{kind} eq 'column' } facts_at($revision))
	{
		my ($table, $column, $rest) = $fact->{definition} =~ /^(\w+)\.(\S+) (.*)$/;
		$columns{$table}{$column} = $rest;
	}
	return %columns;
}

# The columns that a table has at one revision and not at another, except those that changes()
# name.
sub unnamed
{
	my ($table, $has, $lacks, @changes) = @_;
	my $expressions = join "\n", map { $_->[2] }
	  grep { "procrastinate_$_->[1]" eq $table } @changes;
	return grep { !exists $lacks->{$_} and $expressions !~ /['"]\Q$_\E['"]/ } sort keys %$has;
}

sub projections
{
	my ($from, $to) = @_;
	my @changes = changes_between($from, $to);
	my %before  = columns_at($from);
	my %after   = columns_at($to);
	my %query;
	foreach my $table (grep { $after{$_} } sort keys %before)
	{
		my $query = "SELECT to_jsonb(t) AS r FROM $table t";
		foreach my $change (grep { "procrastinate_$_->[1]" eq $table } @changes)
		{
			$query = "SELECT $change->[2] AS r FROM ($query) AS before_$change->[0]";
		}
		my @columns = unnamed($table, $before{$table}, $after{$table}, @changes);
		my @gone    = map { ' - ' . lit($_) } @columns;
		$query{$table} = "SELECT r @gone AS r FROM ($query) AS named";
	}
	return %query;
}

# Keeps what the rows should be at the stop.
sub keep
{
	my ($session, $from, $to) = @_;
	my %query = projections($from, $to);
	my $sql   = 'CREATE SCHEMA IF NOT EXISTS kept;'
	  . " CREATE UNLOGGED TABLE kept.at_$to (relation text, r jsonb);\n";
	foreach my $table (sort keys %query)
	{
		$sql .= "INSERT INTO kept.at_$to SELECT '$table', r FROM ($query{$table}) AS rows;\n";
	}
	$session->query('SET client_min_messages = error');
	$session->query($sql);
	return;
}

# Compares the rows with what was kept: '' or counts and the first rows that differ.
sub lost_or_changed
{
	my ($session, $from, $at) = @_;
	my %before  = columns_at($from);
	my %after   = columns_at($at);
	my @changes = changes_between($from, $at);
	my $tables = $session->query(
		q{SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'r'}
		  . q{ AND relnamespace = quote_ident(current_schema())::regnamespace}
		  . q{ AND relname !~ '^procrastinate_schema_history'});
	my @found;
	foreach my $table (split / /, $tables)
	{
		my @new = unnamed($table, $after{$table}, $before{$table} // $after{$table}, @changes);
		my $new = join '', map { ' - ' . lit($_) } @new;
		push @found, "SELECT '$table' AS relation, to_jsonb(t)$new AS r FROM $table t";
	}
	my $found = join ' UNION ALL ', @found;
	return $session->query(<<"SQL");
WITH found AS MATERIALIZED ($found),
lost AS (SELECT * FROM kept.at_$at EXCEPT ALL SELECT * FROM found),
extra AS (SELECT * FROM found EXCEPT ALL SELECT * FROM kept.at_$at),
line AS (
    SELECT format('%s: %s rows should be, %s are', relation, k.n, f.n)
      FROM (SELECT relation, count(*) AS n FROM kept.at_$at GROUP BY 1) AS k
      FULL JOIN (SELECT relation, count(*) AS n FROM found GROUP BY 1) AS f USING (relation)
     WHERE k.n IS DISTINCT FROM f.n
    UNION ALL (SELECT format('%s should be %s', relation, r) FROM lost ORDER BY r -> 'id' LIMIT 3)
    UNION ALL (SELECT format('%s is %s', relation, r) FROM extra ORDER BY r -> 'id' LIMIT 3))
SELECT * FROM line
SQL
}

# The new columns, which changes() do not name, that have other values than their constant defaults.
sub without_default
{
	my ($session, $from, $at) = @_;
	my %before  = columns_at($from);
	my %after   = columns_at($at);
	my @changes = changes_between($from, $at);
	my @wrong;
	foreach my $table (grep { $after{$_} } sort keys %before)
	{
		foreach my $column (unnamed($table, $after{$table}, $before{$table}, @changes))
		{
			next if $after{$table}{$column} =~ / generated /;
			my ($default) = $after{$table}{$column} =~ / default (.*)$/;
			$default //= 'NULL';
			next if $default =~ s/'(?:[^']|'')*'//gr =~ /\(/;    # a function
			my $count = $session->query("SELECT count(*) FROM $table"
				  . " WHERE ($column)::text IS DISTINCT FROM ($default)::text");
			push @wrong, "$table.$column: $count" if $count != 0;
		}
	}
	return join "\n", @wrong;
}

# The last values of the sequences.
sub sequences
{
	my ($session) = @_;
	return map { split /\|/, $_, 2 } split /\n/,
	  $session->query(
		'SELECT sequencename, last_value FROM pg_sequences'
		  . ' WHERE schemaname = current_schema()'
		  . q{ AND sequencename !~ '^procrastinate_schema_history'});
}
