# Turns what scripts/facts read from the catalog after each revision into the files of src/data.

package Revision::Facts;

use strict;
use warnings;

use Head;
use Sql qw(statements tokens);

# The kinds of structure.tsv, in the order of its rows within a revision.
my @KINDS = qw(table column constraint index enum composite sequence function trigger);
my %RANK;
@RANK{@KINDS} = 0 .. $#KINDS;

# write_all(FOLDER, SCHEMA, TARGET, MIGRATION...): reads FOLDER/NNNN.structure, NNNN.bodies and
# head.dump, writes structure.tsv, function_bodies.tsv and head.sql into the folder TARGET. SCHEMA
# is the name of the schema in the dump. MIGRATION is a file that was run, oldest first.
sub write_all
{
	my ($folder, $schema, $target, @migrations) = @_;
	my @revisions = map { m{(\d{4})\.structure$} } sort glob "$folder/*.structure";
	die "no revision was read\n" if !@revisions;
	write_structure($folder, "$target/structure.tsv", @revisions);
	write_bodies($folder, "$target/function_bodies.tsv", @revisions);
	write_head("$folder/head.dump", $schema, $target, $revisions[-1], @migrations);
	return;
}

sub write_structure
{
	my ($folder, $file, @revisions) = @_;
	my @spans = spans($folder, 'structure', @revisions);
	kind($_->[2]) foreach @spans;
	my @rows = sort {
		     $a->[0] cmp $b->[0]
		  || $RANK{ kind($a->[2]) } <=> $RANK{ kind($b->[2]) }
		  || $a->[2] cmp $b->[2]
	} @spans;
	write_table($file, "first\tlast\tkind\tdefinition",
		map { [ $_->[0], $_->[1], split / /, $_->[2], 2 ] } @rows);
	return;
}

sub write_bodies
{
	my ($folder, $file, @revisions) = @_;
	my @rows = sort { $a->[0] cmp $b->[0] || $a->[2] cmp $b->[2] }
	  spans($folder, 'bodies', @revisions);
	write_table($file, "first\tlast\tfunction\tmd5\tstripped_md5", @rows);
	return;
}

sub kind
{
	my ($line) = @_;
	my ($kind) = $line =~ /^(\w+) /;
	die "an object of a kind that structure.tsv does not have: $line\n" if !defined $RANK{$kind};
	return $kind;
}

# The lines that FOLDER/NNNN.EXTENSION show, as [first revision, last revision, line]; the last is
# empty if the newest revision still has the line.
sub spans
{
	my ($folder, $extension, @revisions) = @_;
	my (@spans, %open);
	foreach my $revision (@revisions)
	{
		my %here = map { $_ => 1 } lines("$folder/$revision.$extension");
		foreach my $line (sort keys %open)
		{
			delete $open{$line} if !$here{$line};
		}
		foreach my $line (sort keys %here)
		{
			push @spans, $open{$line} = [ $revision, undef, $line ] if !$open{$line};
			$open{$line}[1] = $revision;
		}
	}
	$_->[1] = '' foreach values %open;
	return @spans;
}

# head.sql: the dump without its settings and comments, every name qualified by a placeholder. Its
# heading has the revision, and checksums that the build compares. The other files of the folder
# must have been written.
sub write_head
{
	my ($dump, $schema, $target, $revision, @migrations) = @_;
	open(my $in, '<', $dump) or die "$dump: $!\n";
	my $sql = join '', grep { !/^\\/ } <$in>;
	my @statements =
	  grep { !/^(?:SET |CREATE SCHEMA |SELECT pg_catalog\.set_config\()/ }
	  map { $_->{text} } statements($sql);
	my $below = join '', map { "\n" . with_placeholders($_, $schema) . ";\n" } @statements;
	my @texts = map { [ m{([^/]*)$}, text_of($_) ] } @migrations;
	my @tables = map { text_of("$target/$_.tsv") } qw(structure function_bodies);
	my $file = "$target/head.sql";
	open(my $out, '>', $file) or die "$file: $!\n";
	print $out Head::revision_line($revision);
	print $out Head::sum_lines(Head::text_of_migrations(@texts), @tables, $below), $below;
	close($out) or die "$file: $!\n";
	return;
}

# {{schema}} stands for the quoted name of the schema, {{schema_in_literal}} for it inside a string.
sub with_placeholders
{
	my ($statement, $schema) = @_;
	my $text = '';
	die "two braces in what head.sql would contain: $statement\n" if $statement =~ /\{\{/;
	foreach my $token (tokens($statement))
	{
		my $part = $token->{text};
		next if $token->{kind} eq 'comment';
		if ($part =~ /^'/)
		{
			$part =~ s/\b\Q$schema\E\b/{{schema_in_literal}}/g;
		}
		elsif ($token->{kind} eq 'word')
		{
			$part = '{{schema}}' if $part eq $schema;
		}
		die "the schema's name in what head.sql cannot replace: $part\n" if $part =~ /\Q$schema\E/;
		$text .= $part;
	}
	return $text;
}

sub write_table
{
	my ($file, $heading, @rows) = @_;
	open(my $out, '>', $file) or die "$file: $!\n";
	print $out "$heading\n";
	print $out join("\t", @$_), "\n" foreach @rows;
	close($out) or die "$file: $!\n";
	return;
}

sub text_of
{
	my ($file) = @_;
	open(my $in, '<:raw', $file) or die "$file: $!\n";
	local $/ = undef;
	return scalar <$in>;
}

sub lines
{
	my ($file) = @_;
	open(my $in, '<', $file) or die "$file: $!\n";
	chomp(my @lines = <$in>);
	return @lines;
}

1;
