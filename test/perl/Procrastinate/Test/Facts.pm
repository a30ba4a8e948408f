# The repository's files, and the facts of src/data: which revisions there are, and what is in the
# catalog at each.

package Procrastinate::Test::Facts;

use strict;
use warnings;

use Exporter 'import';
use FindBin;

our @EXPORT =
  qw(%LOCK_KEY $HEAD $HEAD_NAME $NEWEST_RELEASE argument_types chain commit_points data_file
  facts facts_at last_revision_for last_revision_of newest_call release_revision repository
  revision_name slurp statuses structure);

# The last revision as a number and as SQL names it, and the newest release. Set at the end of this
# file.
our ($HEAD, $HEAD_NAME, $NEWEST_RELEASE);

# The first keys of the advisory locks, by the names that src/server/advisory_lock.hpp gives them:
# installation, index_build, running, waiting, blocker.
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

# The types of the arguments that a caller gives to the function of a definition.
sub argument_types
{
	my ($definition) = @_;
	my $nested = qr/(\((?:[^()']|'(?:[^']|'')*'|(?-1))*\))/;
	my ($list) = $definition =~ /^\w+$nested/ or die "no function: $definition";
	$list = substr $list, 1, -1;
	my @arguments;
	push @arguments, $1 while $list =~ /\G((?:[^,()']|'(?:[^']|'')*'|$nested)+)(?:, )?/g;
	return map { s/ DEFAULT .*//sr =~ s/^(?:IN|INOUT|VARIADIC) //r =~ s/^\w+ //r }
	  grep { !/^OUT / } @arguments;
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

# The revisions between two others, not base, after which an upgrade must commit, oldest first: one
# transaction cannot add a label to an enum type and use it. From the last one on, one transaction
# reaches the end.
sub commit_points
{
	my ($from, $to) = @_;
	my (%labels_of, @added);
	foreach my $fact (sort { $a->{first} cmp $b->{first} } grep { $_->{kind} eq 'enum' } facts())
	{
		my ($type, $labels) = $fact->{definition} =~ /^(\w+) \((.*)\)$/;
		my $known = $labels_of{$type};
		my @new = grep { !$known->{$_} } split /, /, $labels;
		push @added, map { [ int $fact->{first}, $_ ] } @new if $known;
		$labels_of{$type} = { %{ $known // {} }, map { $_ => 1 } @new };
	}
	my @uses;
	foreach my $row (chain())
	{
		# A function's body runs later. That of a DO block runs at once.
		my $sql = slurp(repository() . "/src/migrations/$row->{revision}_$row->{file}");
		$sql =~ s/--[^\n]*//g;
		$sql =~ s/\bAS\s+\$(\w*)\$.*?\$\1\$//gis;
		my $code = join ';', grep { !/^\s*(?:ALTER|CREATE)\s+TYPE\b/i } split /;/, $sql;
		foreach my $label (@added)
		{
			next if $row->{revision} <= $label->[0] or $code !~ /'\Q$label->[1]\E'/;
			push @uses, { added => $label->[0], used => int $row->{revision} };
		}
	}
	my @points;
	while (my @next = sort { $a <=> $b } map { $_->{used} }
		grep { $from < $_->{added} and $_->{used} <= $to } @uses)
	{
		$from = $next[0] - 1;
		push @points, $from;
	}
	return @points;
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

# A call of the newest version of a function at a revision: procrastinate_fetch_job_v2, not _v1.
# Each argument is NULL, or the value that is given for its type.
sub newest_call
{
	my ($function, $revision, %value_of) = @_;
	my %definition_of = map { /^\Q$function\E(?:_v(\d+))?\(/ ? ($1 // 0, $_) : () }
	  map { $_->{definition} } grep { $_->{kind} eq 'function' } facts_at($revision);
	my ($newest) = sort { $b <=> $a } keys %definition_of;
	die "$revision has no function $function" if not defined $newest;
	my $definition = $definition_of{$newest};
	my @values = map { $value_of{$_} // "NULL::$_" } argument_types($definition);
	return $definition =~ s/\(.*//sr . '(' . join(', ', @values) . ')';
}

# The revision that a release of Procrastinate expects.
sub release_revision
{
	my ($release) = @_;
	my ($row)     = grep { $_->{release} eq $release } rows_of('releases.tsv');
	die "no release $release" if not defined $row;
	return int $row->{head};
}

# The last revision on which the release's code runs.
sub last_revision_for
{
	my ($release) = @_;
	my ($row)     = grep { $_->{release} eq $release } rows_of('releases.tsv');
	die "no release $release" if not defined $row;
	return int $row->{works_to};
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
