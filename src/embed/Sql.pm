# Splits SQL text into statements, as psql would: knows strings, dollar quotes and comments.

package Sql;

use strict;
use warnings;

# One token that may hold a semicolon or a quote of another kind.
my $comment = qr{--[^\n]*|(/\*(?:[^*/]|\*(?!/)|/(?!\*)|(?-1))*\*/)};
my $string  = qr/\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'/s;
my $name    = qr/"(?:[^"]|"")*"/s;
my $body    = qr/(?<![\w\$])\$(?<tag>(?:[A-Za-z_]\w*)?)\$.*?\$\g{tag}\$/s;

# Takes the text apart: a list of [kind, text], kind one of comment, string, name, body, end, other.
sub tokens
{
	my ($text) = @_;
	my @tokens;
	pos($text) = 0;
	while (pos($text) < length $text)
	{
		if    ($text =~ /\G$comment/gc)          { push @tokens, [ comment => $& ] }
		elsif ($text =~ /\G$string/gc)           { push @tokens, [ string  => $& ] }
		elsif ($text =~ /\G$name/gc)             { push @tokens, [ name    => $& ] }
		elsif ($text =~ /\G$body/gc)             { push @tokens, [ body    => $& ] }
		elsif ($text =~ /\G;/gc)                 { push @tokens, [ end     => $& ] }
		elsif ($text =~ /\G(?:[A-Za-z0-9_]+|.)/gcs) { push @tokens, [ other => $& ] }
	}
	return @tokens;
}

my $routine = qr/^CREATE\b.*\b(?:FUNCTION|PROCEDURE)\b/is;

# The statements of a text, in order. Each is a hash:
#   text    the statement without its semicolon, and without comments and blanks before it
#   line    of its first character, from 1
#   offset  of its first character, in bytes
#   outer   its text without comments and without the bodies of functions. DO runs its body at once:
#           there it stays.
#   is_open true if the text ends before a semicolon
sub statements
{
	my ($text) = @_;
	my @statements;
	my ($line, $offset, $blocks) = (1, 0, 0);
	my $current;
	foreach my $token (tokens($text))
	{
		my ($kind, $word) = @$token;
		# BEGIN ATOMIC ... END is a body with semicolons of its own.
		if ($kind eq 'other' and $current and $current->{text} =~ $routine)
		{
			$blocks++ if $word =~ /^BEGIN$/i or ($blocks and $word =~ /^CASE$/i);
			$blocks-- if $blocks and $word =~ /^END$/i;
		}
		if ($kind eq 'end' and not $blocks)
		{
			push @statements, $current if $current;
			$current->{is_open} = 0    if $current;
			$current = undef;
		}
		elsif ($current or ($kind ne 'comment' and $word =~ /\S/))
		{
			$current ||= {
				text    => '',
				outer   => '',
				line    => $line,
				offset  => $offset,
				is_open => 1
			};
			$current->{text} .= $word;
			$current->{outer} .=
			    $kind eq 'comment'                                ? ' '
			  : $kind eq 'body' && $current->{text} !~ /^DO\b/i ? '$$'
			  :                                                     $word;
		}
		$line   += $word =~ tr/\n//;
		$offset += length $word;
	}
	push @statements, $current if $current and $current->{outer} =~ /\S/;
	s/\s+$// foreach map { ($_->{text}, $_->{outer}) } @statements;
	return @statements;
}

# The words between quotes in a text, without the quotes.
sub literals
{
	my ($text) = @_;
	return map { $_->[1] =~ /^[eE]?'(.*)'$/s ? $1 =~ s/''/'/gr : () }
	  grep { $_->[0] eq 'string' } tokens($text);
}

# Splits at commas that stand outside of parentheses and brackets.
sub items
{
	my ($text) = @_;
	my ($depth, @items) = (0, '');
	foreach my $token (tokens($text))
	{
		my $word = $token->[1];
		$depth++ if $word =~ /^[(\[]$/;
		$depth-- if $word =~ /^[)\]]$/;
		if   ($word eq ',' and $depth == 0) { push @items, '' }
		else                                { $items[-1] .= $word }
	}
	s/^\s+|\s+$//g foreach @items;
	return grep { $_ ne '' } @items;
}

1;
