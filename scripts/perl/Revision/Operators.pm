# Finds operators without the name of their schema, where another role's operator could be picked.

package Revision::Operators;

use strict;
use warnings;

use Exporter 'import';

use Sql qw(statements tokens);

our @EXPORT_OK = qw(bare_operators);

# Statements that neither store nor run an expression. Function bodies run as their caller, later.
my $STORED = qr/(?:UNIQUE )?INDEX|TABLE|(?:OR REPLACE )?TRIGGER/i;
my $NONE = qr/^(?:COMMENT|DROP|LOCK|ALTER (?!TABLE)|CREATE (?!$STORED))\b/i;

# Words that a sign may follow.
my $BEFORE_SIGN = qr/^(?:AND|BETWEEN|BY|DEFAULT|ELSE|NOT|OR|RETURN|SELECT|THEN|WHEN|\W+)$/;

# bare_operators(SQL): "LINE: OPERATOR" for each of them in expressions that are stored (indexes,
# checks, defaults, conditions of triggers) or that run at once (UPDATE, DO and so on). IN, BETWEEN,
# LIKE and DISTINCT FROM look up an operator by its name alone, too.
sub bare_operators
{
	my ($sql) = @_;
	my @found;
	foreach my $statement (grep { $_->{text} =~ s/\s+/ /gr !~ $NONE } statements($sql))
	{
		my @tokens = @{ $statement->{tokens} };
		push @found, bare(@tokens);
		next if uc($tokens[0]{text}) ne 'DO';
		foreach my $body (grep { $_->{kind} eq 'body' } @tokens)
		{
			my ($open, $code) = $body->{text} =~ /^(\$\w*\$)(.*)\$\w*\$$/s;
			my @inner = grep { $_->{kind} !~ /^(?:blank|comment)$/ } tokens($code);
			$_->{at} += $body->{at} + length $open foreach @inner;
			push @found, bare(@inner);
		}
	}
	return map { 1 + (substr($sql, 0, $_->{at}) =~ tr/\n//) . ": $_->{text}" } @found;
}

# Those of the tokens that look up an operator.
sub bare
{
	my @tokens = @_;
	my @words = map { uc $_->{text} } @tokens;
	my (@found, @opened);    # the word before each parenthesis that is open
	my $set = -1;    # the depth of a list of assignments after SET
	foreach my $at (0 .. $#words)
	{
		my $word = $words[$at];
		my ($before, $after) = ($at > 0 ? $words[ $at - 1 ] : '', $words[ $at + 1 ] // '');
		push @opened, $before if $word eq '(';
		pop @opened if $word eq ')';
		$set = @opened if $word eq 'SET';
		$set = -1 if $word =~ /^(?:FROM|WHERE|RETURNING|;)$/ && $set == @opened;
		next if $tokens[$at]{kind} !~ /^(?:word|other)$/ || $before eq '.';
		push @found, $tokens[$at]
		  if $word =~ /^(?:BETWEEN|I?LIKE)$/ && $before !~ /^[(,]$/
		  || $word eq 'IN' && $after eq '(' && $before !~ /^[(,]?$/
		  || $word eq 'DISTINCT' && $after eq 'FROM';
		next if $word !~ /^[-+*\/<>=~!@#%^&|?]+$/ || $word eq '=>';
		# An assignment, a parameter, all columns, a type of PL/pgSQL, the sign of a number.
		my $opened = $opened[-1] // '';
		my $two = "$words[ $at - 2 ] $before";
		next if $word eq '=' && $set == @opened && $two =~ /^(?:SET|[,(]) |\)$/;
		next if $word eq '=' && $before =~ /^(?::|ERRCODE|DETAIL|HINT|MESSAGE)$/;
		next if $word eq '=' && $opened =~ /^(?:WITH|SET)$/;
		next if $word eq '*' && $before =~ /^(?:\(|,|SELECT|RETURNING|)$/;
		next if $word eq '%' && $after =~ /^(?:ROW)?TYPE$/;
		next if $word =~ /^[-+]$/ && $after =~ /^\d/ && $before =~ $BEFORE_SIGN;
		push @found, $tokens[$at];
	}
	return @found;
}

1;
