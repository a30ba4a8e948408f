# The query that procrastinate_check_sql() gives finds the revision that procrastinate_detect()
# finds, also under a schema of any name, and tells differences. Scripts adopt by it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Script;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

every_revision();
differences_are_told();
scripts_adopt();
scripts_do_not_adopt();
done_testing();

# The rows of the query, run under a search_path.
sub check
{
	my ($schema, $revision, $path) = @_;
	my $query = run_sql('SELECT procrastinate_check_sql('
		  . (defined $revision ? lit($revision) : 'NULL') . ', '
		  . lit($schema)
		  . ')');
	return run_sql('SET search_path = ' . ($path // 'pg_catalog') . ";\n$query");
}

sub detected
{
	my ($schema) = @_;
	return run_sql(
		"SELECT revision || '|' || exact FROM procrastinate_detect(" . lit($schema) . ')');
}

sub every_revision
{
	foreach my $schema ('plain', 'x.procrastinate_y', $ODD_SCHEMA, q{a'b\\c})
	{
		run_sql('CREATE SCHEMA ' . name($schema));
		is(check($schema), 'base|t|||||', "$schema: an empty schema is at base");
		foreach my $revision (1 .. $HEAD)
		{
			next if $schema ne 'plain' && $revision % 9 != 2;
			upgrade($node, $database, $revision, $schema);
			my $name = revision_name($revision);
			is(check($schema),                      "$name|t|||||", "$schema: $name is found");
			is(check($schema, $name, name($schema)), "$name|t|||||",
				"$schema: under its own search_path, too");
		}
	}
	return;
}

# What is no difference for procrastinate_detect() is none for the query.
sub differences_are_told
{
	foreach my $case (
		[ 'an index of the own', 'CREATE INDEX own ON procrastinate_jobs (attempts)' ],
		[ 'a column of the own', 'ALTER TABLE procrastinate_jobs ADD own text' ],
		[ 'a setting', 'ALTER FUNCTION procrastinate_unlink_periodic_defers_v1 SET work_mem = 64' ],
		[   'a path',
			'ALTER FUNCTION procrastinate_unlink_periodic_defers_v1 SET search_path = damaged, public'
		],
		[   'another path',
			'ALTER FUNCTION procrastinate_unlink_periodic_defers_v1 SET search_path = public',
			'altered|function|procrastinate_unlink_periodic_defers_v1()'
		],
		[ 'row-level security', 'ALTER TABLE procrastinate_jobs ENABLE ROW LEVEL SECURITY' ],
		[   'a sequence that counts otherwise',
			'ALTER SEQUENCE procrastinate_jobs_id_seq INCREMENT 2'
		],
		[   'a missing index',
			'DROP INDEX procrastinate_jobs_queueing_lock_idx_v1',
			'missing|index|procrastinate_jobs_queueing_lock_idx_v1'
		],
		[   'a default',
			'ALTER TABLE procrastinate_jobs ALTER attempts DROP DEFAULT',
			'altered|column|procrastinate_jobs.attempts'
		],
		[   'a disabled trigger',
			'ALTER TABLE procrastinate_jobs DISABLE TRIGGER'
			  . ' procrastinate_jobs_notify_queue_job_inserted_v1',
			'disabled|trigger|procrastinate_jobs.procrastinate_jobs_notify_queue_job_inserted_v1'
		],
		[   'another body',
			'CREATE OR REPLACE FUNCTION procrastinate_unlink_periodic_defers_v1() RETURNS trigger'
			  . " LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
			'altered body|function|procrastinate_unlink_periodic_defers_v1()'
		],
		[   'a function of an older revision',
			'CREATE FUNCTION procrastinate_notify_queue() RETURNS trigger'
			  . " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
			'extra|function|procrastinate_notify_queue()'
		],
		[   'an overload',
			'CREATE FUNCTION procrastinate_finish_job_v1(x text) RETURNS void LANGUAGE sql'
			  . " AS 'SELECT'",
			'extra|function|procrastinate_finish_job_v1(text)'
		],
		[   'a table less',
			'DROP TABLE procrastinate_periodic_defers CASCADE',
			'missing|table|procrastinate_periodic_defers'
		])
	{
		my ($what, $statement, $finding) = @$case;
		run_sql('SET client_min_messages = warning; DROP SCHEMA IF EXISTS damaged CASCADE');
		upgrade($node, $database, $HEAD, 'damaged');
		run_sql("SET client_min_messages = warning; SET search_path = damaged; $statement");
		my ($exact) = detected('damaged') =~ /\|(\w+)$/;
		my @rows = split /\n/, check('damaged', $HEAD_NAME);
		is($rows[0] =~ /^$HEAD_NAME\|t\|/ ? 'true' : 'false',
			$exact, "$what: exact as for procrastinate_detect()");
		is($exact, defined $finding ? 'false' : 'true', "$what: it is what is expected");
		ok(scalar(grep { index($_, "$HEAD_NAME|f|$finding|") == 0 } @rows),
			"$what: the difference is told")
		  || diag(@rows)
		  if defined $finding;
	}
	return;
}

sub run_it
{
	my ($range, $schema, @more) = @_;
	return run_script($node, $database,
		script_file(script_text($node, $database, $range, $schema, @more)));
}

sub scripts_adopt
{
	foreach my $way ([ '0026:head', 'at_once' ], [ 'current:head', 'steps', 'online => true' ])
	{
		my ($range, $schema, @more) = @$way;
		upgrade($node, $database, 26, $schema);
		run_sql("DROP TABLE $schema.procrastinate_schema_history");
		my ($status, $err) = run_it($range, $schema, @more);
		is($status, 0, "$schema: a script adopts tables that have no history") || diag($err);
		like(
			$err,
			qr/NOTICE:  schema "$schema" has no history; by its catalog it is exactly at 0026/,
			"$schema: and says how it knows");
		is( run_sql("SELECT event || ' ' || to_revision FROM procrastinate_log('$schema') LIMIT 1"),
			'adopt 0026', "$schema: the history has it");
		is_at($node, $database, $schema, $HEAD, "$schema: the catalog is that of head");
	}
	upgrade($node, $database, 27, 'other_start');
	run_sql('DROP TABLE other_start.procrastinate_schema_history');
	my ($status, $err) = run_it('0026:head', 'other_start');
	is($status, 3, 'a script that starts elsewhere is refused');
	like($err, qr/ERROR:  schema "other_start" is at 0027, but this script starts at 0026/,
		'and says where the tables are');
	is( run_sql(q{SELECT to_regclass('other_start.procrastinate_schema_history') IS NULL}),
		't', 'and records nothing');
	return;
}

sub scripts_do_not_adopt
{
	foreach
	  my $way ([ '0026:head', 'no_at_once' ], [ 'current:head', 'no_steps', 'online => true' ])
	{
		my ($range, $schema, @more) = @$way;
		upgrade($node, $database, 26, $schema);
		run_sql("DROP TABLE $schema.procrastinate_schema_history;"
			  . " DROP INDEX $schema.procrastinate_jobs_queueing_lock_idx");
		my ($status, $err) = run_it($range, $schema, @more);
		is($status, 3, "$schema: tables that match no revision are refused");
		like(
			$err,
			qr/Its catalog is nearest to 0026, with 1 difference:\nmissing index/,
			"$schema: with the differences");
		my ($hint) = $err =~ /^HINT:.*?:\n(.*?;)\s*(?:\z|^CONTEXT)/ms;
		run_sql($hint);
		($status, $err) = run_it($range, $schema, @more);
		is(run_sql("SELECT event || ' ' || to_revision FROM procrastinate_log('$schema') LIMIT 1"),
			'stamp 0026', "$schema: the hint records the revision");
	}
	return;
}
