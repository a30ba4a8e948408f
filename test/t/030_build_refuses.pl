# The build stops at a mistake in the facts or the migrations, and says where it is. Each case
# breaks one thing in a copy of src/ and runs the generator embed.pl on it.

use strict;
use warnings;

use FindBin;
use lib map { "$FindBin::RealBin/../$_" } qw(perl ../src/embed);

use Functions;
use Labels;
use Procrastinate::Test::Build;
use Procrastinate::Test::Facts;
use Sql;
use Test::More;

my $head = (chain())[-1]{revision};
my $next = sprintf '%04d', $head + 1;

copy_source();
my ($status, $error) = generate();
is("$status $error", '0 ', 'the files as they are build');
cmp_ok(length copy_text('embedded.inc'), '>', 100_000, 'into C++ tables');

# ---- The chain -----------------------------------------------------------------------------------

my $title = "$next\t$head\t99.00.00_01_new.sql\tNew\t\tno\n";
my $file  = "migrations/${next}_99.00.00_01_new.sql";

refuses('a row without a file', sub { append('data/chain.tsv', $title) },
	qr/data\/chain\.tsv:\d+: there is no file $file/);
refuses('a file without a row', sub { write_text($file, "SELECT 1;\n") },
	qr/$file:1: chain\.tsv has no row for this file/);
refuses(
	'a migration without facts',
	sub {
		append('data/chain.tsv', $title);
		write_text($file, "SELECT 1;\n");
	},
	qr/$file:1: neither structure\.tsv nor function_bodies\.tsv changes at $next/);
refuses(
	'a head.sql of another revision',
	sub {
		append('data/chain.tsv', $title =~ s/\n/\tonly rows change\n/r);
		edit('data/chain.tsv', qr/\tsteps\n/, "\tsteps\twithout_facts\n");
		write_text($file, "SELECT 1;\n");
	},
	qr/data\/head\.sql:1: is not of revision $next, the last one of the chain: run make facts/);
refuses('a gap in the chain', sub { edit('data/chain.tsv', qr/^0007/m, '0070') },
	qr/data\/chain\.tsv:8: the chain is not one line of revisions/);
refuses('an unknown phase', sub { edit('data/chain.tsv', qr/\tpre\t/, "\tbefore\t") },
	qr/data\/chain\.tsv:31: unknown phase: before/);
refuses('a statement without an end',
	sub { append("migrations/0003_00.05.00_02_drop_started_at_column.sql", "SELECT 1\n") },
	qr/migrations\/0003_\S+:5: the statement has no end/);
refuses('a string without an end',
	sub { append("migrations/0003_00.05.00_02_drop_started_at_column.sql", "SELECT 'x;\n") },
	qr/migrations\/0003_\S+:5: a string or comment that does not end/);
refuses(
	'a string without an end in a DO block',
	sub {
		append("migrations/0028_02.08.00_01_add_additional_params_to_retry_job.sql",
			"DO \$\$\nBEGIN PERFORM 'x; END \$\$;\n");
	},
	qr/migrations\/0028_\S+:\d+: a string or comment that does not end/);
refuses('a character that is not ASCII',
	sub { append("migrations/0003_00.05.00_02_drop_started_at_column.sql", "-- \xe9\n") },
	qr/migrations\/0003_\S+:5: holds byte 0xe9: only printable ASCII and tabs can be embedded/);
refuses('a byte order mark',
	sub { edit("migrations/0003_00.05.00_02_drop_started_at_column.sql", qr/^/, "\xef\xbb\xbf") },
	qr/migrations\/0003_\S+:1: holds a byte order mark: only printable ASCII and tabs can be .*/);
refuses('the end of a raw string literal',
	sub { append("migrations/0003_00.05.00_02_drop_started_at_column.sql", "-- )sql\"\n") },
	qr/migrations\/0003_\S+:5: holds \)sql", which ends a raw string literal/);
refuses('a release of no revision', sub { edit('data/releases.tsv', qr/\t0004\t/, "\t9999\t") },
	qr/data\/releases\.tsv:5: head is no revision of the chain: 9999/);
refuses(
	'a label that its own revision uses',
	sub {
		append('migrations/0027_02.06.00_01_add_cancel_states.sql',
			"UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'aborted';\n");
	},
	qr/migrations\/0027_\S+:\d+: uses label 'aborted' of procrastinate_job_\w+, which the same .*/);

refuses(
	'a label that a DO block adds',
	sub {
		edit('migrations/0027_02.06.00_01_add_cancel_states.sql',
			qr/^ALTER TYPE procrastinate_job_status .* 'aborted' .*$/m,
			q{DO $$ BEGIN ALTER TYPE procrastinate_job_status ADD VALUE 'aborted'; END $$;});
	},
	qr/migrations\/0027_\S+:\d+: a DO block adds a label: write ALTER TYPE \.\.\. ADD VALUE .*/);

# Labels that are not added by ALTER TYPE ... ADD VALUE can be used at once.
{
	my @chain = map {
		my $sql = $_;
		+{ number => 0, path => 'chain', statements => [ Sql::statements($sql) ] }
	} q{CREATE TYPE state AS ENUM ('old', 'stays');}, <<'SQL';
ALTER TYPE state RENAME VALUE 'old' TO 'new';
SELECT 'new'::state;
ALTER TYPE state RENAME TO other;
CREATE TYPE state AS ENUM ('fresh');
SELECT 'fresh'::state;
ALTER TYPE other add value 'more';
SQL
	$chain[$_]{number} = $_ + 1 foreach 0, 1;
	my @facts = map { +{ kind => 'enum', name => $_->[0], first => $_->[1], labels => $_->[2] } }
	  [ 'state', 1, [qw(old stays)] ], [ 'state', 2, [qw(fresh)] ],
	  [ 'other', 1, [qw(old stays)] ], [ 'other', 2, [qw(new stays more)] ];
	is(join(' ', map { "$_->{type} $_->{label} $_->{used_by}" } Labels::added(\@chain, \@facts)),
		'other more 0', 'a label that is renamed, or of a new type, needs no commit');
}

# ---- chain.tsv and releases.tsv -----------------------------------------------------------------

refuses('a reason of a single blank',
	sub {
		edit('data/chain.tsv', qr/\tsteps\n/, "\tsteps\twithout_facts\n");
		edit('data/chain.tsv', qr/\tInitial\t\tno\n/, "\tInitial\t\tno\t \n");
	},
	qr/data\/chain\.tsv:2: without_facts begins or ends with a blank: remove it/);
refuses('a phase that the file name does not have',
	sub { edit('data/chain.tsv', qr/\tpre\t/, "\tpost\t") },
	qr/data\/chain\.tsv:31: phase is 'post', but the file's name says 'pre': make them the same/);
refuses('a phase of a file name without one',
	sub { edit('data/chain.tsv', qr/\tInitial\t\t/, "\tInitial\tpre\t") },
	qr/data\/chain\.tsv:2: phase is 'pre', but the file's name says '': make them the same/);
refuses('a step file that was removed', sub { remove('migrations/online/0024.sql') },
	qr/data\/chain\.tsv:25: there is no file migrations\/online\/0024\.sql, though steps is yes/);
refuses('a step file that the chain does not know',
	sub { write_text('migrations/online/0002.sql', "-- step brief: all\n-- rest\n") },
	qr/data\/chain\.tsv:3: there is a file migrations\/online\/0002\.sql, though steps is no/);
refuses('an unknown word for steps', sub { edit('data/chain.tsv', qr/\tyes\n/, "\tmany\n") },
	qr/data\/chain\.tsv:\d+: steps is yes or no, not: many/);
refuses('an empty title', sub { edit('data/chain.tsv', qr/\tInitial\t/, "\t\t") },
	qr/data\/chain\.tsv:2: has no title: write the words of the file name/);
refuses('a release that is there twice',
	sub { edit('data/releases.tsv', qr/^(?=0\.4\.0\t)/m, "0.4.0\t0001\t0001\t0002\n") },
	qr/data\/releases\.tsv:4: release 0\.4\.0 is there twice: remove one row/);
refuses('releases out of order',
	sub { edit('data/releases.tsv', qr/^0\.9\.0/m, '0.11.0') },
	qr/data\/releases\.tsv:11: release 0\.10\.0 is older than the one before: sort the rows/);
foreach my $name (qw(v3.9 3.9 3.9.0a 3.09.0))
{
	refuses("a release spelled $name", sub { edit('data/releases.tsv', qr/^3\.9\.0/m, $name) },
		qr/data\/releases\.tsv:\d+: no release: $name; spell it X\.Y\.Z/);
}

refuses('a release row that was removed',
	sub { edit('data/releases.tsv', qr/^3\.1\.0\t.*\n/m, '') },
	qr/data\/releases\.tsv:1: has no row for release 3\.1\.0, which ships 0032_\S+/);
refuses('a release with the head of another one',
	sub { edit('data/releases.tsv', qr/^3\.3\.0\t0036/m, "3.3.0\t0035") },
	qr/data\/releases\.tsv:\d+: head of 3\.3\.0 is 0035, but its last file is 0036_\S+/);

# ---- The SQL of migrations -----------------------------------------------------------------------

my $third = 'migrations/0003_00.05.00_02_drop_started_at_column.sql';
foreach my $command (qw(BEGIN COMMIT END ROLLBACK))
{
	refuses("$command in a migration", sub { append($third, "-- Why.\n$command;\n") },
		qr/$third:6: $command would begin or end a transaction, which the library does: remove it/);
}
refuses('a setting in a migration', sub { append($third, "set search_path = public;\n") },
	qr/$third:5: SET would change a setting, which the library does: remove it/);
refuses('a command of psql in a migration', sub { append($third, "\\set x 1\n;\n") },
	qr/$third:5: a command of psql: \\set; remove it/);
refuses('an index built concurrently in a migration',
	sub { append($third, "CREATE INDEX CONCURRENTLY a ON procrastinate_jobs (id);\n") },
	qr/$third:5: CONCURRENTLY cannot run in a transaction: .*/);
my %create = (
	'function made' => 'create or replace function Made() RETURNS int LANGUAGE sql RETURN 1',
	'table made'    => 'CREATE TABLE IF NOT EXISTS made (id bigint)',
	'type made'     => "CREATE TYPE made AS ENUM ('a')",
	'index made'    => 'CREATE UNIQUE INDEX made ON procrastinate_jobs (id)',
	'sequence made' => 'CREATE SEQUENCE made',
	'trigger made'  =>
	  'CREATE TRIGGER made AFTER INSERT ON procrastinate_jobs EXECUTE FUNCTION f()',
	# It is gone from 0004 on.
	'table procrastinate_version' => 'CREATE TABLE procrastinate_version (id bigint)');
my $fifth = 'migrations/0005_00.06.00_01_fix_procrastinate_fetch_job.sql';
foreach my $object (sort keys %create)
{
	refuses("a migration that creates $object", sub { append($fifth, "$create{$object};\n") },
		qr/$fifth:\d+: creates $object, which structure\.tsv does not have at 0005: run make facts/);
}
foreach my $name ('0039.SQL', 'x.sql', '0039_name.sql.orig', '0039_name')
{
	my $path = "migrations/$name";
	refuses("a migration with the name $name", sub { write_text($path, "SELECT 1;\n") },
		qr/$path:1: unexpected name: rename the file to NNNN_name\.sql, or remove it/);
}

# ---- head.sql ------------------------------------------------------------------------------------

my $changed = qr/data\/head\.sql:5: the text below was changed or cut after it .*: run make facts/;
refuses('a head.sql that is cut',
	sub { edit('data/head.sql', qr/\n\nCREATE FUNCTION.*/s, "\n") },
	$changed);
refuses('a head.sql without an object',
	sub { edit('data/head.sql', qr/\nCREATE INDEX [^;]*;\n/, '') }, $changed);
refuses('a head.sql that was edited', sub { append('data/head.sql', "-- A note.\n") }, $changed);
refuses('a head.sql without checksums',
	sub { edit('data/head.sql', qr/^-- Checksum of the .*\n/m, '') },
	qr/data\/head\.sql:2: has no checksums: run make facts/);
refuses('an empty head.sql', sub { write_text('data/head.sql', '') },
	qr/data\/head\.sql:1: is not of revision \d+, the last one of the chain: run make facts/);
refuses('a migration that changed after the facts', sub { append($third, "SELECT 1;\n") },
	qr/data\/head\.sql:2: the migrations were changed after this file .*: run make facts/);

my $again = 'was changed after it had been generated: run make facts';
refuses('a type that was changed in the facts',
	sub { edit('data/structure.tsv', qr/(?<=procrastinate_jobs\.priority )integer/, 'bigint') },
	qr/data\/structure\.tsv:1: $again/);
refuses('a fact that was removed',
	sub { edit('data/structure.tsv', qr/^\d+\t\tindex\t.*\n/m, '') },
	qr/data\/structure\.tsv:1: $again/);
refuses('a hash that was changed',
	sub { edit('data/function_bodies.tsv', qr/[0-9a-f]{32}\n/, '0' x 32 . "\n") },
	qr/data\/function_bodies\.tsv:1: $again/);
refuses('a function body that was removed',
	sub { edit('data/function_bodies.tsv', qr/^\d+\t\t.*\n/m, '') },
	qr/data\/function_bodies\.tsv:1: $again/);

# ---- The facts -----------------------------------------------------------------------------------

my $first = "0001\t\ttable\tprocrastinate_events";
refuses('an unknown kind',
	sub { edit('data/structure.tsv', qr/\ttable\t/, "\tthing\t") },
	qr/data\/structure\.tsv:2: unknown kind: thing/);
refuses('a definition that does not read so',
	sub {
		edit('data/structure.tsv', qr/\tprocrastinate_events\n/,
			"\tprocrastinate_events as view\n");
	},
	qr/data\/structure\.tsv:2: a table is not defined so: procrastinate_events as view/);
refuses('a revision that is not on the chain',
	sub { edit('data/structure.tsv', qr/^0001\t\ttable/m, "0001\t9999\ttable") },
	qr/data\/structure\.tsv:2: last is no revision of the chain: 9999/);
refuses('a fact that ends before it begins',
	sub { edit('data/structure.tsv', qr/^0001\t\ttable/m, "0005\t0004\ttable") },
	qr/data\/structure\.tsv:2: ends before it begins/);
refuses('two facts of one object',
	sub { append('data/structure.tsv', "$first\n") },
	qr/data\/structure\.tsv:\d+: two facts of table procrastinate_events hold at one revision/);
refuses('a field too few', sub { edit('data/structure.tsv', qr/^0001\t\t/m, "0001\t") },
	qr/data\/structure\.tsv:2: has 3 fields instead of 4/);
refuses('a body of an unknown function',
	sub { append('data/function_bodies.tsv', "0001\t\tf()" . "\t${\('0' x 32)}" x 2 . "\n") },
	qr/data\/function_bodies\.tsv:\d+: structure\.tsv has no function f\(\)/);
refuses('a function that no migration creates',
	sub { append('data/structure.tsv', "0001\t\tfunction\tf() returns void language sql\n") },
	qr/migrations\/0001_\S+:1: no CREATE FUNCTION makes f\(\), which src\/data has from this .*/);

my $body = 'procrastinate_fetch_job(target_queue_names character varying[])';
refuses('two of our bodies at a revision',
	sub { append('data/function_bodies.tsv', "0001\t0001\t$body" . "\t${\('0' x 32)}" x 2 . "\n") },
	qr/data\/function_bodies\.tsv:\d+: a second row of \Q$body\E at 0001: remove one/);
refuses('an upstream body twice',
	sub {
		my ($row) = copy_text('data/upstream_bodies.tsv') =~ /^(0002\t0004\t.*\n)/m;
		append('data/upstream_bodies.tsv', $row);
	},
	qr/data\/upstream_bodies\.tsv:\d+: a second row of \Q$body\E at 0002: remove one/);
refuses('an upstream body after its function has gone',
	sub { edit('data/upstream_bodies.tsv', qr/^0029\t0030\t/m, "0029\t0031\t") },
	qr/data\/upstream_bodies\.tsv:\d+: structure\.tsv has no function \Q$body\E at 0031: .*/);

refuses('a body that no migration makes',
	sub { edit('data/function_bodies.tsv', qr/^0005\t(?=\d+\t\Q$body\E)/m, "0006\t") },
	qr/migrations\/0006_\S+:1: no CREATE FUNCTION makes \Q$body\E, which src\/data has from .*/);
{
	my @facts = map {
		my ($name, $types) = /^(\w+)\((.*)\)$/;
		my %fact = (kind => 'function', name => $name, key => $_, signature => "$name: $types");
		+{ %fact, first => 1, last => 1, file => 'structure.tsv' }
	} 'made(integer)', 'made(timestamp without time zone[])', 'made(character varying, numeric)';
	my $sql = <<'SQL';
CREATE FUNCTION Made(a /* (int AS 'x' */ timestamp (3)[]) RETURNS int
    SET x.y = 'AS ''x'', RETURN ' -- AS 'x'
    LANGUAGE sql AS $$ SELECT 1 $$;
create or replace function "made"(a int4 default 1) returns table (return int) return 2;
CREATE FUNCTION made(a VARCHAR(20) DEFAULT 'AS $', b dec(3, 2)) RETURNS int
BEGIN ATOMIC SELECT 3; END;
SQL
	my %migration = (number => 1, path => 'chain', statements => [ Sql::statements($sql) ]);
	my @sources = Functions::sources([ \%migration ], \@facts, []);
	is(join('', map { "$_->{signature} $_->{body}\n" } @sources),
		<<'SOURCES', 'overloads and bodies are found whatever their spelling');
made: timestamp without time zone[] AS $$ SELECT 1 $$
made: integer return 2
made: character varying, numeric BEGIN ATOMIC SELECT 3; END
SOURCES
}

# An empty last means as long as the function exists.
my $cancel = 'procrastinate_cancel_job(job_id bigint, abort boolean, delete_job boolean)';
copy_source();
edit('data/upstream_bodies.tsv', qr/^0027\t0030\t(?=\Q$cancel\E)/m, "0027\t\t");
($status, $error) = generate();
is("$status $error", '0 ', 'an upstream body without a last revision builds');
like(copy_text('embedded.inc'), qr/\{27, 30, "\Q$cancel\E", /, 'it ends with its function');

done_testing();
