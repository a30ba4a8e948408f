# procrastinate_migrate() by steps and procrastinate_upgrade() in one transaction end with the same
# catalog, except for the order of columns, and the same rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);

# The rows of each table of a schema, as the table's name and a hash of its rows by column names.
$node->safe_psql($database, <<'SQL');
CREATE FUNCTION rows_of(schema name) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	tab name;
BEGIN
	FOR tab IN
		SELECT relname FROM pg_class WHERE relnamespace = schema::regnamespace AND relkind = 'r'
		   AND relname <> 'procrastinate_schema_history' ORDER BY relname
	LOOP
		RETURN QUERY EXECUTE format(
			'SELECT %L || md5(string_agg(to_jsonb(r)::text, %L ORDER BY to_jsonb(r)::text))'
			' || count(*) FROM %I.%I AS r', tab, E'\n', schema, tab);
	END LOOP;
END $$;
SQL

# Rows of all kinds that a revision can hold, the same in each schema; not the time of day.
sub add_rows
{
	my ($schema, $revision) = @_;
	my @statuses = (
		qw(todo succeeded failed doing), ('cancelled') x ($revision >= 27),
		('aborting') x ($revision >= 27 && $revision < 31), ('aborted') x ($revision >= 27));
	my $statuses = join ', ', map { "'$_'" } @statuses;
	my $kinds    = @statuses;
	my %newer    = (
		queueing_lock   => [ 7,  "CASE WHEN n % 6 = 0 THEN 'queueing lock $revision ' || n END" ],
		priority        => [ 25, 'n % 7 - 3' ],
		abort_requested => [ 30, "n % $kinds > 0 AND n % 3 = 0" ],
		worker_id       => [ 32, "CASE WHEN n % $kinds = 3 THEN n % 3 + 1 END" ]);
	my @newer = grep { $newer{$_}[0] <= $revision } sort keys %newer;
	my $sql   = "SET search_path = $schema;\n";
	$sql .= <<"SQL" if $revision >= 32;
INSERT INTO procrastinate_workers (last_heartbeat) SELECT timestamptz '2020-01-01 UTC'
  FROM generate_series(1, 3);
SQL
	$sql .= <<"SQL";
ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, scheduled_at,
	attempts @{[ map { ", $_" } @newer ]})
SELECT 'queue ' || n % 5, 'task ' || n % 7, CASE WHEN n % 4 > 0 THEN 'lock $revision ' || n END,
       jsonb_build_object('n', n), ((ARRAY[$statuses])[1 + n % $kinds])::procrastinate_job_status,
       CASE WHEN n % 3 = 0 THEN timestamptz '2020-01-01 UTC' + make_interval(mins => n) END, n % 11
       @{[ map { ", $newer{$_}[1]" } @newer ]}
  FROM generate_series(1, 700) AS n;
ALTER TABLE procrastinate_jobs ENABLE TRIGGER USER;
INSERT INTO procrastinate_events (job_id, type, at)
SELECT id, 'deferred', timestamptz '2020-01-01 UTC' + make_interval(secs => id)
  FROM procrastinate_jobs ORDER BY id;
SQL
	$sql .= <<"SQL" if $revision >= 10;
INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp, job_id
       @{[ $revision >= 12 && $revision < 23 ? ', queue_name' : '' ]})
SELECT 'tick $revision ' || id, id, id @{[ $revision >= 12 && $revision < 23 ? ", 'q'" : '' ]}
  FROM procrastinate_jobs WHERE id % 50 = 0 ORDER BY id;
SQL
	$node->safe_psql($database, $sql);
	return;
}

sub same
{
	my ($online, $at_once, $revision, $label) = @_;
	is_at($node, $database, $online, $revision,
		"$label: online, the catalog is that of the revision");
	is( $node->safe_psql(
			$database,
			"SELECT count(*) FROM procrastinate_check('"
			  . revision_name($revision)
			  . "', '$online')"),
		'0',
		"$label: online, the bodies of the functions are, too");
	my @rows =
	  map { [ split /\n/, $node->safe_psql($database, "SELECT rows_of('$_')") ] } $online, $at_once;
	cmp_ok(scalar @{ $rows[0] }, '>', 1, "$label: there are tables to compare");
	return same_lines(@rows, "$label: the rows are the same");
}

# From each revision to the next.
{
	my ($online, $at_once) = qw(online_each at_once_each);
	upgrade($node, $database, 1, $_) foreach $online, $at_once;
	foreach my $revision (2 .. $HEAD)
	{
		# Rows before those that change rows, or refuse some.
		foreach my $schema ($online, $at_once)
		{
			add_rows($schema, $revision - 1) if grep { $_ == $revision } 2, 12, 24, 30, 31, 34;
		}
		my $target = revision_name($revision);
		upgrade($node, $database, $revision, $at_once);
		$node->safe_psql(
			$database,
			"SET client_min_messages = warning; CALL procrastinate_migrate('$target', '$online')");
		same($online, $at_once, $revision, $target);
	}
}

# In one call over many: what one revision builds ahead, another uses.
foreach
  my $path ([ 2, $HEAD ], [ 6, 30 ], [ 8, 12 ], [ 12, 29 ], [ 26, $HEAD ], [ 27, 28 ], [ 23, 24 ],
	[ 30, $HEAD ], [ 32, $HEAD ])
{
	my ($from,   $to)      = @$path;
	my ($online, $at_once) = map { "${_}_${from}_$to" } 'online', 'at_once';
	my ($start,  $end)     = (revision_name($from), revision_name($to));
	foreach my $schema ($online, $at_once)
	{
		upgrade($node, $database, $from, $schema);
		add_rows($schema, $from);
	}
	upgrade($node, $database, $to, $at_once);
	$node->safe_psql($database,
		"SET client_min_messages = warning; CALL procrastinate_migrate('$end', '$online')");
	same($online, $at_once, $to, "$start to $end");
}

done_testing();
