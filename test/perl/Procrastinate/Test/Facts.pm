# The repository's files, and the facts of src/data: which revisions there are, and what is in the
# catalog at each.

package Procrastinate::Test::Facts;

use strict;
use warnings;

use Exporter 'import';
use FindBin;

our @EXPORT =
  qw(%LOCK_KEY $HEAD $HEAD_NAME $NEWEST_RELEASE chain data_file facts facts_at last_revision_of
  release_revision repository revision_name slurp statuses structure);

# The last revision as a number and as SQL names it, and the newest release. Set at the end of this
# file.
our ($HEAD, $HEAD_NAME, $NEWEST_RELEASE);

# The first keys of the advisory locks, by the names that src/server/advisory_lock.hpp gives them:
# installation, fetch_barrier, index_build, running, waiting, blocker.
our %LOCK_KEY;

# The top folder of the repository, found from the running test, wherever it was started.
sub repository
{
	my $folder = $FindBin::RealBin;
	until (-e "$folder/procrastinate_migrate.control" or -e "$folder/test/catalog.sql")
	{
		$folder =~ s{/[^/]+$}{} or die "no repository above $FindBin::RealBin";
	}
	return $folder;
}

sub data_file
{
	my ($name) = @_;
	return repository() . "/src/data/$name";
}

sub slurp
{
	my ($path) = @_;
	open(my $file, '<', $path) or die "cannot open $path: $!";
	local $/ = undef;
	my $text = <$file>;
	close $file;
	return $text;
}

# The rows of a file with a header line and tabs, as references to hashes.
sub rows_of
{
	my ($name) = @_;
	my ($header, @lines) = split /\n/, slurp(data_file($name));
	my @columns = split /\t/, $header;
	my @rows;
	foreach my $line (@lines)
	{
		my %row;
		@row{@columns} = split /\t/, $line, -1;
		push @rows, \%row;
	}
	return @rows;
}

# The rows of chain.tsv, oldest first.
sub chain
{
	return rows_of('chain.tsv');
}

# The rows of structure.tsv: all of them, or those that hold at a revision. A fact that still holds
# has no last revision in the file; here it is the head.
sub facts
{
	my @facts = rows_of('structure.tsv');
	foreach my $fact (@facts)
	{
		$fact->{last} = $HEAD_NAME if $fact->{last} eq '';
	}
	return @facts;
}

sub facts_at
{
	my ($revision) = @_;
	my $at = revision_name($revision);
	return grep { $_->{first} le $at and $_->{last} ge $at } facts();
}

# The lines, in byte order, that a schema at this revision shows in the words of structure.tsv.
sub structure
{
	my ($revision) = @_;
	return sort map { "$_->{kind} $_->{definition}" } facts_at($revision);
}

sub revision_name
{
	my ($revision) = @_;
	return sprintf '%04d', $revision;
}

# The last revision whose schema has a function of this name.
sub last_revision_of
{
	my ($function) = @_;
	my ($last)     = sort { $b cmp $a } map { $_->{last} }
	  grep { $_->{kind} eq 'function' and $_->{definition} =~ /^\Q$function\E\(/ } facts();
	die "no revision has a function $function" if not defined $last;
	return int $last;
}

# The revision that a release of Procrastinate expects.
sub release_revision
{
	my ($release) = @_;
	my ($row)     = grep { $_->{release} eq $release } rows_of('releases.tsv');
	die "no release $release" if not defined $row;
	return int $row->{head};
}

# The labels of procrastinate_job_status at a revision.
sub statuses
{
	my ($revision) = @_;
	my @labels = qw(todo doing succeeded failed);
	push @labels, qw(cancelled aborting aborted) if $revision >= 27;
	return @labels;
}

$HEAD           = chain();
$HEAD_NAME      = revision_name($HEAD);
$NEWEST_RELEASE = (rows_of('releases.tsv'))[-1]{release};
%LOCK_KEY = slurp(repository() . '/src/server/advisory_lock.hpp') =~ /(\w+)\s*=\s*(0x[0-9A-F]+)/g;
$_        = hex foreach values %LOCK_KEY;

1;
