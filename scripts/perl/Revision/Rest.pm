# Spells the line "-- rest" of a step: by their beginnings, which statements of the migration's own
# file the step runs.

package Revision::Rest;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(spell_rest);

# Says by their beginnings which statements of the migration's file belong to a step's rest. If they
# cannot be told from the others, they are written out.
sub spell_rest
{
	my ($step, $statements) = @_;
	my %in = map { $_ => 1 } @{ $step->{rest} };
	my @out = grep { !$in{$_} } 0 .. $#$statements;
	if (!@out)
	{
		$step->{spelled} = '-- rest';
		return;
	}
	my $only = beginnings($statements, $step->{rest}, \@out);
	my $without = beginnings($statements, \@out, $step->{rest});
	my ($shortest) = sort { length $a <=> length $b } (
		defined $only    ? "-- rest only $only"       : (),
		defined $without ? "-- rest without $without" : ());
	if (defined $shortest)
	{
		$step->{spelled} = $shortest;
		return;
	}
	push @{ $step->{parts} }, map { { sqls => ["$statements->[$_]{text};"] } } @{ $step->{rest} };
	$step->{rest} = [];
	return;
}

# Beginnings that those statements have and the others do not, by commas; undef if there are none.
sub beginnings
{
	my ($statements, $these, $others) = @_;
	my @found;
	STATEMENT: foreach my $number (@$these)
	{
		my $text = $statements->[$number]{text};
		next if grep { index($text, $_) == 0 } @found;
		my ($line) = $text =~ /^([^\n]*)/;
		$line =~ s/, .*//;
		my ($least) = $line =~ /^((?:CREATE (?:OR REPLACE )?(?:UNIQUE )?|ALTER |DROP )?\S+)/i;
		while ($line =~ /\G(\S+(?: +(?=\S))?)/g)
		{
			next if pos($line) < length $least;
			my $beginning = substr($line, 0, pos $line) =~ s/ +$//r;
			next if grep { index($statements->[$_]{text}, $beginning) == 0 } @$others;
			push @found, $beginning;
			next STATEMENT;
		}
		return undef;
	}
	return join ', ', @found;
}

1;
