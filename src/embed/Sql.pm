# Splits SQL into statements and tokens: it knows comments, strings, dollar quotes, quoted names,
# operators, parentheses and SQL-standard function bodies (BEGIN ATOMIC ... END). Used by the build
# and by scripts/new-revision and scripts/facts.

package Sql;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(items literals refusal statements tokens);

my $COMMENT = qr{--[^\n]*|(?<nested>/\*(?:[^*/]++|\*(?!/)|/(?!\*)|(?&nested))*+\*/)};
my $STRING = qr{[eE]'(?:[^'\\]++|\\.|'')*+'|(?:[bBxXnN]|[uU]&)?'[^']*+(?:''[^']*+)*+'}s;
my $BODY = qr{\$(?<tag>(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?)\$.*?\$\g{tag}\$}s;
# An operator ends before a comment.
my $OPERATOR = qr{[-+*/<>=~!@#%^&|`?]+?(?=--|/\*|[^-+*/<>=~!@#%^&|`?]|\z)};
my $QUOTED = qr{(?:[uU]&)?"[^"]*+(?:""[^"]*+)*+"};

# The tokens of a text, in order, as hashes: kind (blank, comment, string, body, quoted, word, end,
# other), text, and at, its offset in bytes. A body is a string in dollar quotes. Dies with
# "line N: ..." on a string or comment that does not end.
sub tokens
{
	my ($sql) = @_;
	my @tokens;
	pos($sql) = 0;
	while (pos($sql) < length $sql)
	{
		my $at = pos($sql);
		my $kind =
		    $sql =~ /\G\s+/gc      ? 'blank'
		  : $sql =~ /\G$COMMENT/gc ? 'comment'
		  : $sql =~ /\G$STRING/gc  ? 'string'
		  : $sql =~ /\G$BODY/gc    ? 'body'
		  : $sql =~ /\G$QUOTED/gc  ? 'quoted'
		  : $sql =~ /\G[A-Za-z_\x80-\xff][\w\$\x80-\xff]*/gc ? 'word'
		  : $sql =~ /\G\d[\w.]*/gc ? 'other'
		  : $sql =~ /\G\$\d+/gc    ? 'other'
		  : $sql =~ /\G;/gc        ? 'end'
		  : $sql =~ m{\G(?:['"]|/\*|\$\w*\$)} ? undef
		  : $sql =~ /\G(?:::|$OPERATOR|.)/gcs ? 'other'
		  :                                     undef;
		if (!defined $kind)
		{
			my $line = 1 + (substr($sql, 0, $at) =~ tr/\n//);
			die "line $line: a string or comment that does not end\n";
		}
		push @tokens, { kind => $kind, text => substr($sql, $at, pos($sql) - $at), at => $at };
	}
	return @tokens;
}

# The statements of a text, in order, as hashes:
#   text     from the first token to the last one, without the semicolon
#   line     of its first token, from 1
#   tokens   without blanks and comments
#   outer    the text with a blank for each comment and $$$$ for each body, except the body of DO,
#            which runs at once
#   is_open  true if the text ends before a semicolon
# Dies as tokens() does.
sub statements
{
	my ($sql) = @_;
	my (@statements, @current);
	my ($parentheses, $blocks, $is_routine, $previous) = (0, 0, 0, '');
	my $finish = sub {
		my ($is_open) = @_;
		pop @current while @current && !is_significant($current[-1]);
		my @significant = grep { is_significant($_) } @current;
		push @statements,
		  {
			text    => join('', map { $_->{text} } @current),
			line    => 1 + (substr($sql, 0, $current[0]{at}) =~ tr/\n//),
			tokens  => \@significant,
			outer   => join('', map { outer($_, $current[0]) } @current),
			is_open => $is_open
		  }
		  if @current;
		@current = ();
		($parentheses, $blocks, $is_routine, $previous) = (0, 0, 0, '');
		return;
	};
	foreach my $token (tokens($sql))
	{
		if ($token->{kind} eq 'end' && $parentheses <= 0 && $blocks <= 0)
		{
			$finish->(0);
			next;
		}
		next if !@current && !is_significant($token);
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
	$finish->(1);
	return @statements;
}

sub is_significant { return $_[0]{kind} !~ /^(?:blank|comment)$/ }

# What `outer` has of a token in the statement that begins with another.
sub outer
{
	my ($token, $first) = @_;
	return ' ' if $token->{kind} eq 'comment';
	return '$$$$' if $token->{kind} eq 'body' && uc($first->{text}) ne 'DO';
	return $token->{text};
}

# Why a statement cannot run in a migration or in a step; nothing if it can. The library begins and
# ends the transaction and sets the settings. May_be_concurrent is true for a step that runs outside
# of a transaction block.
sub refusal
{
	my ($statement, %options) = @_;
	my @words = map { $_->{text} } @{ $statement->{tokens} };
	my ($at) = grep { $words[$_] =~ /^\\/ } 0 .. $#words;
	return 'a command of psql: \\' . ($words[ $at + 1 ] // '') . '; remove it' if defined $at;
	my ($first, $second) = map { uc($_ // '') } @words[ 0, 1 ];
	return "$first would begin or end a transaction, which the library does: remove it"
	  if $first =~ /^(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE)$/
	  or "$first $second" eq 'PREPARE TRANSACTION';
	return "$first would change a setting, which the library does: remove it"
	  if $first =~ /^(?:SET|RESET|DISCARD)$/;
	return 'CONCURRENTLY cannot run in a transaction: build the index in a concurrent step'
	  if not $options{may_be_concurrent}
	  and $first =~ /^(?:CREATE|DROP|REINDEX)$/
	  and grep { uc eq 'CONCURRENTLY' } @words;
	return;
}

# The words between quotes in a text, without the quotes. Dies as tokens() does.
sub literals
{
	my ($text) = @_;
	return map { $_->{text} =~ /^\w?'(.*)'$/s ? $1 =~ s/''/'/gr : () }
	  grep { $_->{kind} eq 'string' } tokens($text);
}

# Splits at commas that stand outside of parentheses and brackets. Dies as tokens() does.
sub items
{
	my ($text) = @_;
	my ($depth, @items) = (0, '');
	foreach my $token (tokens($text))
	{
		my $word = $token->{text};
		$depth++ if $word =~ /^[(\[]$/;
		$depth-- if $word =~ /^[)\]]$/;
		if   ($word eq ',' and $depth == 0) { push @items, '' }
		else                                { $items[-1] .= $word }
	}
	s/^\s+|\s+$//g foreach @items;
	return grep { $_ ne '' } @items;
}

1;
