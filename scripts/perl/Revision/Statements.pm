# Splits SQL into statements and tokens: it knows comments, strings, dollar quotes, quoted names,
# parentheses and SQL-standard function bodies (BEGIN ATOMIC … END).

package Revision::Statements;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(statements tokens);

my $COMMENT = qr{--[^\n]*|(?<nested>/\*(?:[^*/]++|\*(?!/)|/(?!\*)|(?&nested))*+\*/)};
my $STRING = qr{[eE]'(?:[^'\\]++|\\.|'')*+'|(?:[bBxXnN]|[uU]&)?'[^']*+(?:''[^']*+)*+'}s;
my $DOLLARS = qr{\$(?<tag>(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?)\$.*?\$\g{tag}\$}s;
# An operator ends before a comment.
my $OPERATOR = qr{[-+*/<>=~!@#%^&|`?]+?(?=--|/\*|[^-+*/<>=~!@#%^&|`?]|\z)};
my $QUOTED = qr{(?:[uU]&)?"[^"]*+(?:""[^"]*+)*+"};

# The tokens of a text, in order, as hashes: kind (blank, comment, string, quoted, word, end,
# other), text, and at, its offset in bytes. Dies on a string or comment that does not end.
sub tokens
{
	my ($sql) = @_;
	my @tokens;
	pos($sql) = 0;
	while (pos($sql) < length $sql)
	{
		my $at = pos($sql);
		my $kind =
		    $sql =~ /\G\s+/gc               ? 'blank'
		  : $sql =~ /\G$COMMENT/gc          ? 'comment'
		  : $sql =~ /\G(?:$STRING|$DOLLARS)/gc ? 'string'
		  : $sql =~ /\G$QUOTED/gc           ? 'quoted'
		  : $sql =~ /\G[A-Za-z_\x80-\xff][\w\$\x80-\xff]*/gc ? 'word'
		  : $sql =~ /\G\d[\w.]*/gc          ? 'other'
		  : $sql =~ /\G\$\d+/gc             ? 'other'
		  : $sql =~ /\G;/gc                 ? 'end'
		  : $sql =~ m{\G(?:['"]|/\*|\$\w*\$)} ? undef
		  : $sql =~ /\G(?:::|$OPERATOR|.)/gcs ? 'other'
		  :                                   undef;
		if (!defined $kind)
		{
			my $line = 1 + (substr($sql, 0, $at) =~ tr/\n//);
			die "line $line: a string or comment that does not end\n";
		}
		push @tokens, { kind => $kind, text => substr($sql, $at, pos($sql) - $at), at => $at };
	}
	return @tokens;
}

# The statements of a text, in order, as hashes: text (without leading comments and the semicolon),
# line (of its first token, from 1), tokens (without blanks and comments).
sub statements
{
	my ($sql) = @_;
	my (@statements, @current);
	my ($parentheses, $blocks, $is_routine, $previous) = (0, 0, 0, '');
	my $finish = sub {
		pop @current while @current && $current[-1]{kind} =~ /^(?:blank|comment)$/;
		my @significant = grep { $_->{kind} !~ /^(?:blank|comment)$/ } @current;
		@current = ();
		($parentheses, $blocks, $is_routine, $previous) = (0, 0, 0, '');
		return if !@significant;
		my ($first, $last) = @significant[ 0, -1 ];
		my $end = $last->{at} + length $last->{text};
		push @statements,
		  {
			text   => substr($sql, $first->{at}, $end - $first->{at}),
			line   => 1 + (substr($sql, 0, $first->{at}) =~ tr/\n//),
			tokens => \@significant
		  };
		return;
	};
	foreach my $token (tokens($sql))
	{
		if ($token->{kind} eq 'end' && $parentheses <= 0 && $blocks <= 0)
		{
			$finish->();
			next;
		}
		next if !@current && $token->{kind} =~ /^(?:blank|comment)$/;
		push @current, $token;
		$parentheses++ if $token->{text} eq '(';
		$parentheses-- if $token->{text} eq ')';
		next if $token->{kind} ne 'word';
		my $word = uc $token->{text};
		$is_routine ||= $word =~ /^(?:FUNCTION|PROCEDURE)$/ && uc($current[0]{text}) eq 'CREATE';
		next if !$is_routine;
		$blocks++ if $blocks ? $word eq 'CASE' : $word eq 'ATOMIC' && $previous eq 'BEGIN';
		$blocks-- if $blocks && $word eq 'END';
		$previous = $word;
	}
	$finish->();
	return @statements;
}

1;
