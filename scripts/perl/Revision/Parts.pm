# What Revision::Classify and Revision::AlterTable share: names and positions in a statement's
# tokens, and the parts of a statement that they return.

package Revision::Parts;

use strict;
use warnings;

use Exporter 'import';

use LockModes qw(@LOCK_MODES);

our @EXPORT_OK = qw(distinct free identifier is_there merge_locks name_at quoted references skip
  split_list strongest taken text_of top_level undecided);

my %STRENGTH = map { $LOCK_MODES[$_] => $_ } 0 .. $#LOCK_MODES;

# ---- Parts and locks ---------------------------------------------------------------------------

# A part that locks no table that is there.
sub free { return { does => 'free', @_ } }

# undecided(WHY, more keys): a part whose effect on clients a program cannot tell.
sub undecided
{
	my ($why, @more) = @_;
	my $phrase = 'run statements that need a decision';
	return { does => 'undecided', why => $why, phrase => $phrase, @more };
}

# Why an index cannot be built: no statement before frees its name.
sub taken { return "another index has the name $_[0], and no statement drops it by that name" }

sub is_there
{
	my ($catalog, $table) = @_;
	return defined $table && exists $catalog->{tables}{$table};
}

sub strongest
{
	my ($catalog, $table) = @_;
	return is_there($catalog, $table) ? { $table => 'ACCESS EXCLUSIVE' } : {};
}

# The strongest mode of each table: { table => mode } of several such hashes.
sub merge_locks
{
	my %locks;
	foreach my $more (@_)
	{
		foreach my $table (keys %$more)
		{
			my ($new, $old) = map { ($_ // '') =~ s/ if there$//r } $more->{$table}, $locks{$table};
			next if $old ne '' && $STRENGTH{$new} <= $STRENGTH{$old};
			$locks{$table} = $more->{$table};
		}
	}
	return \%locks;
}

sub distinct { my %seen; return grep { !$seen{$_}++ } @_ }

# ---- Tokens ------------------------------------------------------------------------------------

# The name that a token spells, as the server folds it; undef if it is no name.
sub identifier
{
	my ($token) = @_;
	return undef if !defined $token;
	return lc $token->{text} if $token->{kind} eq 'word';
	return $token->{text} =~ s/^"|"$//gr =~ s/""/"/gr if $token->{kind} eq 'quoted';
	return undef;
}

sub quoted
{
	my ($name) = @_;
	return $name =~ /^[a-z_][a-z0-9_]*$/ ? $name : '"' . $name =~ s/"/""/gr . '"';
}

sub name_at
{
	my ($statement, $at) = @_;
	my $tokens = $statement->{tokens};
	return $at <= $#$tokens ? identifier($tokens->[$at]) // '' : '';
}

# The position after optional phrases.
sub skip
{
	my ($tokens, $at, @optional) = @_;
	foreach my $phrase (@optional)
	{
		my @words = split / /, $phrase;
		next if $at + $#words > $#$tokens;
		my $here = join ' ', map { uc $tokens->[$_]{text} } $at .. $at + $#words;
		$at += @words if $here eq $phrase;
	}
	return $at;
}

# The text of the tokens from one position to another, as the file has it.
sub text_of
{
	my ($statement, $from, $to) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $begin = $tokens[$from]{at} - $tokens[0]{at};
	my $end = $tokens[$to]{at} + length($tokens[$to]{text}) - $tokens[0]{at};
	return substr($statement->{text}, $begin, $end - $begin);
}

# Positions of the wanted tokens that stand in no parentheses.
sub top_level
{
	my ($tokens, $from, $to, $is_wanted) = @_;
	my ($depth, @found) = (0);
	foreach my $at ($from .. $to)
	{
		my $text = $tokens->[$at]{text};
		push @found, $at if $depth == 0 && $is_wanted->($tokens->[$at]);
		$depth++ if $text =~ /^[(\[]$/;
		$depth-- if $text =~ /^[)\]]$/;
	}
	return @found;
}

# A list with commas, as [ first position, last position ] of each item.
sub split_list
{
	my ($tokens, $from, $to) = @_;
	my @parts;
	foreach my $comma (top_level($tokens, $from, $to, sub { $_[0]{text} eq ',' }), $to + 1)
	{
		push @parts, [ $from, $comma - 1 ];
		$from = $comma + 1;
	}
	return @parts;
}

# The tables that REFERENCES names.
sub references
{
	my ($tokens, $from, $to) = @_;
	return map { identifier($tokens->[ $_ + 1 ]) }
	  grep { $tokens->[$_]{kind} eq 'word' && uc($tokens->[$_]{text}) eq 'REFERENCES' }
	  $from .. $to - 1;
}

1;
