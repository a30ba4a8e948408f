# Clients at work: pgbench runs scripts until it is told to stop.

package Procrastinate::Test::Load;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;

use Procrastinate::Test::Facts;

our @EXPORT = qw(release_scripts start_load stop_load);

# The scripts of a release's clients: they defer; they fetch, finish and retry.
sub release_scripts
{
	my ($release) = @_;
	return map { repository() . "/test/bench/online/${_}_$release.sql" } qw(defer work);
}

# start_load($node, $database, [ files of scripts ], options of pgbench)
sub start_load
{
	my ($node, $database, $scripts, @options) = @_;
	my %load = (in => '', out => '', err => '');
	$load{run} = IPC::Run::start(
		[ $node->installed_command('pgbench'), '-n', '-T', 600, '-D', 'locks=12', @options, (map { ('-f', $_) } @$scripts),
			$node->connstr($database) ],
		'<', \$load{in}, '>', \$load{out}, '2>', \$load{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%load;
}

# The lines in which the clients complained.
sub stop_load
{
	my ($load) = @_;
	$load->{run}->signal('INT') if $load->{run}->pumpable;
	$load->{run}->finish;
	return join '', grep { /ERROR|FATAL|aborted/ } split /^/, $load->{err};
}

1;
