# What a revision finds and what it takes away, by the rows of structure.tsv and the migrations
# before it.

package Revision::Before;

use strict;
use warnings;

use Exporter 'import';

use Revision::Parts qw(distinct);
use Sql qw(items);

our @EXPORT_OK = qw(catalog_before gone narrowed);

# gone(REVISION, FACTS): what releases for the revision before may use and the revision does not
# have, by name: functions of the same arguments and result, tables, columns, labels of enum types
# and composite types of the same attributes.
sub gone
{
	my ($revision, @facts) = @_;
	my $before = sprintf '%04d', $revision - 1;
	my %is_there = map { $_ => 1 } map { keys %{ used($_) } } grep { holds($_, $revision) } @facts;
	my %was_there = map { %{ used($_) } } grep { holds($_, $before) } @facts;
	return distinct(map { $was_there{$_} } grep { !$is_there{$_} } sort keys %was_there);
}

# narrowed(REVISION, FACTS): what makes the revision refuse rows that the one before takes, by name:
# columns that became NOT NULL, and new constraints and unique indexes that name a column that was
# there.
sub narrowed
{
	my ($revision, @facts) = @_;
	my $before = sprintf '%04d', $revision - 1;
	my (%columns_of, %was_there);
	foreach my $fact (grep { holds($_, $before) } @facts)
	{
		$columns_of{$1}{$2} = 1
		  if $fact->{kind} eq 'column' && $fact->{definition} =~ /^(\w+)\.(\w+) /;
		$was_there{ (rule($fact))[2] // '' } = 1;
	}
	my @found;
	foreach my $fact (grep { $_->{first} eq $revision } @facts)
	{
		my ($name, $table, $rule) = rule($fact) or next;
		my $own = $rule =~ s/'[^']*'//gr =~ s/ REFERENCES .*//r;
		next if $was_there{$rule} || !grep { $columns_of{$table}{$_} } $own =~ /\w+/g;
		push @found, $name;
	}
	return distinct(@found);
}

# What a fact demands of rows: its name, its table and the demand. Nothing if it demands nothing.
sub rule
{
	my ($fact) = @_;
	my ($kind, $definition) = @$fact{qw(kind definition)};
	return ("$1.$2", $1, "$1 $2 not null")
	  if $kind eq 'column' && $definition =~ /^(\w+)\.(\w+) .* not null\b/;
	return ($2, $1, "$1 $3") if $kind eq 'constraint' && $definition =~ /^(\w+)\.(\w+) (.*)$/;
	return ($1, $2, "$2 $3") if $kind eq 'index' && $definition =~ /^UNIQUE (\w+) ON (\w+) (.*)$/;
	return;
}

sub holds
{
	my ($fact, $revision) = @_;
	return $fact->{first} le $revision && ($fact->{last} eq '' || $fact->{last} ge $revision);
}

# What clients may use of an object, as they use it => its name.
sub used
{
	my ($fact) = @_;
	my ($kind, $definition) = @$fact{qw(kind definition)};
	my ($name, $rest) = $definition =~ /^([\w.]+)(.*)$/;
	return { "$kind $name" => $name } if $kind =~ /^(?:table|column)$/;
	return { "$kind $name$rest" => $name } if $kind eq 'composite';
	return { map { ("$kind $name $_" => "$name '$_'") } split /, /, $rest =~ s/^ \(|\)$//gr }
	  if $kind eq 'enum';
	return {} if $kind ne 'function';
	my ($arguments, $result) = $rest =~ /^\((.*)\) returns (.*?) language /;
	my @types = map { s/ DEFAULT .*//sr } items($arguments);
	return { "$kind $name(" . join(', ', @types) . ") $result" => $name };
}

# catalog_before(REVISION, SQL, FACTS): what is there before the revision, as Revision::Classify
# needs it. SQL is the text of all migrations up to this one.
sub catalog_before
{
	my ($revision, $sql, @facts) = @_;
	my %catalog =
	  map { $_ => {} } qw(tables indexes keys functions dropped fetched no_barrier enums);
	$catalog{upserted}{ lc $1 } = 1
	  while $sql =~ /\bINSERT\s+INTO\s+(\w+)(?=(?:(?!\bINSERT\b)[^;])*\bON\s+CONFLICT\b)/gi;
	my $before = sprintf '%04d', $revision - 1;
	foreach my $fact (@facts)
	{
		$catalog{enums}{$1} = 1
		  if $fact->{kind} eq 'enum'
		  && $fact->{first} le $revision
		  && $fact->{definition} =~ /^(\w+) /;
		next if !holds($fact, $before);
		my ($kind, $definition) = @$fact{qw(kind definition)};
		$catalog{tables}{$definition} //= {} if $kind eq 'table';
		$catalog{tables}{$1}{$2} = 1 if $kind eq 'column' && $definition =~ /^(\w+)\.(\S+) /;
		$catalog{indexes}{$1} = $2
		  if $kind eq 'index' && $definition =~ /^(?:UNIQUE )?(\S+) ON (\S+) /;
		$catalog{keys}{$1}{$2} = $3
		  if $kind eq 'constraint'
		  && $definition =~ /^(\w+)\.(\S+) FOREIGN KEY .* REFERENCES (\w+)/;
		if ($kind eq 'function')
		{
			my ($name, $is_set, $returns, $language) =
			  $definition =~ /^(\w+)\(.*\) returns (SETOF )?(.+) language (\w+)/;
			$catalog{functions}{$name} = 1;
			next if $name !~ /^procrastinate_fetch_job/;
			$catalog{fetched}{$returns} = 1;
			push @{ $catalog{no_barrier}{$returns} },
			  "$name, which " . ($is_set ? 'returns a set' : "is written in $language")
			  if $is_set || $language ne 'plpgsql';
		}
	}
	$catalog{indexes_before} = { %{ $catalog{indexes} } };
	return \%catalog;
}

1;
