# The build stops at a mistake in a step file, and says where it is. Each case writes a step file
# for 0002, which has none, in a copy of src/ and runs the generator embed.pl on it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Procrastinate::Test::Build;
use Procrastinate::Test::Facts;
use Test::More;

my $head = (chain())[-1]{revision};
my $next = sprintf '%04d', $head + 1;

# A step file of its own for 0002, which has none.
sub write_steps
{
	my ($text) = @_;
	write_text('migrations/online/0002.sql', $text);
	edit('data/chain.tsv', qr/^0002\t.*\K\tno$/m, "\tyes");
	return;
}

sub refuses_steps
{
	my ($what, $text, $expected) = @_;
	refuses($what, sub { write_steps($text) },
		"migrations/online/0002\\.sql:$expected");
	return;
}

my $lock = "-- step brief: lock\n-- lock procrastinate_jobs";
refuses_steps('an undecided step', "$lock SHARE\n-- undecided: which lock?\n-- rest\n",
	'3: is undecided: decide, then remove this line');
refuses_steps('an unknown kind of step', "-- step quick: all\n-- rest\n",
	'1: unknown kind of step: quick');
refuses_steps('an unknown option of a step', "-- step brief, window: all\n-- rest\n",
	'1: unknown keyword: window');
refuses_steps('an unknown keyword',
	"-- step brief: all\n-- table procrastinate_jobs SHARE\n-- rest\n",
	'2: unknown keyword: table');
refuses_steps('an unknown word after rest', "-- step brief: all\n-- rest but LOCK TABLE\n",
	'2: unknown keyword: but LOCK TABLE');
refuses_steps('a step without a title',
	"-- step brief\n-- rest\n", '1: a step needs a kind and a title.*');
refuses_steps('an unknown lock mode', "$lock EXCLUSIVE SHARE\n-- rest\n",
	'2: unknown lock mode: EXCLUSIVE SHARE');
refuses_steps('an unknown table',
	"-- step brief: all\n-- lock procrastinate_job SHARE\n-- rest\n",
	'2: no fact has a table procrastinate_job at this revision or the one before');
refuses_steps('a table of a later revision',
	"-- step brief: all\n-- lock procrastinate_workers SHARE\n-- rest\n",
	'2: no fact has a table procrastinate_workers at this revision or the one before');
refuses_steps('an unknown table of a batched step',
	"-- step batched own: fill\nUPDATE own SET a = 1 WHERE id >= \$1 AND id <= \$2;\n",
	'1: no fact has a table own at this revision or the one before');
refuses_steps('a second lock', "$lock SHARE\n-- lock procrastinate_events SHARE\n-- rest\n",
	'3: a second lock in a step: .*');
refuses_steps('a lock after statements',
	"-- step brief: all\nSELECT 1;\n-- lock procrastinate_jobs SHARE\n",
	'3: a lock after statements or rest: move it up to its step');
refuses_steps('a statement before the first step', "SELECT 1;\n-- step brief: all\n-- rest\n",
	'1: a statement outside of a step');
refuses_steps('a lock before the first step',
	"-- lock procrastinate_jobs SHARE\n-- step brief: all\n-- rest\n",
	'1: -- lock outside of a step');
refuses_steps('a statement after the rest', "-- step brief: all\n-- rest\nSELECT 1;\n",
	'3: a statement outside of a step, after its rest');
refuses_steps('ahead of no number', "-- step concurrent, ahead of head: build\n",
	'1: ahead of no revision: head');
refuses_steps('ahead of an earlier revision', "-- step concurrent, ahead of 0002: build\n",
	'1: ahead of 0002, which is no later revision of the chain');
refuses_steps('ahead of a revision that is not on the chain',
	"-- step concurrent, ahead of $next: build\n",
	"1: ahead of $next, which is no later revision of the chain");
refuses_steps('a rest that names no statement',
	"-- step brief: all\n-- rest without CREATE TABLE\n",
	'2: no statement of the migration begins with: CREATE TABLE');
refuses_steps('a step that does nothing', "-- step brief: all\n-- step brief: more\n-- rest\n",
	'1: the step does nothing');
refuses_steps('a statement of a step without an end', "-- step brief: all\nSELECT 1\n-- rest\n",
	'1: the last statement of the step has no end');
refuses_steps('a string of a step without an end',
	"-- step brief: all\nSELECT 1;\n-- A comment.\n\nSELECT 'x;\n",
	'5: a string or comment that does not end');
refuses_steps('a concurrent step with two statements',
	"-- step concurrent: build\n"
	  . "CREATE INDEX CONCURRENTLY a ON procrastinate_jobs (id);\nSELECT 1;\n",
	'1: a concurrent step is one CREATE INDEX CONCURRENTLY name ON table');
refuses_steps('a batched step without its range',
	"-- step batched procrastinate_jobs: fill\nUPDATE procrastinate_jobs SET lock = NULL;\n",
	'1: a batched step is one statement over ids with id >= \$1 and id <= \$2');

# ---- Lines that almost have a keyword ------------------------------------------------------------

my $rest  = "-- step brief: all\n-- rest\n";
my $looks = 'looks like a keyword, which is spelled "-- (?:step|lock|rest)" at the beginning .*';
refuses_steps('a lock after a comment',
	"-- step brief: all\nSELECT 1;\n-- A note.\n-- lock procrastinate_jobs SHARE\nSELECT 2;\n",
	'4: a lock after statements or rest: move it up to its step');
refuses_steps('a second lock after a comment',
	"$lock SHARE\n-- A note.\n-- lock procrastinate_jobs EXCLUSIVE\nSELECT 1;\n-- rest\n",
	'4: a second lock in a step: name all tables in one line');
refuses_steps('a rest of no known kind after a comment',
	"-- step brief: all\nSELECT 1;\n-- A note.\n-- rest but nothing\n",
	'4: unknown keyword: but nothing');
refuses_steps('a keyword within a comment',
	"-- step brief: all\n-- A note:\n-- lock it.\nSELECT 1;\n-- rest\n",
	'3: not a table and a lock mode: it\\.');
refuses_steps('a keyword within the first comment', "-- Steps: first\n-- rest of it.\n$rest",
	'2: -- rest outside of a step');
foreach my $line ('-- Lock procrastinate_jobs SHARE', '--lock procrastinate_jobs SHARE',
	' -- lock procrastinate_jobs SHARE', "--\tlock procrastinate_jobs SHARE", '--  rest',
	'-- REST', '-- rest.', '-- Step brief: all', '-- step: all', '-- lock: none')
{
	refuses_steps("'$line'", "-- step brief: all\nSELECT 1;\n$line\n-- rest\n", "3: $looks");
}
foreach my $word (qw(locks Locks rests steps brief batched concurrent validated barrier ahead))
{
	refuses_steps(
		"a comment that goes on with $word",
		"-- step brief: all\n-- A note.\n-- $word procrastinate_jobs SHARE\n-- rest\n",
		"3: begins with $word, as a line of a step may: begin it with another word");
}
refuses_steps('an undecided line of another spelling', "--Undecided: all\n$rest",
	'1: is undecided: decide, then remove this line');
refuses_steps('a blank at the end of a keyword line', "-- step brief: all\n-- rest \n",
	'2: ends with a blank: remove it');

# ---- Words that are repeated or missing ----------------------------------------------------------

refuses_steps('a table that is locked twice',
	"$lock SHARE, procrastinate_jobs EXCLUSIVE\n-- rest\n",
	'2: locks procrastinate_jobs twice: name the stronger mode only');
refuses_steps('a comma at the end of the locks', "$lock SHARE,\n-- rest\n",
	'2: ends with a comma: remove it');
refuses_steps('a lock of no table', "-- step brief: all\n-- lock\n-- rest\n",
	'2: names no table: name one and a lock mode');
refuses_steps('a comma at the end of a rest', "-- step brief: all\n-- rest only CREATE,\n",
	'2: ends with a comma: remove it');
refuses_steps('two commas in a rest', "-- step brief: all\n-- rest only CREATE, , CREATE OR\n",
	'2: has two commas without a beginning of a statement: remove one');
refuses_steps('a beginning that is named twice',
	"-- step brief: all\n-- rest only CREATE, CREATE\n",
	'2: names a beginning twice: CREATE');
refuses_steps('a barrier twice', "-- step brief, barrier, barrier: all\n-- rest\n",
	'1: barrier twice: remove one');
refuses_steps('two revisions to be ahead of',
	"-- step concurrent, ahead of 0020, ahead of 0021: build\n", '1: ahead of twice: remove one');
refuses_steps('an option of another kind of step', "-- step brief, rewrites: all\n-- rest\n",
	'1: only a batched step can have: rewrites');
refuses_steps('a second rest in a step', "$rest-- rest\n",
	'3: a second rest in a step: write one list');
refuses_steps(
	'a last step that is ahead', <<'SQL',
-- step concurrent, ahead of 0020: build
CREATE INDEX CONCURRENTLY a ON procrastinate_jobs (id);
SQL
	'1: the last step completes the revision: it cannot be ahead of another');

# ---- What the steps run --------------------------------------------------------------------------

refuses_steps('a statement in two rests', "$rest$rest",
	'4: runs line 4 of 0002_\S+, which the rest in line 2 runs: leave it out of one');
refuses_steps('steps that run no statement of the migration', "-- step brief: all\nSELECT 1;\n",
	'1: no step runs line 4 of 0002_\S+: add it to a rest, or write a step that does the same');
refuses(
	'a statement that a rest leaves out and no step replaces',
	sub {
		edit('migrations/online/0008.sql', qr/(?<=CREATE UNIQUE INDEX), DROP TABLE\n/,
			", DROP TABLE, CREATE OR REPLACE FUNCTION procrastinate_fetch_job\n");
	},
	qr/migrations\/online\/0008\.sql:1: no step runs line \d+ of 0008_\S+: add it .*/);
refuses_steps(
	'a rest that runs nothing', <<'SQL',
-- step brief: all
CREATE FUNCTION procrastinate_fetch_job() RETURNS int LANGUAGE sql RETURN 1;
-- rest without CREATE
SQL
	'3: runs no statement of the migration: remove it');
foreach my $command (qw(BEGIN COMMIT ROLLBACK))
{
	refuses_steps("$command in a step", "-- step brief: all\nSELECT 1;\n$command;\n-- rest\n",
		"3: $command would begin or end a transaction, which the library does: remove it");
}
refuses_steps('a setting in a step',
	"-- step brief: all\n-- Why.\nset work_mem = '1GB';\n-- rest\n",
	'3: SET would change a setting, which the library does: remove it');
refuses_steps('a command of psql in a step', "-- step brief: all\n\\timing\n;\n-- rest\n",
	'2: a command of psql: \\\\timing; remove it');
refuses_steps(
	'an index built concurrently in a brief step', <<'SQL',
-- step brief: all
create index concurrently a on procrastinate_jobs (id);
-- rest
SQL
	'2: CONCURRENTLY cannot run in a transaction: build the index in a concurrent step');
foreach my $range ('job_id >= $1 AND id <= $2', 'id > $1 AND id <= $2', 'id >= $1 AND id < $2',
	q{id > 0 AND lock = '$1' AND id <= $2})
{
	refuses_steps("a batched step with the range $range",
		"-- step batched procrastinate_jobs: fill\n"
		  . "UPDATE procrastinate_jobs SET a = 1 WHERE $range;\n",
		'1: a batched step is one statement over ids with id >= \$1 and id <= \$2');
}

refuses(
	'an UPDATE that a batched step and a rest run',
	sub { edit('migrations/online/0030.sql', qr/^-- rest without UPDATE/m, '-- rest') },
	qr/migrations\/online\/0030\.sql:6: runs line \d+ of 0030_\S+, but a batched step changes .*/);
refuses(
	'a batched step with where in lower case',
	sub { edit('migrations/online/0030.sql', qr/^WHERE/m, 'where') },
	qr/migrations\/online\/0030\.sql:\d+: .* has one WHERE, in upper case, which begins a line/);
refuses(
	'a batched step of another table',
	sub {
		edit('migrations/online/0030.sql', qr/batched \K\w+/, 'procrastinate_events');
	},
	qr/migrations\/online\/0030\.sql:\d+: changes rows of procrastinate_jobs, but the step is .*/);
refuses_steps(
	'a statement that a longer name seems to replace', <<'SQL',
-- step brief: all
CREATE OR REPLACE FUNCTION procrastinate_fetch_job_2() RETURNS int LANGUAGE sql RETURN 1;
CREATE OR REPLACE FUNCTION procrastinate_finish_job_2() RETURNS int LANGUAGE sql RETURN 1;
SQL
	'1: no step runs line \d+ of 0002_\S+: add it to a rest, or write a step that does the same');

# ---- Indexes and tables --------------------------------------------------------------------------

refuses(
	'an index that a step and a rest create',
	sub { edit('migrations/online/0007.sql', qr/ without CREATE UNIQUE INDEX/, '') },
	qr/migrations\/online\/0007\.sql:6: runs line 7 of 0007_\S+, but a step creates \S+ too: .*/);
refuses(
	'an index that a step creates by another name, and a rest',
	sub { edit('migrations/online/0029.sql', qr/DROP INDEX\K, CREATE INDEX$/m, '') },
	qr/migrations\/online\/0029\.sql:\d+: runs line \d+ of 0029_\S+, but a step creates .* too: .*/);
refuses(
	'a lock on a table that the same step creates',
	sub {
		edit('migrations/online/0032.sql', qr/(?<=ACCESS EXCLUSIVE)\n/,
			", procrastinate_workers SHARE\n");
	},
	qr/migrations\/online\/0032\.sql:4: uses table procrastinate_workers, which no step before .*/);
refuses_steps(
	'an index whose name is taken', <<'SQL',
-- step concurrent: build
CREATE INDEX CONCURRENTLY procrastinate_jobs_queue_name_idx ON procrastinate_jobs (queue_name);
-- step brief: all
-- rest
SQL
	'2: index procrastinate_jobs_queue_name_idx is there at 0001: build it under another name, .*');
foreach my $case (
	[ 'other columns'     => qr/\(queueing_lock\)/,     '(queueing_lock, id)' ],
	[ 'no uniqueness'     => qr/UNIQUE (?=INDEX CON)/,  '' ],
	[ 'another table'     => qr/ON procrastinate_jobs/, 'ON procrastinate_events' ],
	[ 'another condition' => qr/'todo'/,                "'doing'" ])
{
	my ($what, $pattern, $replacement) = @$case;
	refuses(
		"an index with $what",
		sub { edit('migrations/online/0007.sql', $pattern, $replacement) },
		qr/migrations\/online\/0007\.sql:9: not the index of line 7 of 0007_\S+, which is a unique .*/
	);
}
refuses(
	'an index of a constraint with other columns',
	sub {
		edit('migrations/online/0021.sql', qr/periodic_id(?=, defer_timestamp\);)/, 'id');
	},
	qr/migrations\/online\/0021\.sql:\d+: not the index of line \d+ of 0021_\S+, which is .*/);
refuses(
	'an index ahead of a revision that does not build it',
	sub { edit('migrations/online/0008.sql', qr/ahead of 0020/, 'ahead of 0021') },
	qr/migrations\/online\/0008\.sql:\d+: ahead of 0021, where no step builds index \S+_idx_0020/);
refuses(
	'an index ahead of a revision that builds another one',
	sub { edit('migrations/online/0027.sql', qr/\(id, lock\)/, '(lock, id)') },
	qr/migrations\/online\/0027\.sql:\d+: not the index that a step of 0029 builds, which is .*/);

# ---- Files ---------------------------------------------------------------------------------------

refuses(
	'a step file of no revision',
	sub { write_text("migrations/online/$next.sql", $rest) },
	qr/migrations\/online\/$next\.sql:1: is named after no revision of the chain/);
foreach my $name ('0033.SQL', '33.sql', '0033_steps.sql', '0033')
{
	my $path = "migrations/online/$name";
	refuses("a step file with the name $name", sub { write_text($path, $rest) },
		qr/$path:1: unexpected name: rename the file to NNNN\.sql, or remove it/);
}

# A step file may lock a table that it creates itself, and say why in comments.
copy_source();
write_steps(<<'SQL');
-- 0002 under load: nothing but
-- tables that are locked, and statements.

-- step brief: make a table
-- Nothing else writes it:
-- it is locked all the same.
CREATE TABLE made (id bigint);

-- step brief, barrier: use: "it"
-- Both.
-- lock made SHARE, procrastinate_job_locks ROW SHARE if there
-- Rows of it.
SELECT '-- lock';
-- rest only CREATE OR REPLACE, CREATE
-- Nothing is left.

-- step concurrent, ahead of 0007: build its index
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_queueing_lock_idx
    ON procrastinate_jobs (queueing_lock) WHERE status = 'todo';

-- step batched made, rewrites: fill it
UPDATE made SET id = id
WHERE id OPERATOR(pg_catalog.>=) $1 AND id <= $2;

-- step validated: analyze it

ANALYZE made;
SQL
my ($status, $error) = generate();
is("$status $error", '0 ', 'a table that the step file creates is known, and comments are free');

# What the library gets: rows of chain::WrittenStep, and the arrays that they name.
my $embedded = copy_text('embedded.inc');
my ($rows)   = $embedded =~ /> step_table\{\{\n(.*?)^\}\};\n/ms;
my %arrays   = $embedded =~ /^inline constexpr \S+ (array_\d+)\[\] = (.*);$/mg;
my @steps    = grep { /^\.revision = 2,/ } $rows =~ /^    \{(.*?)\},$/msg;
s/\b(array_\d+)/$arrays{$1}/g, s/, (?=\.)/,\n/g foreach @steps;
is(join("\n\n", @steps) . "\n", <<'STEPS', 'steps are embedded with what their file says');
.revision = 2,
.kind = StepKind::brief,
.title = "make a table",
.sql = R"sql(-- Nothing else writes it:
-- it is locked all the same.
CREATE TABLE made (id bigint);

)sql"

.revision = 2,
.kind = StepKind::brief,
.title = "use: \"it\"",
.locks = {{"made", "SHARE"}, {"procrastinate_job_locks", "ROW SHARE", true}},
.sql = R"sql(-- Rows of it.
SELECT '-- lock';
)sql",
.rest = {Rest::only, {"CREATE OR REPLACE", "CREATE"}},
.has_barrier = true

.revision = 2,
.kind = StepKind::concurrent,
.title = "build its index",
.table = "procrastinate_jobs",
.index = "procrastinate_jobs_queueing_lock_idx",
.sql = R"sql(CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_queueing_lock_idx
    ON procrastinate_jobs (queueing_lock) WHERE status = 'todo';

)sql",
.ahead_of = 7

.revision = 2,
.kind = StepKind::batched,
.title = "fill it",
.table = "made",
.sql = R"sql(UPDATE made SET id = id
WHERE id OPERATOR(pg_catalog.>=) $1 AND id <= $2;

)sql",
.is_rewrite = true

.revision = 2,
.kind = StepKind::validated,
.title = "analyze it",
.sql = R"sql(
ANALYZE made;
)sql"
STEPS

done_testing();
