# Rows of all kinds in an installation, and what they are after migrations.

package Procrastinate::Test::Rows;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(add_rows create_rows_of rows_of);

# Creates the function rows_of(schema), for rows_of() below: for each table of a schema its name, a
# hash of its rows by column names, and their number. The history is left out.
sub create_rows_of
{
	my ($node, $database) = @_;
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
	return;
}

sub rows_of
{
	my ($node, $database, $schema) = @_;
	return [ split /\n/, $node->safe_psql($database, "SELECT rows_of('$schema')") ];
}

# Rows of all kinds that a revision can hold, the same in each schema; not the time of day.
sub add_rows
{
	my ($node, $database, $schema, $revision) = @_;
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

1;
