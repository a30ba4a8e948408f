# The build stops at a mistake in the facts, the migrations or the step files, and says where it is.
# Each case breaks one thing in a copy of src/ and runs the generator embed.pl on it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Procrastinate::Test::Facts;
use Test::More;

my $source  = repository() . '/src';
my @folders = qw(data migrations migrations/online);
my $head    = (chain())[-1]{revision};
my $next    = sprintf '%04d', $head + 1;
my $copy;

sub copy_source
{
	$copy = tempdir(CLEANUP => 1);
	foreach my $folder (@folders)
	{
		make_path("$copy/$folder");
		copy($_, "$copy/$folder") or die "cannot copy $_: $!"
		  foreach glob "$source/$folder/*.{tsv,sql}";
	}
	return;
}

sub write_text
{
	my ($name, $text) = @_;
	open(my $file, '>', "$copy/$name") or die "cannot write $name: $!";
	print $file $text;
	close $file;
	return;
}

# Replaces the first match in a file of the copy.
sub edit
{
	my ($name, $pattern, $replacement) = @_;
	my $text = slurp("$copy/$name");
	$text =~ s/$pattern/$replacement/ or die "$name does not match $pattern";
	write_text($name, $text);
	return;
}

sub append
{
	my ($name, $text) = @_;
	write_text($name, slurp("$copy/$name") . $text);
	return;
}

# The exit status of the generator and what it prints as an error.
sub generate
{
	my $errors = "$copy/errors";
	my $status = system("perl '$source/embed.pl' '$copy' > '$copy/embedded.inc' 2> '$errors'");
	return ($status >> 8, slurp($errors) =~ s/\Q$copy\E\///gr);
}

# One mistake: what breaks the copy, and the error with its file and line.
sub refuses
{
	my ($what, $break, $expected) = @_;
	copy_source();
	$break->();
	my ($status, $error) = generate();
	is($status, 1, "$what: stops the build");
	like($error, qr/^$expected\n\z/, "$what: says where");
	return;
}

# A step file of its own for 0002, which has none.
sub refuses_steps
{
	my ($what, $text, $expected) = @_;
	refuses($what, sub { write_text('migrations/online/0002.sql', $text) },
		"migrations/online/0002\\.sql:$expected");
	return;
}

copy_source();
my ($status, $error) = generate();
is("$status $error", '0 ', 'the files as they are build');
cmp_ok(-s "$copy/embedded.inc", '>', 100_000, 'into C++ tables');

# ---- The chain -----------------------------------------------------------------------------------

my $title = "$next\t$head\t99.00.00_01_new.sql\tNew\t\n";
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
		edit('data/chain.tsv', qr/\tphase\n/, "\tphase\twithout_facts\n");
		write_text($file, "SELECT 1;\n");
	},
	qr/data\/head\.sql:1: must begin with: -- Schema of revision $next\. /);
refuses('a gap in the chain', sub { edit('data/chain.tsv', qr/^0007/m, '0070') },
	qr/data\/chain\.tsv:8: the chain is not one line of revisions/);
refuses('an unknown phase', sub { edit('data/chain.tsv', qr/\tpre\n/, "\tbefore\n") },
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
	qr/migrations\/0003_\S+:5: only printable ASCII and tabs can be embedded/);
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
	sub { append('data/function_bodies.tsv', "0001\t\tf()\t" . '0' x 32 . "\n") },
	qr/data\/function_bodies\.tsv:\d+: structure\.tsv has no function f\(\)/);
refuses('a function that no migration creates',
	sub { append('data/structure.tsv', "0001\t\tfunction\tf() returns void language sql\n") },
	qr/data\/structure\.tsv:\d+: no migration up to its first revision creates f\(\)/);

# ---- Step files ----------------------------------------------------------------------------------

my $lock = "-- step brief: lock\n-- lock procrastinate_jobs";
refuses_steps('an undecided step', "$lock SHARE\n-- undecided: which lock?\n-- rest\n",
	'3: is undecided: decide, then remove this line');
refuses_steps('an unknown kind of step', "-- step quick: all\n-- rest\n",
	'1: unknown kind of step: quick');
refuses_steps('an unknown option of a step', "-- step brief, window: all\n-- rest\n",
	'1: unknown keyword: window');
refuses_steps('an unknown keyword',
	"-- step brief: all\n-- locks procrastinate_jobs SHARE\n-- rest\n",
	'2: unknown keyword: locks');
refuses_steps('an unknown word after rest', "-- step brief: all\n-- rest but LOCK TABLE\n",
	'2: unknown keyword: but LOCK TABLE');
refuses_steps('a step without a title',
	"-- step brief\n-- rest\n", '1: a step needs a kind and a title.*');
refuses_steps('an unknown lock mode', "$lock EXCLUSIVE SHARE\n-- rest\n",
	'2: unknown lock mode: EXCLUSIVE SHARE');
refuses_steps('an unknown table', "-- step brief: all\n-- lock procrastinate_job SHARE\n-- rest\n",
	'2: no fact has a table procrastinate_job at this revision or the one before');
refuses_steps('a table of a later revision',
	"-- step brief: all\n-- lock procrastinate_workers SHARE\n-- rest\n",
	'2: no fact has a table procrastinate_workers at this revision or the one before');
refuses_steps('an unknown table of a batched step',
	"-- step batched own: fill\nUPDATE own SET a = 1 WHERE id > \$1 AND id <= \$2;\n",
	'1: no fact has a table own at this revision or the one before');
refuses_steps('a second lock', "$lock SHARE\n-- lock procrastinate_events SHARE\n-- rest\n",
	'3: a second lock in a step: .*');
refuses_steps('a lock after statements',
	"-- step brief: all\nSELECT 1;\n-- lock procrastinate_jobs SHARE\n",
	'3: a lock after statements or rest');
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
	'1: a batched step is one statement over ids from \$1 to \$2');
refuses(
	'a step file of no revision',
	sub { write_text("migrations/online/$next.sql", "-- step brief: all\n-- rest\n") },
	qr/migrations\/online\/$next\.sql:1: is named after no revision of the chain/);

# A step file may lock a table that it creates itself, and say why in comments.
copy_source();
write_text('migrations/online/0002.sql', <<'SQL');
-- 0002 under load: nothing but
-- lock tables first, and a rest.

-- step brief: make a table
-- Nothing else writes it:
-- lock it all the same.
CREATE TABLE made (id bigint);

-- step brief: use it
-- lock made SHARE, procrastinate_job_locks ROW SHARE if there
-- rest
SQL
($status, $error) = generate();
is("$status $error", '0 ', 'a table that the step file creates is known, and comments are free');

done_testing();
