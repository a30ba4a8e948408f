# scripts/new-revision: the steps that it writes, and what it leaves undecided.
#
# Run by scripts/drill, in a copy of the tree of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::NewRevision;

set_up();

my $check = 'check works_to in releases.tsv';
my $may_violate = qr/old releases may violate/;

steps_are('nothing that is in the way', 'CREATE TABLE procrastinate_numbers (id bigint);', '');
steps_are('a column and an index of it', <<'SQL', <<"STEPS");
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
steps_are('an index exchanged', <<'SQL', <<"STEPS");
DROP INDEX procrastinate_jobs_test_idx;
CREATE INDEX procrastinate_jobs_test_idx ON procrastinate_jobs (priority DESC, id, lock);
SQL
-- step concurrent: build index procrastinate_jobs_test_idx_$NEXT
CREATE INDEX CONCURRENTLY procrastinate_jobs_test_idx_$NEXT
    ON procrastinate_jobs (priority DESC, id, lock);

-- step brief: drop indexes; exchange indexes
-- lock procrastinate_jobs ACCESS EXCLUSIVE
DROP INDEX procrastinate_jobs_test_idx;
ALTER INDEX procrastinate_jobs_test_idx_$NEXT RENAME TO procrastinate_jobs_test_idx;
STEPS
steps_are('a foreign key and NOT NULL', <<'SQL', <<"STEPS", $may_violate);
ALTER TABLE procrastinate_events ALTER COLUMN at SET NOT NULL,
    ADD CONSTRAINT events_key FOREIGN KEY (id) REFERENCES procrastinate_jobs (id);
SQL
-- step brief: add constraints
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE, procrastinate_events ACCESS EXCLUSIVE
-- undecided: old releases may violate procrastinate_events.at, events_key: $check
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_at_check_$NEXT CHECK (at IS NOT NULL) NOT VALID;
ALTER TABLE procrastinate_events
    ADD CONSTRAINT events_key FOREIGN KEY (id) REFERENCES procrastinate_jobs (id) NOT VALID;

-- step validated: validate constraint procrastinate_events_at_check_$NEXT
-- lock procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_at_check_$NEXT;

-- step validated: validate constraint events_key
-- lock procrastinate_jobs ROW SHARE, procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT events_key;

-- step brief: set NOT NULL
-- lock procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events
    ALTER COLUMN at SET NOT NULL;
ALTER TABLE procrastinate_events
    DROP CONSTRAINT procrastinate_events_at_check_$NEXT;
STEPS
steps_are('a key of a new table', <<'SQL', <<"STEPS");
CREATE TABLE procrastinate_notes (job_id bigint, other bigint REFERENCES procrastinate_events (id));
ALTER TABLE procrastinate_notes ADD FOREIGN KEY (job_id) REFERENCES procrastinate_jobs (id);
SQL
-- step brief: add tables; change tables
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE, procrastinate_events SHARE ROW EXCLUSIVE
-- rest
STEPS
steps_are('a column of a type that is not built in', <<'SQL', <<"STEPS", qr/line 2: if the/);
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
steps_are('a function that old releases call', <<'SQL', <<"STEPS", qr/old releases may use/);
DROP FUNCTION procrastinate_test_v1();
SQL
-- step brief: drop functions
-- undecided: old releases may use procrastinate_test_v1: check works_to in releases.tsv
-- rest
STEPS
steps_are('no object', <<'SQL', '', qr/chain\.tsv: $NEXT changes no object/);
COMMENT ON FUNCTION procrastinate_test_v1() IS 'adds a worker';
SQL
steps_are('rows', <<'SQL', <<"STEPS", qr/line 2: UPDATE/);
DO $$ BEGIN END $$;
UPDATE procrastinate_jobs SET lock = NULL;
SQL
-- step brief: run statements that need a decision
-- lock procrastinate_jobs ROW EXCLUSIVE
-- undecided: line 1: a program cannot tell what this does to clients at work
-- undecided: line 2: UPDATE changes rows of a table in use; if many, in a batched step
-- rest
STEPS

steps_are('an index with a long predicate', <<'SQL', <<"STEPS");
CREATE INDEX note_idx ON procrastinate_jobs
(queue_name, task_name) WHERE queue_name OPERATOR(pg_catalog.<>) 'a' AND lock IS NOT NULL;
SQL
-- step concurrent: build index note_idx
CREATE INDEX CONCURRENTLY note_idx
    ON procrastinate_jobs (queue_name, task_name)
    WHERE queue_name OPERATOR(pg_catalog.<>) 'a' AND lock IS NOT NULL;
STEPS

# ---- Indexes beside what they replace ------------------------------------------------------------

steps_are('a unique index of a new column instead of another', <<'SQL', <<"STEPS", $may_violate);
ALTER TABLE procrastinate_jobs ADD COLUMN tenant text NOT NULL DEFAULT '';
DROP INDEX procrastinate_jobs_test_key;
CREATE UNIQUE INDEX procrastinate_jobs_tenant_key ON procrastinate_jobs (lock, tenant);
SQL
-- step brief, barrier: add columns
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- undecided: old releases may violate procrastinate_jobs_tenant_key: $check
-- rest only ALTER TABLE

-- step concurrent: build index procrastinate_jobs_tenant_key
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_tenant_key
    ON procrastinate_jobs (lock, tenant);

-- step brief: drop indexes
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest only DROP INDEX
STEPS
steps_are('a unique index of a new column by the same name', <<'SQL', <<"STEPS", $may_violate);
ALTER TABLE procrastinate_jobs ADD COLUMN tenant text NOT NULL DEFAULT '';
DROP INDEX procrastinate_jobs_test_key;
CREATE UNIQUE INDEX procrastinate_jobs_test_key ON procrastinate_jobs (lock, tenant);
CREATE OR REPLACE FUNCTION procrastinate_test_v1() RETURNS int LANGUAGE sql AS 'SELECT 2';
SQL
-- step brief, barrier: add columns
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- undecided: old releases may violate procrastinate_jobs_test_key: $check
-- rest only ALTER TABLE

-- step concurrent: build index procrastinate_jobs_test_key_$NEXT
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_test_key_$NEXT
    ON procrastinate_jobs (lock, tenant);

-- step brief: drop indexes; exchange indexes; replace functions
-- lock procrastinate_jobs ACCESS EXCLUSIVE
DROP INDEX procrastinate_jobs_test_key;
ALTER INDEX procrastinate_jobs_test_key_$NEXT RENAME TO procrastinate_jobs_test_key;
-- rest only CREATE OR REPLACE FUNCTION
STEPS
steps_are('a unique constraint on a new column by the same name', <<'SQL', <<"STEPS", $may_violate);
ALTER TABLE procrastinate_events ADD COLUMN tenant text NOT NULL DEFAULT '';
ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_test_key;
ALTER TABLE procrastinate_events ADD CONSTRAINT procrastinate_events_test_key UNIQUE (id, tenant);
SQL
-- step brief: add columns
-- lock procrastinate_events ACCESS EXCLUSIVE
-- undecided: old releases may violate procrastinate_events_test_key: $check
-- rest only ALTER TABLE procrastinate_events ADD COLUMN

-- step concurrent: build index procrastinate_events_test_key_$NEXT
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_events_test_key_$NEXT
    ON procrastinate_events (id, tenant);

-- step brief: drop constraints; add constraints
-- lock procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_test_key;
ALTER INDEX procrastinate_events_test_key_$NEXT RENAME TO procrastinate_events_test_key;
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_test_key UNIQUE USING INDEX procrastinate_events_test_key;
STEPS
steps_are('an index of an expression with a new function', <<'SQL', <<"STEPS");
CREATE FUNCTION procrastinate_key_v1(a int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a';
DROP INDEX procrastinate_jobs_test_idx;
CREATE INDEX procrastinate_jobs_test_idx ON procrastinate_jobs (procrastinate_key_v1(priority));
SQL
-- step brief: add functions
-- rest only CREATE FUNCTION

-- step concurrent: build index procrastinate_jobs_test_idx_$NEXT
CREATE INDEX CONCURRENTLY procrastinate_jobs_test_idx_$NEXT
    ON procrastinate_jobs (procrastinate_key_v1(priority));

-- step brief: drop indexes; exchange indexes
-- lock procrastinate_jobs ACCESS EXCLUSIVE
DROP INDEX procrastinate_jobs_test_idx;
ALTER INDEX procrastinate_jobs_test_idx_$NEXT RENAME TO procrastinate_jobs_test_idx;
STEPS

# ---- What a program cannot decide ----------------------------------------------------------------

leaves_undecided('an index dropped with the statement that adds the column', <<'SQL',
ALTER TABLE procrastinate_events
    ADD COLUMN tenant text, DROP CONSTRAINT procrastinate_events_test_key;
CREATE UNIQUE INDEX procrastinate_events_tenant_key ON procrastinate_events (id, tenant);
SQL
	qr/built after the other changes, which may need it or drop what it replaces/, 0);
leaves_undecided('a uniqueness that an INSERT may meet', <<'SQL',
CREATE UNIQUE INDEX procrastinate_ticks ON procrastinate_periodic_defers (task_name, periodic_id);
SQL
	qr/INSERT INTO procrastinate_periodic_defers \.\.\. ON CONFLICT fails on this uniqueness/, 0);
leaves_undecided('an index that exists', <<'SQL',
CREATE INDEX IF NOT EXISTS procrastinate_jobs_test_idx ON procrastinate_jobs (id, priority);
CREATE TABLE procrastinate_numbers (id bigint);
SQL
	qr/line 1: another index has the name procrastinate_jobs_test_idx, and no statement drops/, 1);
leaves_undecided('a name that DROP COLUMN frees', <<'SQL',
ALTER TABLE procrastinate_jobs DROP COLUMN lock;
CREATE UNIQUE INDEX procrastinate_jobs_test_key ON procrastinate_jobs (id, priority);
SQL
	qr/line 2: another index has the name procrastinate_jobs_test_key, and no statement drops/, 0);
foreach my $case (
	[ 'a check', 'procrastinate_jobs ADD CONSTRAINT short CHECK (length(lock) < 9)', 'short' ],
	[ 'a unique constraint', 'procrastinate_events ADD CONSTRAINT one UNIQUE (job_id)', 'one' ],
	[ 'NOT NULL', 'procrastinate_jobs ALTER lock SET NOT NULL', 'procrastinate_jobs\.lock' ])
{
	my ($what, $table, $name) = @$case;
	leaves_undecided($what, "ALTER TABLE $table;", qr/$may_violate $name:/, 0);
}
leaves_undecided('rows copied to a new table', <<'SQL', qr/line 2: INSERT reads a table in use/, 1);
CREATE TABLE procrastinate_numbers (id bigint);
INSERT INTO procrastinate_numbers SELECT id FROM procrastinate_jobs;
SQL
my $may_use = qr/old releases may use/;
leaves_undecided('a function with another result', <<'SQL', qr/$may_use procrastinate_test_v1:/, 0);
DROP FUNCTION procrastinate_test_v1();
CREATE FUNCTION procrastinate_test_v1() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
SQL
leaves_undecided('a label renamed', <<'SQL', qr/$may_use procrastinate_test_state 'two':/, 0);
ALTER TYPE procrastinate_test_state RENAME VALUE 'two' TO 'three';
SQL
leaves_undecided('an attribute added', <<'SQL', qr/$may_use procrastinate_test_pair:/, 0);
ALTER TYPE procrastinate_test_pair ADD ATTRIBUTE c int;
SQL
leaves_undecided('an attribute dropped', <<'SQL', qr/$may_use procrastinate_test_pair:/, 0);
ALTER TYPE procrastinate_test_pair DROP ATTRIBUTE b;
SQL
foreach my $case (
	[ 'a set',        'RETURNS SETOF procrastinate_jobs', 'which returns a set' ],
	[ 'language sql', 'RETURNS procrastinate_jobs',       'which is written in sql' ])
{
	my ($what, $returns, $why) = @$case;
	my $function = write_migration('99.99.00_00_pre_fetch_jobs.sql', <<"SQL");
CREATE FUNCTION procrastinate_fetch_job_many() $returns
LANGUAGE sql AS 'SELECT * FROM procrastinate_jobs';
SQL
	my ($is_done, $text) =
	  new_revision($NAME, 'ALTER TABLE procrastinate_jobs ADD COLUMN note text;',
		$function, '--release', '99.99.0');
	ok($is_done, "a column behind a fetch function of $what: done") or diag $text;
	like($text, qr/the fetch barrier cannot be put into procrastinate_fetch_job_many, $why/,
		"a column behind a fetch function of $what: undecided");
	start_over();
}

# ---- Operators without a schema ------------------------------------------------------------------

{
	my $sql = <<'SQL';
ALTER TABLE procrastinate_jobs ADD COLUMN note text DEFAULT 'a' || 'b' CHECK (note > 'c');
CREATE INDEX note_idx ON procrastinate_jobs (note) WHERE note IN ('d', 'e');
CREATE TRIGGER note AFTER UPDATE ON procrastinate_jobs FOR EACH ROW
    WHEN (OLD.note <> NEW.note) EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1();
UPDATE procrastinate_jobs SET note = '', lock = NULL WHERE note < 'f';
DO $$
DECLARE
    number int := -1;
BEGIN
    PERFORM count(*) FROM procrastinate_jobs WHERE id = number;
    RAISE LOG 'done' USING HINT = 'none';
END $$;
CREATE FUNCTION procrastinate_note(a int = 1) RETURNS int LANGUAGE sql AS 'SELECT 1 + 1';
SQL
	my ($is_done, $text) = new_revision($NAME, $sql);
	ok($is_done, 'operators without a schema: done') or diag $text;
	my ($list) = $text =~ /^Write OPERATOR\(pg_catalog\.=\).*\n((?:  .*\n)+)/m;
	my @found = map { s/^  //r } split /\n/, $list // '';
	is(join(' ', map { m{^src/migrations/$NEXT\S+:(\d+: \S+)$} } @found),
		'1: || 1: > 2: IN 4: <> 5: < 10: =', 'operators without a schema: in the migration');
	is(join(' ', sort map { m{^src/migrations/online/$NEXT\.sql:\d+: (\S+)$} } @found),
		'> IN ||', 'operators without a schema: in the steps');
	start_over();
}

done_testing();
