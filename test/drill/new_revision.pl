# scripts/new-revision: what it refuses, without changing anything, and the steps that it writes.
#
# Run by scripts/drill, in a copy of the tree of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $tree = PostgreSQL::Test::Utils::tempdir('tree');
system_or_bail('sh', '-c', 'cd "$1" && tar -cf - scripts src test/catalog.sql | tar -C "$2" -xf -',
	'copy', repository(), $tree);
my ($pg_config) = grep { -x } map { "$_/pg_config" } split /:/, $ENV{PATH};
my $head = (chain())[-1]{revision};
my $next = sprintf '%04d', $head + 1;

# The tree's files and what they contain.
sub state_of_tree
{
	my $sum = 'cd "$1" && find src -type f -exec cksum {} +';
	my ($out) = run_command([ 'sh', '-c', $sum, 'sum', $tree ]);
	return $out;
}

# Runs the script over a migration of that name; returns its status and what it prints.
sub new_revision
{
	my ($name, $sql, @options) = @_;
	my $file = "$tree/$name";
	open(my $out, '>', $file) or die "$file: $!";
	print $out $sql;
	close $out;
	my $text = '';
	local $ENV{PG_CONFIG} = $pg_config;
	@options = ('--release', '99.99.0') if !@options;
	my @command = ("$tree/scripts/new-revision", $file, @options);
	my $is_done = IPC::Run::run(\@command, '<', \undef, '>&', \$text);
	return ($is_done, $text);
}

sub refuses
{
	my ($label, $complaint, @arguments) = @_;
	my $before = state_of_tree();
	my ($is_done, $text) = new_revision(@arguments);
	ok(!$is_done, "$label: refused");
	like($text, $complaint, "$label: says why");
	is(state_of_tree(), $before, "$label: changes nothing");
	return;
}

my $name = '99.99.00_01_pre_name.sql';
my $good = 'CREATE TABLE procrastinate_numbers (id bigint);';
refuses('a name', qr/the name is not/, 'name.sql', $good);
refuses('an old name', qr/comes before/, '00.00.00_02_name.sql', $good);
refuses('an old release', qr/not newer than/, $name, $good, '--release', '0.1.0');
refuses('no release', qr/spelled X\.Y\.Z/, $name, $good, '--release', '99.99');
refuses('an unknown works-from', qr/no revision: 9999/, $name, $good,
	'--release', '99.99.0', '--works-from', '9999');
refuses('nothing', qr/no statement/, $name, '-- nothing; at all');
refuses('a commit', qr/line 2: COMMIT would begin or end/, $name, "SELECT 1;\nCOMMIT;");
refuses('a setting', qr/line 1: SET would change/, $name, "SET search_path = x;\n$good");
refuses('a string without end', qr/line 1: a string/, $name, "SELECT 'x");
refuses('a command of psql', qr/a command of psql/, $name, "\\set x 1\n$good");
refuses('other characters', qr/printable ASCII/, $name, "-- \x{e9}\n$good");
refuses('SQL that fails', qr/does not exist/, $name, "$good\nDROP TABLE no_such_table;");

# What src/data cannot express. The label is the reason that is given, up to a colon.
my $body = q{RETURNS int LANGUAGE sql AS 'SELECT 1'};
foreach my $case (
	[ 'the name of schema public', "CREATE FUNCTION public.x() $body" ],
	[ 'the name of schema other',  'CREATE TABLE other.x (id int)' ],
	[ 'the name of schema other',
		'ALTER TABLE procrastinate_jobs ADD FOREIGN KEY (id) REFERENCES other.x' ],
	[ 'the body of a function names the schema public',
		q{CREATE FUNCTION x() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM public.x $$} ],
	[ 'INSERT of values',    "$good INSERT INTO procrastinate_numbers VALUES (1)" ],
	[ 'GRANT',               'GRANT SELECT ON procrastinate_jobs TO PUBLIC' ],
	[ 'REVOKE',              'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC' ],
	[ 'CREATE VIEW',         'CREATE VIEW x AS SELECT 1' ],
	[ 'CREATE MATERIALIZED VIEW', 'CREATE MATERIALIZED VIEW x AS SELECT 1' ],
	[ 'CREATE DOMAIN',       'CREATE DOMAIN x AS int' ],
	[ 'CREATE SEQUENCE',     'CREATE SEQUENCE x' ],
	[ 'CREATE AGGREGATE',    'CREATE AGGREGATE x (int) (SFUNC = int4pl, STYPE = int)' ],
	[ 'CREATE RULE',         'CREATE RULE x AS ON DELETE TO procrastinate_jobs DO ALSO NOTHING' ],
	[ 'CREATE POLICY',       'CREATE POLICY x ON procrastinate_jobs' ],
	[ 'CREATE EXTENSION',    'CREATE EXTENSION hstore' ],
	[ 'CREATE EVENT TRIGGER', 'CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION x()' ],
	[ 'CREATE UNLOGGED TABLE', 'CREATE UNLOGGED TABLE x (id int)' ],
	[ 'CREATE TABLE AS',     'CREATE TABLE x AS SELECT 1' ],
	[ 'CREATE PROCEDURE',    q{CREATE PROCEDURE x() LANGUAGE sql AS 'SELECT 1'} ],
	[ 'ALTER TABLE',         'ALTER TABLE procrastinate_jobs ENABLE ROW LEVEL SECURITY' ],
	[ 'the name "x" in double quotes', qq{CREATE FUNCTION "x"() $body} ],
	[ 'an argument without a name', "CREATE FUNCTION x(a int, timestamp with time zone) $body" ],
	[ 'an argument without a name', "CREATE FUNCTION x(int[]) $body" ],
	[ 'a body without quotes', 'CREATE FUNCTION x(a int) RETURNS int LANGUAGE sql RETURN 1' ],
	[ 'the name "the id"',   'ALTER TABLE procrastinate_jobs ADD COLUMN "the id" int' ],
	[ q{the label 'it''s'},  q{CREATE TYPE x AS ENUM ('it''s')} ],
	[ q{the label 'a, b'},   q{ALTER TYPE procrastinate_job_status ADD VALUE 'a, b'} ])
{
	my ($reason, $sql) = @$case;
	refuses($sql, qr/line 1: \Q$reason\E: /, $name, "$sql;");
}

# What is seen only after the migrations have run.
refuses('rows by a DO block', qr/leave rows in \S+procrastinate_numbers, and head\.sql has no rows/,
	$name, "$good DO \$\$ BEGIN INSERT INTO procrastinate_numbers VALUES (1); END \$\$;");
refuses('a privilege by a DO block', qr/change privileges of procrastinate_jobs/,
	$name, 'DO $$ BEGIN GRANT SELECT ON procrastinate_jobs TO PUBLIC; END $$;');
refuses('a view by a DO block', qr/a kind that structure\.tsv does not have: other view/,
	$name, 'DO $$ BEGIN CREATE VIEW x AS SELECT 1; END $$;');
refuses('what the build refuses', qr{would be written:\nsrc/migrations/\S+:2: uses label 'paused'},
	$name, <<'SQL');
ALTER TYPE procrastinate_job_status ADD VALUE 'paused';
DO $$ BEGIN IF false THEN PERFORM 'paused'; END IF; END $$;
SQL

# The steps of one revision.
sub steps_are
{
	my ($label, $file, $sql, $expected, $undecided) = @_;
	my ($is_done, $text) = new_revision($file, $sql);
	ok($is_done, "$label: done") or diag $text;
	my ($path) = $text =~ m{^(src/migrations/online/\d{4}\.sql)$}m;
	my $steps = defined $path ? slurp("$tree/$path") : '';
	$steps =~ s/\A--.*\n\n?//;
	is($steps, $expected, "$label: its steps");
	like($text, $undecided // qr/\A(?!.*undecided)/si, "$label: what is undecided");
	refuses("$label again", qr/in the chain already/, $file, $sql, '--release', '199.0.0');
	system_or_bail('sh', '-c', 'rm -rf "$2/src" && cd "$1" && tar -cf - src | tar -C "$2" -xf -',
		'copy', repository(), $tree);
	return;
}

steps_are('nothing that is in the way', $name, $good, '');
steps_are('a column and an index of it', $name, <<'SQL', <<"STEPS");
alter table procrastinate_jobs add column note text check (length(note) < 9); create index note_idx
on procrastinate_jobs(note);
SQL
-- step brief, barrier: add columns
-- lock procrastinate_jobs ACCESS EXCLUSIVE
alter table procrastinate_jobs
    add column note text;

-- step concurrent: build index note_idx
CREATE INDEX CONCURRENTLY note_idx
    ON procrastinate_jobs (note);

-- step brief: add constraints
-- lock procrastinate_jobs ACCESS EXCLUSIVE
ALTER TABLE procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_note_check check (length(note) < 9) NOT VALID;

-- step validated: validate constraint procrastinate_jobs_note_check
-- lock procrastinate_jobs SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_jobs VALIDATE CONSTRAINT procrastinate_jobs_note_check;
STEPS
steps_are('an index exchanged', $name, <<'SQL', <<"STEPS");
DROP INDEX procrastinate_jobs_priority_idx_v1;
CREATE INDEX procrastinate_jobs_priority_idx_v1 ON procrastinate_jobs (priority DESC, id, lock);
SQL
-- step concurrent: build index procrastinate_jobs_priority_idx_v1_$next
CREATE INDEX CONCURRENTLY procrastinate_jobs_priority_idx_v1_$next
    ON procrastinate_jobs (priority DESC, id, lock);

-- step brief: drop indexes; exchange indexes
-- lock procrastinate_jobs ACCESS EXCLUSIVE
DROP INDEX procrastinate_jobs_priority_idx_v1;
ALTER INDEX procrastinate_jobs_priority_idx_v1_$next RENAME TO procrastinate_jobs_priority_idx_v1;
STEPS
steps_are('a foreign key and NOT NULL', $name, <<'SQL', <<"STEPS");
ALTER TABLE procrastinate_events ALTER COLUMN at SET NOT NULL,
    ADD CONSTRAINT events_key FOREIGN KEY (id) REFERENCES procrastinate_jobs (id);
SQL
-- step brief: add constraints
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE, procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_at_check_$next CHECK (at IS NOT NULL) NOT VALID;
ALTER TABLE procrastinate_events
    ADD CONSTRAINT events_key FOREIGN KEY (id) REFERENCES procrastinate_jobs (id) NOT VALID;

-- step validated: validate constraint procrastinate_events_at_check_$next
-- lock procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_at_check_$next;

-- step validated: validate constraint events_key
-- lock procrastinate_jobs ROW SHARE, procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT events_key;

-- step brief: set NOT NULL
-- lock procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events
    ALTER COLUMN at SET NOT NULL;
ALTER TABLE procrastinate_events
    DROP CONSTRAINT procrastinate_events_at_check_$next;
STEPS
steps_are('a key of a new table', $name, <<'SQL', <<"STEPS");
CREATE TABLE procrastinate_notes (job_id bigint, other bigint REFERENCES procrastinate_events (id));
ALTER TABLE procrastinate_notes ADD FOREIGN KEY (job_id) REFERENCES procrastinate_jobs (id);
SQL
-- step brief: add tables; change tables
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE, procrastinate_events SHARE ROW EXCLUSIVE
-- rest
STEPS
steps_are('a column of a type that is not built in', $name, <<'SQL', <<"STEPS", qr/line 2: if the/);
CREATE TYPE procrastinate_kind AS ENUM ('a'); CREATE TYPE procrastinate_pair AS (a int, b int);
ALTER TABLE procrastinate_jobs ADD COLUMN pair procrastinate_pair;
ALTER TABLE procrastinate_jobs ADD COLUMN kind procrastinate_kind;
SQL
-- step brief, barrier: add types and columns; run statements that need a decision
-- lock procrastinate_jobs ACCESS EXCLUSIVE
CREATE TYPE procrastinate_pair AS (a int, b int);
-- undecided: line 2: if the type procrastinate_pair is a domain, the table is rewritten
ALTER TABLE procrastinate_jobs
    ADD COLUMN pair procrastinate_pair;
-- rest only CREATE TYPE procrastinate_kind, ALTER TABLE procrastinate_jobs ADD COLUMN kind
STEPS
steps_are('a function that old releases call', $name, <<'SQL', <<"STEPS", qr/old releases may use/);
DROP FUNCTION procrastinate_register_worker_v1();
SQL
-- step brief: drop functions
-- undecided: old releases may use procrastinate_register_worker_v1: check works_to in releases.tsv
-- rest
STEPS
steps_are('no object', $name, <<'SQL', '', qr/chain\.tsv: $next changes no object/);
COMMENT ON FUNCTION procrastinate_register_worker_v1() IS 'adds a worker';
SQL
{
	my $function = "$tree/99.99.00_00_pre_fetch_jobs.sql";
	open(my $out, '>', $function) or die "$function: $!";
	print $out 'CREATE FUNCTION procrastinate_fetch_job_many() RETURNS SETOF procrastinate_jobs',
	  q{ LANGUAGE sql AS 'SELECT * FROM procrastinate_jobs';};
	close $out;
	my ($is_done, $text) =
	  new_revision($name, 'ALTER TABLE procrastinate_jobs ADD COLUMN note text;',
		$function, '--release', '99.99.0');
	ok($is_done, 'a column behind a fetch function of a set: done') or diag $text;
	my ($path) = $text =~ m{^(src/migrations/online/\d{4}\.sql)$}m;
	is(defined $path ? slurp("$tree/$path") =~ s/\A.*\n\n//r : '',
		<<'STEPS', 'a column behind a fetch function of a set: its steps');
-- step brief, barrier: add columns
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- undecided: the fetch barrier cannot be put into procrastinate_fetch_job_many, which returns a set
-- rest
STEPS
	system_or_bail('sh', '-c', 'rm -rf "$2/src" && cd "$1" && tar -cf - src | tar -C "$2" -xf -',
		'copy', repository(), $tree);
}
steps_are('rows', $name, <<'SQL', <<"STEPS", qr/line 2: UPDATE/);
DO $$ BEGIN END $$;
UPDATE procrastinate_jobs SET lock = NULL;
SQL
-- step brief: run statements that need a decision
-- lock procrastinate_jobs ROW EXCLUSIVE
-- undecided: line 1: a program cannot tell what this does to clients at work
-- undecided: line 2: UPDATE changes rows of a table in use; if many, in a batched step
-- rest
STEPS

done_testing();
