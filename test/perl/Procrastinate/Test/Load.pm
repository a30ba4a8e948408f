# Clients under load: pgbench runs scripts until it is stopped.

package Procrastinate::Test::Load;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;

use Procrastinate::Test::Facts;

our @EXPORT = qw(deadlocks release_scripts start_load stop_load);

# Returns the scripts of a release's clients: one defers, one fetches, finishes and retries. The
# deferring client may be of another release.
sub release_scripts
{
	my ($release, $deferring) = @_;
	$deferring //= $release;
	return map { repository() . "/test/bench/online/$_.sql" } "defer_$deferring", "work_$release";
}

# start_load($node, $database, [ files of scripts ], options of pgbench)
sub start_load
{
	my ($node, $database, $scripts, @options) = @_;
	my %load = (in => '', out => '', err => '');
	$load{run} = IPC::Run::start(
		[   $node->installed_command('pgbench'), '-n', '-T', 600, '-D', 'locks=12', @options,
			(map { ('-f', $_) } @$scripts),
			$node->connstr($database) ],
		'<',
		\$load{in},
		'>',
		\$load{out},
		'2>',
		\$load{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%load;
}

# Stops the clients and returns their error lines.
sub stop_load
{
	my ($load) = @_;
	$load->{run}->signal('TERM') if $load->{run}->pumpable;
	$load->{run}->finish;
	return join '', grep { /ERROR|FATAL|aborted/ } split /^/, $load->{err};
}

# Returns the number of deadlocks in the database, after all clients have ended. A client may have
# tried again after a deadlock.
sub deadlocks
{
	my ($node, $database) = @_;
	$node->poll_query_until($database,
		q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND}
		  . q{ application_name = 'pgbench'}
	  )
	  or die 'clients stay';
	return $node->safe_psql($database,
		'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()');
}

1;
