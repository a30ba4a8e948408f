# The build stops at a mistake in the facts or the migrations, and says where it is. Each case
# breaks one thing in a copy of src/ and runs the generator embed.pl on it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Procrastinate::Test::Build;
use Procrastinate::Test::Facts;
use Test::More;

my $head = (chain())[-1]{revision};
my $next = sprintf '%04d', $head + 1;

copy_source();
my ($status, $error) = generate();
is("$status $error", '0 ', 'the files as they are build');
cmp_ok(length copy_text('embedded.inc'), '>', 100_000, 'into C++ tables');

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

done_testing();
