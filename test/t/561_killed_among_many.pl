# procrastinate_migrate_all() in the middle of 200 schemas, when kill -9 ends its client, its
# session, a worker or the server: the next call goes on, until all catalogs are those of head.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Psql;

my $schemas = 200;
my $from    = 34;
my $call    = 'CALL procrastinate_migrate_all()';

my $node     = start_server(conf => "restart_after_crash = on\n");
my $database = new_database($node);
use_database($node, $database);
run_sql(<<"SQL");
SET client_min_messages = warning;
DO \$\$
BEGIN
	FOR i IN 1 .. $schemas LOOP
		EXECUTE 'CREATE SCHEMA tenant_' || i;
		PERFORM procrastinate_upgrade('00$from', 'tenant_' || i);
		COMMIT;
	END LOOP;
END
\$\$
SQL

my $at_head = 0;
foreach my $what ('client', 'session', 'worker', 'server')
{
	my $caller = start_psql($node, $database, [$call]);
	my $before = $at_head;
	wait_until(
		"SELECT count(*) FILTER (WHERE is_head) > $before + 5 FROM procrastinate_installations",
		"$what: some are migrated");
	kill_one($what, $caller);
	$caller->{run}->finish;
	ok($caller->{run}->full_result, "$what: its call ends");
	wait_until_up();
	wait_until(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'CALL %'},
		"$what: no run is left");
	$at_head = run_sql('SELECT count(*) FILTER (WHERE is_head) FROM procrastinate_installations');
	cmp_ok($at_head, '<', $schemas, "$what: others are left");
}
my ($status, undef, $err) = $node->psql($database, $call);
is($status, 0, 'the last call ends') || diag($err);
is( run_sql(
		'SELECT count(*) FROM procrastinate_installations'
		  . ' WHERE is_head AND under_way_since IS NULL'),
	$schemas,
	'all installations are at head');
is( run_sql('SELECT count(*) FROM procrastinate_installations i,'
		  . ' procrastinate_check(schema => i.schema)'),
	'0',
	'and their catalogs are those of head');
done_testing();

sub kill_one
{
	my ($what, $caller) = @_;
	if ($what eq 'client')
	{
		$caller->{run}->signal('KILL');
	}
	elsif ($what eq 'server')
	{
		$node->kill9;
		# It does not start while one of the old processes is left. A start that fails takes the
		# postmaster.pid of the old server for that of a new one.
		$node->{_pid} = undef until $node->start(fail_ok => 1);
	}
	else
	{
		my $type = $what eq 'worker' ? 'procrastinate_migrate' : 'client backend';
		my $pid  = "SELECT max(pid) FROM pg_stat_activity WHERE backend_type = '$type'"
		  . q{ AND pid <> pg_backend_pid() AND query LIKE 'CALL %'};
		my $killed = 0;
		until ($killed) # a worker may have ended meanwhile
		{
			my $found = run_sql($pid);
			$killed = $found ne '' && kill('KILL', $found);
		}
	}
	return;
}

# A process that is killed makes the server end all sessions and recover.
sub wait_until_up
{
	my @is_ready = ($node->installed_command('pg_isready'), '-q', '-d', $node->connstr('postgres'));
	usleep(100_000) while system(@is_ready) != 0;
	return;
}
