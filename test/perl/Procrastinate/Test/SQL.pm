# Values and names as SQL writes them.

package Procrastinate::Test::SQL;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw($HISTORY_COLUMNS $HISTORY_KEY $THIS_DATABASE call_of lit name);

# The columns of a history table, and its key.
our $HISTORY_COLUMNS = 'id bigint, event text, from_revision text, to_revision text,'
  . ' applied_at timestamptz DEFAULT clock_timestamp(), applied_by text DEFAULT session_user,'
  . ' duration interval, version text, system_identifier bigint, database_oid oid';
our $HISTORY_KEY = 'PRIMARY KEY (system_identifier, database_oid, id)';

# Values of the last two of them for a row that this database has written.
our $THIS_DATABASE = '(SELECT s.system_identifier FROM pg_control_system() s),'
  . ' (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())';

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
