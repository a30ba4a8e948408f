# Scripts of procrastinate_sql(), run by psql as users do.

package Procrastinate::Test::Script;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;

use Procrastinate::Test::SQL;

our @EXPORT = qw(run_script script_file script_text start_script);

my $scripts = 0;

# script_text($node, $database, $range, $schema, further arguments as SQL)
sub script_text
{
	my ($node, $database, $range, $schema, @arguments) = @_;
	return $node->safe_psql($database,
		'SELECT procrastinate_sql(' . join(', ', lit($range), lit($schema), @arguments) . ')');
}

# The path of a file with the text.
sub script_file
{
	my ($text) = @_;
	# Tests that run at the same time share the folder.
	my $path = "$PostgreSQL::Test::Utils::tmp_check/script_$$" . '_' . ++$scripts . '.sql';
	open(my $file, '>', $path) or die "cannot write $path: $!";
	print $file $text;
	close $file;
	return $path;
}

sub command_of
{
	my ($node, $database, $path, @options) = @_;
	return [
		$node->installed_command('psql'), qw(-X -v ON_ERROR_STOP=1),
		@options, '-f', $path, '-d', $node->connstr($database) ];
}

# run_script($node, $database, $path, options of psql): returns the exit status, what went to
# standard error, and what to standard output.
sub run_script
{
	my ($out, $err) = ('', '');
	IPC::Run::run(command_of(@_), '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $err, $out);
}

# The same in the background. Returns a hash: run, whose finish() waits for the end, and out and
# err, what psql has printed until then.
sub start_script
{
	my %psql = (out => '', err => '');
	$psql{run} = IPC::Run::start(command_of(@_), '>', \$psql{out}, '2>', \$psql{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%psql;
}

1;
