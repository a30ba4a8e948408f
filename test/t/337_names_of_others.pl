# A role that owns nothing of an installation, but may create in its schema, gives its objects names
# of Procrastinate's. Readers take neither much memory nor much time for them, and a change that
# needs the name refuses them before its first step.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
run_sql('CREATE ROLE eve; CREATE SCHEMA eve AUTHORIZATION eve');
my $huge_type = <<'SQL';
DO $$
BEGIN
	EXECUTE format('CREATE DOMAIN eve.huge AS text DEFAULT %L',
		(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500000) AS n));
END $$;
SQL

name_of_the_barrier($_) foreach (
	[ 'an index', 'CREATE TABLE %s.own (a int); CREATE INDEX %2$s ON %1$s.own (a)', 'DROP INDEX' ],
	[ 'a sequence',   'CREATE SEQUENCE %s.%s',                         'DROP SEQUENCE' ],
	[ 'a view',       'CREATE VIEW %s.%s AS SELECT 1 AS closed_until', 'ALTER TABLE' ],
	[ 'an enum type', q{CREATE TYPE %s.%s AS ENUM ('a')},              'ALTER TYPE' ]);
reads_little('a table with the name of an index', <<'SQL');
CREATE TABLE queue.procrastinate_jobs_lock_idx (a text);
DO $$
BEGIN
	EXECUTE format('ALTER TABLE queue.procrastinate_jobs_lock_idx ADD CHECK (a <> %L)',
		repeat('x', 5000000));
END $$;
SQL
reads_little('an enum type with the name of an index', <<'SQL');
DO $$
BEGIN
	EXECUTE (SELECT format('CREATE TYPE queue.procrastinate_jobs_priority_idx AS ENUM (%s)',
	                       string_agg(format('%L', n || repeat('x', 57)), ', '))
	           FROM generate_series(1, 200000) AS n);
END $$;
SQL
reads_little('types of arguments', $huge_type . <<'SQL');
CREATE FUNCTION queue.procrastinate_own(eve.huge) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION queue.procrastinate_finish_job(eve.huge[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION queue.procrastinate_finish_job(int) RETURNS eve.huge LANGUAGE sql AS 'SELECT $$$$';
SQL
reads_little('types of columns of a composite type', $huge_type . <<'SQL');
CREATE TYPE queue.procrastinate_jobs_lock_idx AS (a eve.huge, b eve.huge[]);
SQL
reads_little('settings of a function', <<'SQL');
DO $$
BEGIN
	EXECUTE format('CREATE FUNCTION queue.procrastinate_finish_job(int) RETURNS int LANGUAGE sql'
		' SET application_name TO %L AS $f$SELECT 1$f$',
		(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500000) AS n));
END $$;
SQL
long_signatures();
an_index_on_a_large_table();
a_table_of_the_owners();
a_rule_that_takes_long_to_print();
done_testing();

sub queue_of_superuser
{
	upgrade($node, $database, $_[0], 'queue');
	run_sql('GRANT USAGE, CREATE ON SCHEMA queue TO eve');
	return;
}

sub name_of_the_barrier
{
	my ($what, $create, $drop) = @{ $_[0] };
	queue_of_superuser(31);
	run_sql('SET ROLE eve; ' . sprintf $create, 'queue', 'procrastinate_fetch_barrier');
	my (undef, undef, $error) =
	  $node->psql($database, q{CALL procrastinate_migrate('head', schema => 'queue')});
	like($error, qr/ERROR:  role \S+ may not change the installation in schema "queue"$/m,
		"$what has the name of the fetch barrier: the call is refused");
	like($error, qr/^DETAIL:  \w+ procrastinate_fetch_barrier belongs to role eve\.$/m,
		'it is named');
	like($error, qr/^$drop queue\.procrastinate_fetch_barrier/m, 'by the HINT, too');
	is(revision_of('queue'), '0031', 'nothing has changed');
	my $worker = session('queue');
	is($worker->query('SELECT id FROM procrastinate_fetch_job_v1(NULL)'),
		'NULL', 'and workers fetch jobs');
	$worker->close;
	run_sql('DROP SCHEMA queue CASCADE');
	return;
}

# In the session's cache of the catalogs, and in what the call takes.
sub reads_little
{
	my ($what, $sql) = @_;
	queue_of_superuser('head');
	run_sql("SET ROLE eve; $sql");
	my $reader = session();
	$reader->query('SELECT count(*) FROM procrastinate_heads()');
	$reader->query(q{SELECT * FROM procrastinate_detect('queue') LIMIT 1});
	my $bytes =
	  $reader->query('SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts');
	cmp_ok($bytes, '<', 20_000_000, "$what: the session keeps little");
	like($reader->query(q{SELECT revision FROM procrastinate_detect('queue') LIMIT 1}),
		qr/^$HEAD_NAME$/, 'the revision is found');
	$reader->close;
	run_sql('DROP SCHEMA queue CASCADE; DROP OWNED BY eve; CREATE SCHEMA eve AUTHORIZATION eve');
	return;
}

# Of many functions, each printed in 6 kB.
sub long_signatures
{
	queue_of_superuser('head');
	run_sql(<<'SQL');
SET ROLE eve;
CREATE DOMAIN eve.a_type_with_a_name_that_is_as_long_as_names_can_be_in_postgresql_ AS int;
CREATE DOMAIN eve.small AS int;
DO $$
DECLARE
	name text;
	arguments text;
BEGIN
	FOREACH name IN ARRAY ARRAY['procrastinate_own', 'procrastinate_finish_job', 'lower'] LOOP
		FOR n IN 1 .. 1100 LOOP
			SELECT string_agg(CASE WHEN i < 11 AND n >> i & 1 = 1 THEN 'eve.small'
				ELSE 'eve.a_type_with_a_name_that_is_as_long_as_names_can_be_in_postgresql_' END,
				', ') INTO arguments FROM generate_series(0, 89) AS i;
			EXECUTE format(
				'CREATE FUNCTION queue.%s(%s) RETURNS int LANGUAGE sql AS $f$SELECT 1$f$',
				name, arguments);
		END LOOP;
	END LOOP;
END $$;
SQL
	cmp_ok(run_sql(q{SELECT max(length(object)) FROM procrastinate_check(schema => 'queue')}),
		'<', 300, 'long signatures are not read');
	my (undef, undef, $error) =
	  $node->psql($database,
		q{SELECT * FROM procrastinate_repair(schema => 'queue', dry_run => false)});
	cmp_ok(length($error), '<', 10_000, 'nor printed by a refusal');
	like($error, qr/^And many more\.$/m, 'which does not count them all');
	run_sql('DROP SCHEMA queue CASCADE; DROP OWNED BY eve; CREATE SCHEMA eve AUTHORIZATION eve');
	return;
}

# An index with the name of a type: the server opens its table to print it.
sub an_index_on_a_large_table
{
	queue_of_superuser('head');
	run_sql(<<'SQL');
SET ROLE eve;
CREATE TABLE queue.own (a text);
CREATE INDEX procrastinate_job_status ON queue.own (a);
DO $$
BEGIN
	EXECUTE format('ALTER TABLE queue.own ADD CHECK (a <> %L)', repeat('x', 5000000));
END $$;
SQL
	my (undef, undef, $error) =
	  $node->psql($database, q{SELECT * FROM procrastinate_detect('queue')});
	like($error, qr/ERROR:  definition of table queue\.own is too large to read$/m,
		'an index of any name of ours on a large table is not printed');
	run_sql('DROP SCHEMA queue CASCADE');
	return;
}

# A table of the owner's own with the name of the barrier's.
sub a_table_of_the_owners
{
	upgrade($node, $database, 31, 'queue');
	run_sql(q{CREATE TABLE queue.procrastinate_fetch_barrier (note text);}
		  . q{ INSERT INTO queue.procrastinate_fetch_barrier VALUES ('kept')});
	my (undef, undef, $error) =
	  $node->psql($database, q{CALL procrastinate_migrate('head', schema => 'queue')});
	like($error, qr/ERROR:  relation "procrastinate_fetch_barrier" already exists$/m,
		'a table of the owner\'s that has the name of the barrier stops the migration');
	is(run_sql('SELECT note FROM queue.procrastinate_fetch_barrier'), 'kept', 'and is kept');
	run_sql('ALTER TABLE queue.procrastinate_fetch_barrier RENAME TO own');
	upgrade($node, $database, 'head', 'queue');
	is(revision_of('queue'), $HEAD_NAME, 'under another name it is no obstacle');
	run_sql('DROP SCHEMA queue CASCADE');
	return;
}

# Of the owner: the server compares all names of columns with each other, and nothing cancels that.
sub a_rule_that_takes_long_to_print
{
	upgrade($node, $database, 'head', 'queue');
	run_sql(<<'SQL');
DO $$
DECLARE
	columns text := (SELECT string_agg(format('c%s int', n), ', ')
	                   FROM generate_series(1, 1500) AS n);
	names text := (SELECT string_agg('a', ', ') FROM generate_series(1, 1500));
BEGIN
	EXECUTE format('CREATE TABLE eve.wide (%s)', columns);
	EXECUTE format('CREATE RULE own AS ON DELETE TO queue.procrastinate_events WHERE false'
		' DO ALSO SELECT 1 FROM %s',
		(SELECT string_agg(format('eve.wide AS t%s (%s)', n, names), ', ')
		   FROM generate_series(1, 20) AS n));
END $$;
SQL
	my ($status, $out, $error) = $node->psql($database,
		q{SET statement_timeout = '5 s';}
		  . q{ SELECT actual FROM procrastinate_check(schema => 'queue')});
	is($status, 0, 'a rule that the server prints in minutes does not delay procrastinate_check()')
	  || diag($error);
	is($out, 'own AS ON DELETE TO procrastinate_events DO ALSO', 'which tells its event');
	return;
}
