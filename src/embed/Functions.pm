# Finds the source of each function in the migrations: the library repairs functions with it.

package Functions;

use strict;
use warnings;

use Facts;
use Sql;
use Table qw(fail);

# Other spellings of types, and how the facts spell them.
my %SPELLING = (
	'bit varying'         => [qw(varbit)],
	'character varying'   => ['varchar', 'char varying', 'nchar varying'],
	'double precision'    => [qw(float float8)],
	'time with time zone' => [qw(timetz)],
	'time without time zone'      => [qw(time)],
	'timestamp with time zone'    => [qw(timestamptz)],
	'timestamp without time zone' => [qw(timestamp)],
	bigint    => [qw(int8)],
	boolean   => [qw(bool)],
	character => [qw(char bpchar nchar)],
	integer   => [qw(int int4)],
	numeric   => [qw(decimal dec)],
	real      => [qw(float4)],
	smallint  => [qw(int2)]);
my %CANONICAL = map { my $type = $_; map { $_ => $type } @{ $SPELLING{$type} } } keys %SPELLING;

# A type as the facts spell it. Takes it with a blank between any two tokens.
sub canonical_type
{
	my ($type) = @_;
	my $word = lc $type;
	my $is_array = $word =~ s/ (?:array|\[).*//;
	my ($bits) = $word =~ /^float \( (\d+) \)$/;
	$word = 'real' if defined $bits and $bits <= 24;
	$word =~ s/^pg_catalog \. | \([\d ,]*\)//g;
	$word =~ s/^(interval) .*/$1/;
	$word =~ s/"//g;
	return ($CANONICAL{$word} // $word) . ($is_array ? '[]' : '');
}

# The positions of a CREATE FUNCTION's parts among its tokens: the name, the parentheses of its
# arguments, and where the body begins, from AS, BEGIN or RETURN on. Nothing for another statement.
sub parts
{
	my ($statement) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($name, $open, $close, $body);
	my $depth = 0;
	foreach my $at (0 .. $#tokens)
	{
		my $word = uc $tokens[$at]{text};
		$name = $at + 1 if not defined $name and $word eq 'FUNCTION';
		return if not defined $name and $word !~ /^(?:CREATE|OR|REPLACE)$/;
		$depth-- if $word eq ')';
		$open  //= $at if $word eq '(';
		$close //= $at if $word eq ')' and $depth == 0;
		$depth++ if $word eq '(';
		next unless defined $close and $depth == 0 and $tokens[$at]{kind} eq 'word';
		$body //= $at if $word =~ /^(?:AS|RETURN)$/ or $word eq 'BEGIN';
	}
	return { name => $name, open => $open, close => $close, body => $body };
}

# The fact that a CREATE FUNCTION statement of a migration makes true. Nothing if the migration
# drops the function again. Types are compared only if the name alone does not tell.
sub function_fact
{
	my ($statement, $parts, $name, $number, $facts) = @_;
	my @found = grep {
			  $_->{kind} eq 'function'
		  and $_->{name} eq $name
		  and $_->{first} <= $number
		  and $number <= $_->{last}
	} @$facts;
	return $found[0] if @found <= 1;
	my @list = @{ $statement->{tokens} }[ $parts->{open} + 1 .. $parts->{close} - 1 ];
	my @types = Facts::types_of(Facts::arguments(join ' ', map { $_->{text} } @list));
	my $key   = "$name(" . join(', ', map { canonical_type($_) } @types) . ')';
	my ($fact) = grep { $_->{key} eq $key } @found;
	return $fact;
}

# Finds for each CREATE FUNCTION of a migration the fact that it makes true: `signature` of the
# fact, `made_by`, `declaration` (the text before the body) and `body` (from AS, BEGIN or RETURN
# on). Each fact and each of our bodies must have one of its first revision.
sub sources
{
	my ($chain, $facts, $bodies) = @_;
	my (@sources, %made, %lines);
	foreach my $migration (@$chain)
	{
		my $number = $migration->{number};
		foreach my $statement (@{ $migration->{statements} })
		{
			my $parts = parts($statement) or next;
			my ($line, @tokens) = ($statement->{line}, @{ $statement->{tokens} });
			my $name = lc $tokens[ $parts->{name} ]{text} =~ s/"//gr;
			$lines{"$number $name"} //= $line;
			my $fact = function_fact($statement, $parts, $name, $number, $facts) or next;
			my $body = $parts->{body} // fail($migration->{path}, $line, "$name has no body");
			my ($from, $to, $end) =
			  map { $_->{at} - $tokens[0]{at} } @tokens[ $parts->{name} - 1, $body - 1, $body ];
			$to += length $tokens[ $body - 1 ]{text};
			push @sources,
			  {
				made_by     => $number,
				signature   => $fact->{signature},
				declaration => substr($statement->{text}, $from, $to - $from),
				body        => substr($statement->{text}, $end)
			  };
			$made{"$number $fact->{signature}"} = 1;
		}
	}
	my %name = map { $_->{signature} => $_->{name} } grep { $_->{kind} eq 'function' } @$facts;
	my @wanted = map { [ $_->{first}, $_->{signature} // $_->{function} ] }
	  grep { $_->{file} !~ /upstream/ } (grep { $_->{kind} eq 'function' } @$facts), @$bodies;
	foreach my $one (@wanted)
	{
		my ($number, $signature) = @$one;
		next if $made{"$number $signature"};
		fail($chain->[ $number - 1 ]{path}, $lines{"$number $name{$signature}"} // 1,
			"no CREATE FUNCTION makes $signature, which src/data has from this revision on: spell"
			  . ' the types of its arguments as structure.tsv does, or run make facts');
	}
	return @sources;
}

1;
