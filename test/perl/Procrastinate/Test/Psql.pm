# A psql that runs given commands while the test goes on. Session.pm keeps a psql open for queries.

package Procrastinate::Test::Psql;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_psql);

# start_psql($node, $database, [ commands ], options of psql): starts a psql that runs the commands
# one after the other. Returns a hash: run, whose finish() waits for the end, and out and err, what
# psql has printed until then.
sub start_psql
{
	my ($node, $database, $commands, @options) = @_;
	my %psql = (in => '', out => '', err => '');
	$psql{run} = IPC::Run::start(
		[   $node->installed_command('psql'), '-XAtq', @options, '-d', $node->connstr($database),
			map { ('-c', $_) } @$commands ],
		'<',
		\$psql{in},
		'>',
		\$psql{out},
		'2>',
		\$psql{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%psql;
}

1;
