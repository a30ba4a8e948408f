# Runs scripts/new-revision in a copy of the tree that has a made-up head, with objects for the
# tests to change: whatever the real head has, they find the same.

package Procrastinate::Test::NewRevision;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test;

our @EXPORT = qw($NAME $NEXT interrupted leaves_undecided new_revision refuses_revision
  release_in_tree set_up start_over state_of_tree steps_are write_migration);

# The file of the migration under test, and its revision.
our $NAME = '99.99.00_01_pre_name.sql';
our $NEXT = sprintf '%04d', (chain())[-1]{revision} + 2;

my ($tree, $saved, $pg_config);

# Makes the copy and its head.
sub set_up
{
	$tree = PostgreSQL::Test::Utils::tempdir('tree');
	$saved = PostgreSQL::Test::Utils::tempdir('saved');
	($pg_config) = grep { -x } map { "$_/pg_config" } split /:/, $ENV{PATH};
	my $copy = 'cd "$1" && tar -cf - scripts src test/catalog.sql | tar -C "$2" -xf -';
	system_or_bail('sh', '-c', $copy, 'copy', repository(), $tree);
	my $sql = <<'SQL';
CREATE TYPE procrastinate_test_state AS ENUM ('one', 'two');
CREATE TYPE procrastinate_test_pair AS (a int, b int);
CREATE FUNCTION procrastinate_test_v1() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE INDEX procrastinate_jobs_test_idx ON procrastinate_jobs (priority);
CREATE UNIQUE INDEX procrastinate_jobs_test_key ON procrastinate_jobs (lock) WHERE attempts IS NULL;
ALTER TABLE procrastinate_events ADD CONSTRAINT procrastinate_events_test_key UNIQUE (id, type);
SQL
	my @release = ('--release', '99.98.0');
	my ($is_done, $text) = new_revision('99.98.00_01_pre_objects.sql', $sql, @release);
	$is_done or die "the made-up head: $text";
	system_or_bail('cp', '-R', "$tree/src", $saved);
	return;
}

# The tree's files and what they contain.
sub state_of_tree
{
	my $sum = 'cd "$1" && find src -type f -exec cksum {} +';
	my ($out) = run_command([ 'sh', '-c', $sum, 'sum', $tree ]);
	return $out;
}

# Writes a file of a migration; returns its path.
sub write_migration
{
	my ($name, $sql) = @_;
	my $file = "$tree/$name";
	open(my $out, '>', $file) or die "$file: $!";
	print $out $sql;
	close $out;
	return $file;
}

# Runs the script over a migration of that name; returns its status and what it prints.
sub new_revision
{
	my ($name, $sql, @options) = @_;
	my $file = write_migration($name, $sql);
	my $text = '';
	local $ENV{PG_CONFIG} = $pg_config;
	@options = ('--release', '99.99.0') if !@options;
	my @command = ("$tree/scripts/new-revision", $file, @options);
	my $is_done = IPC::Run::run(\@command, '<', \undef, '>&', \$text);
	return ($is_done, $text);
}

# Runs the script over a migration, and ends it by a signal, as a terminal does, once it has changed
# chain.tsv. Returns its status and what it prints.
sub interrupted
{
	my ($signal, $name, $sql) = @_;
	my $file = write_migration($name, $sql);
	my $output = "$tree/output";
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		setpgrp;
		open(STDOUT, '>', $output) or die "$output: $!";
		open(STDERR, '>&', \*STDOUT) or die "$output: $!";
		$ENV{PG_CONFIG} = $pg_config;
		chdir "$tree/scripts" or die "$tree/scripts: $!";
		exec './new-revision', $file, '--release', '99.99.0' or die "new-revision: $!";
	}
	my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;
	while (slurp("$tree/src/data/chain.tsv") !~ /\t\Q$name\E\t/)
	{
		$tries-- > 0 or die 'waited in vain for a row in chain.tsv';
		usleep(100_000);
	}
	kill "-$signal", $pid;
	waitpid $pid, 0;
	return ($?, slurp($output));
}

sub refuses_revision
{
	my ($label, $complaint, @arguments) = @_;
	my $before = state_of_tree();
	my ($is_done, $text) = new_revision(@arguments);
	ok(!$is_done, "$label: refused");
	like($text, $complaint, "$label: says why");
	unlike($text, qr{^src/data/\S+ written$}m, "$label: does not say that it wrote a file");
	is(state_of_tree(), $before, "$label: changes nothing") or start_over();
	return;
}

# The made-up head again.
sub start_over
{
	system_or_bail('sh', '-c', 'rm -rf "$2/src" && cp -R "$1/src" "$2"', 'copy', $saved, $tree);
	return;
}

# The steps of the migration under test, without the first line; empty if it has none.
sub steps_in_tree
{
	my $path = "$tree/src/migrations/online/$NEXT.sql";
	return -e $path ? slurp($path) =~ s/\A--.*\n\n?//r : '';
}

# The row of a release in releases.tsv.
sub release_in_tree
{
	my ($release) = @_;
	my ($row) = slurp("$tree/src/data/releases.tsv") =~ /^(\Q$release\E\t.*)$/m;
	return $row;
}

# The steps of one migration, and what is undecided: nothing if no pattern is given.
sub steps_are
{
	my ($label, $sql, $expected, $undecided) = @_;
	my ($is_done, $text) = new_revision($NAME, $sql);
	ok($is_done, "$label: done") or diag $text;
	is(steps_in_tree(), $expected, "$label: its steps");
	like($text, $undecided // qr/\A(?!.*undecided)/si, "$label: what is undecided");
	start_over();
	return;
}

# A migration of which something is undecided, and whether releases for the head before it run on
# it: 1 if they do.
sub leaves_undecided
{
	my ($label, $sql, $undecided, $works) = @_;
	my ($is_done, $text) = new_revision($NAME, $sql);
	ok($is_done, "$label: done") or diag $text;
	like($text, qr/^  online\/$NEXT\.sql: .*$undecided/m, "$label: what is undecided");
	my $last = $works ? $NEXT : $NEXT - 1;
	like(release_in_tree('99.98.0'), qr/\t0*$last$/, "$label: works_to of the release before");
	start_over();
	return;
}

1;
