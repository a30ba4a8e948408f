# Values and names as SQL writes them.

package Procrastinate::Test::SQL;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(call_of lit name);

# A literal for SQL; undef is NULL.
sub lit
{
	my ($value) = @_;
	return 'NULL' if not defined $value;
	$value =~ s/'/''/g;
	return $value =~ s/\\/\\\\/g ? " E'$value'" : "'$value'";
}

# An identifier for SQL.
sub name
{
	my ($identifier) = @_;
	$identifier =~ s/"/""/g;
	return qq("$identifier");
}

# A call with its arguments, each given as SQL.
sub call_of
{
	my ($function, @arguments) = @_;
	return "$function(" . join(', ', @arguments) . ')';
}

1;
