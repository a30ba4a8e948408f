# procrastinate_migrate_servers() migrates the installations of other databases and servers by
# dblink: with servers that fail or cannot be reached, cancelled, and with its session ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Psql;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
my $other_node = start_server();
my %there; # the server and the database of each foreign server

refused();
add_servers();
dry_run();
all_of_them();
one_fails();
one_is_down();
with_a_password();
ended();
done_testing();

# A foreign server NAME for a new database there, with an installation at 0026.
sub add_server
{
	my ($name, $on, $wrapper) = @_;
	my $its = new_database($on);
	upgrade($on, $its, 26);
	$there{$name} = [ $on, $its ];
	run_sql("CREATE SERVER $name FOREIGN DATA WRAPPER $wrapper OPTIONS (host '"
		  . $on->host
		  . "', port '"
		  . $on->port
		  . "', dbname '$its')");
	run_sql("CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (user 'postgres')");
	return;
}

sub add_servers
{
	run_sql('CREATE EXTENSION postgres_fdw');
	add_server('loop_1', $node,       'dblink_fdw');
	add_server('loop_2', $node,       'postgres_fdw');
	add_server('far_1',  $other_node, 'dblink_fdw');
	add_server('far_2',  $other_node, 'postgres_fdw');
	return;
}

sub migrate_servers
{
	my (@arguments) = @_;
	my ($status, undef, $err) = $node->psql($database,
		'CALL procrastinate_migrate_servers(' . join(', ', @arguments) . ')');
	return ($status, $err);
}

sub revision_at
{
	my ($name) = @_;
	my ($on, $its) = @{ $there{$name} };
	return $on->safe_psql($its, 'SELECT revision FROM procrastinate_current()');
}

# Back to 0026, in a new schema public.
sub start_over
{
	foreach my $name (@_)
	{
		my ($on, $its) = @{ $there{$name} };
		$on->safe_psql($its, <<'SQL');
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
CREATE EXTENSION procrastinate_migrate
SQL
		upgrade($on, $its, 26);
	}
	return;
}

sub refused
{
	my ($status, $err) = migrate_servers();
	isnt($status, 0, 'without dblink it fails');
	like($err, qr/extension dblink is not installed.*HINT:  CREATE EXTENSION dblink;/s,
		'and says what to do');
	run_sql('CREATE SCHEMA "contrib of ours"; CREATE EXTENSION dblink SCHEMA "contrib of ours"');
	($status, $err) = migrate_servers();
	like($err, qr/no foreign server that you may use fits/, 'so it does without a server');
	($status, $err) = migrate_servers('workers => 0');
	like($err, qr/workers must be between 1 and 32/, 'a bound for workers');
	($status, undef, $err) =
	  $node->psql($database, 'BEGIN; CALL procrastinate_migrate_servers(); COMMIT');
	like($err, qr/procrastinate_migrate_servers\(\) cannot run inside a transaction block/,
		'it does not run in a transaction block');
	return;
}

sub dry_run
{
	my ($status, $err) = migrate_servers('dry_run => true');
	is($status, 0, 'dry run') || diag($err);
	foreach my $name (sort keys %there)
	{
		like(
			$err,
			qr/NOTICE:  server "$name": installations: 1, at head: 0$/m,
			"it has looked at $name");
	}
	is(revision_at('far_1'), '0026', 'nothing is migrated');
	return;
}

sub all_of_them
{
	my ($status, $err) = migrate_servers(q{'0027'}, q{servers => '{loop%}'});
	is($status,               0,      'it migrates to a target') || diag($err);
	is(revision_at('loop_2'), '0027', 'other databases of the cluster');
	is(revision_at('far_1'),  '0026', 'and no server whose name does not fit');
	($status, $err) = migrate_servers(q{schemas => '{nothing}'});
	is($status,               0,      'patterns of schemas count there') || diag($err);
	is(revision_at('loop_2'), '0027', 'so nothing is migrated');
	my $log = -s $node->logfile;
	($status, $err) = migrate_servers();
	is($status, 0, 'it migrates all') || diag($err);
	ok($node->log_contains(qr/schema "public" is migrated/, $log),
		'the log has the NOTICEs of the other servers');
	is(revision_at($_), $HEAD_NAME, "$_ is at head") foreach sort keys %there;
	my ($first) = $err =~ /server "(\w+)" is migrated/;
	is($first, 'far_1', 'the canary is the first by name');
	like($err, qr/ms \(4 of 4\)$/m, 'it tells the progress');
	my (undef, $left) = $node->psql($database,
		q{CALL procrastinate_migrate_servers();}
		  . q{ SELECT coalesce("contrib of ours".dblink_get_connections(), '{}')});
	is($left, '{}', 'it can be repeated, and leaves no connection');

	run_sql('CREATE ROLE nobody LOGIN');
	($status, undef, $err) =
	  $node->psql(
		$database,
		'CALL procrastinate_migrate_servers()',
		extra_params => [ '-U', 'nobody' ]);
	like($err, qr/no foreign server that you may use fits/,
		'a role without USAGE on the servers may use none');
	return;
}

sub one_fails
{
	start_over('loop_1', 'loop_2');
	my ($on, $its) = @{ $there{loop_1} };
	$on->safe_psql($its,
		'CREATE INDEX procrastinate_jobs_priority_idx ON procrastinate_jobs (attempts)');
	my ($status, $err) = migrate_servers(q{servers => '{loop%}'});
	isnt($status, 0, 'one fails: so does the call');
	like($err, qr/WARNING:  server "loop_1" could not be migrated \(1 of 2\)\nDETAIL:  PM016: /,
		'a WARNING says so');
	like($err, qr/^Schema "public": PM009 /m, 'with the reason there');
	like($err, qr/servers => ARRAY\[E'loop\\\\_1'\]::text\[\]/, 'the HINT migrates it alone');
	like($err, qr/ERROR:  1 of 2 servers could not be migrated/, 'the error counts');
	is(revision_at('loop_2'), '0026', 'a canary stops the rest');
	($status, $err) =
	  migrate_servers(q{servers => '{loop%}'}, 'canary => 0', q{on_error => 'continue'});
	is(revision_at('loop_2'), $HEAD_NAME, 'it goes on if it is told to');
	$on->safe_psql($its, 'DROP INDEX procrastinate_jobs_priority_idx');
	is((migrate_servers())[0], 0, 'later it succeeds');

	$on->safe_psql($its, 'DROP EXTENSION procrastinate_migrate CASCADE');
	($status, $err) = migrate_servers(q{servers => '{loop_1}'});
	like($err, qr/55000: extension procrastinate_migrate is not installed there/,
		'a server without the extension is told');
	$on->safe_psql($its, 'CREATE EXTENSION procrastinate_migrate');
	return;
}

sub one_is_down
{
	start_over('loop_1', 'loop_2');
	$other_node->stop;
	my ($status, $err) = migrate_servers('canary => 0', q{on_error => 'continue'});
	isnt($status, 0, 'one server is down');
	like($err, qr/^DETAIL:  Server "far_1": 08001 could not establish connection/m,
		'the error names it');
	like($err, qr/WARNING:  server "far_1" .*\nDETAIL:  08001: .*\nconnection to server .* failed/,
		'the WARNING has the reason');
	is(revision_at($_), $HEAD_NAME, "$_ is migrated") foreach ('loop_1', 'loop_2');
	$other_node->start;
	return;
}

# A role that is no superuser, on either side.
sub with_a_password
{
	start_over('far_1');
	my ($on, $its) = @{ $there{far_1} };
	$on->safe_psql($its, "CREATE ROLE tenant LOGIN PASSWORD 'of the tenant'");
	$on->safe_psql($its, 'GRANT USAGE ON SCHEMA public TO tenant');
	$on->safe_psql($its, 'CREATE SCHEMA queue AUTHORIZATION tenant');
	upgrade($on, $its, 26, 'queue');
	my $rules = $on->data_dir . '/pg_hba.conf';
	my $text  = slurp($rules);
	unlink $rules or die "cannot remove $rules: $!";
	append_to_file($rules,
		"local all tenant scram-sha-256\nhost all tenant all scram-sha-256\n$text");
	$on->reload;

	my $call = sub {
		return ($node->psql($database,
				q{CALL procrastinate_migrate_servers(servers => '{far\_1}')},
				extra_params => [ '-U', 'tenant' ]))[ 0, 2 ];
	};
	run_sql('CREATE ROLE tenant LOGIN; GRANT USAGE ON FOREIGN SERVER far_1 TO tenant');
	run_sql('GRANT USAGE ON SCHEMA "contrib of ours" TO tenant');
	run_sql(q{CREATE USER MAPPING FOR tenant SERVER far_1 OPTIONS (user 'tenant')});
	my ($status, $err) = $call->();
	like($err, qr/server "far_1" .*password\b.* required/s, 'without a password dblink refuses');
	run_sql(q{ALTER USER MAPPING FOR tenant SERVER far_1 OPTIONS (ADD password 'of the tenant')});
	($status, $err) = $call->();
	is($status, 0, 'with a password it migrates') || diag($err);
	is($on->safe_psql($its, q{SELECT revision FROM procrastinate_current('queue')}),
		$HEAD_NAME, 'the installation of that role');
	is(revision_at('far_1'), '0026', 'and no other');
	servers_of_their_own($on, $its);

	$on->safe_psql($its, 'CREATE ROLE keeper; ALTER SCHEMA public OWNER TO keeper');
	($status, $err) = $call->();
	like(
		$err,
		qr/42501: schema "public" of extension procrastinate_migrate is open to role "keeper"/,
		'a role that could put code in the place of the extension is not trusted');
	return;
}

# Those of a role that the caller is a member of count, and those of another role do not.
sub servers_of_their_own
{
	my ($on, $its) = @_;
	run_sql(<<"SQL");
CREATE ROLE tenants;
GRANT tenants TO tenant;
CREATE ROLE mallory;
GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO tenants, mallory;
SET ROLE tenants;
CREATE SERVER own FOREIGN DATA WRAPPER dblink_fdw
	OPTIONS (host '${\$on->host}', port '${\$on->port}', dbname '$its');
CREATE USER MAPPING FOR tenant SERVER own OPTIONS (user 'tenant', password 'of the tenant');
SET ROLE mallory;
CREATE SERVER others FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host 'nowhere.invalid');
GRANT USAGE ON FOREIGN SERVER others TO PUBLIC;
SQL
	my ($status, undef, $err) =
	  $node->psql(
		$database,
		q{CALL procrastinate_migrate_servers(servers => '{o%}', dry_run => true)},
		extra_params => [ '-U', 'tenant' ]);
	is($status, 0, 'a role connects to a server of its own roles') || diag($err);
	like($err, qr/NOTICE:  server "own": /, 'and tells of it');
	unlike($err, qr/nowhere/, 'a server of another role is not connected to');
	like($err, qr/WARNING:  .*others/, 'a WARNING names it');
	run_sql('DROP SERVER own CASCADE; DROP SERVER others CASCADE');
	return;
}

# A run waits for a lock there.
sub ended
{
	my ($on, $its) = @{ $there{far_1} };
	my $call     = q{CALL procrastinate_migrate_servers(servers => '{far%}')};
	my $runs     = q{FROM pg_stat_activity WHERE query ~ '^(CALL|DO) .*procrastinate_migrate'};
	foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
	{
		start_over('far_1', 'far_2');
		my $blocker = start_psql($on, $its,
			[ 'BEGIN; LOCK TABLE procrastinate_jobs; SELECT pg_sleep(600)' ],
			'-v', 'ON_ERROR_STOP=1');
		wait_on($on, $its,
			q{SELECT count(*) = 1 FROM pg_stat_activity}
			  . q{ WHERE query LIKE '%sleep(600)' AND wait_event = 'PgSleep'});
		my $caller = start_psql($node, $database, [$call]);
		wait_on($on, $its, "SELECT count(*) > 0 $runs");
		run_sql("SELECT $how(pid) FROM pg_stat_activity"
			  . " WHERE query LIKE 'CALL procrastinate_migrate_servers%'");
		$caller->{run}->finish;
		ok($caller->{run}->result, "$how: the call ends");
		ok(wait_on($on, $its, "SELECT count(*) = 0 $runs"), "$how: and so do the runs there");
		is(revision_at('far_1'), '0026', "$how: nothing has changed");
		$on->safe_psql($its,
			q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity}
			  . q{ WHERE query LIKE '%sleep(600)'});
		$blocker->{run}->finish;
	}
	is((migrate_servers())[0], 0, 'the next call goes on');
	is(revision_at($_), $HEAD_NAME, "$_ is at head") foreach sort keys %there;
	return;
}

sub wait_on
{
	my ($on, $its, $query) = @_;
	return $on->poll_query_until($its, $query) || die "this did not become true: $query\n";
}
