# procrastinate_migrate_all() and procrastinate_migrate_servers() run no code of other roles, and do
# not wait without a limit for what other roles hold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Psql;

my $node     = start_server();
my $database = new_database($node);
my $there    = 'there';    # short: server_dropped() needs it in a name
use_database($node, $database);
run_sql('CREATE ROLE mallory LOGIN; CREATE ROLE app LOGIN');
run_sql('GRANT CREATE ON SCHEMA public TO mallory');
$node->safe_psql('postgres', "CREATE DATABASE $there");
$node->safe_psql($there,     'CREATE EXTENSION procrastinate_migrate');

procedure_in_the_way();
input_of_a_type_in_the_way();
all_places_taken();
upgrade($node, $there, 26, 'queue');
server_of_another_role();
owner_of_the_other_database();
dblink_moved();
server_dropped();
kept_by_a_trigger();
done_testing();

sub call
{
	my ($call) = @_;
	return ($node->psql($database, "CALL $call"))[ 0, 2 ];
}

sub is_no_superuser
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(run_sql(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', $name);
}

# Its arguments fit better than those of the extension's procedure.
sub procedure_in_the_way
{
	upgrade($node, $database, 26, 'queue');
	my $procedure = 'procrastinate_migrate(target text, schema text)';
	run_sql("SET ROLE mallory; CREATE PROCEDURE public.$procedure LANGUAGE plpgsql"
		  . q{ AS $$ BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; END $$});
	my ($status, $err) = call('procrastinate_migrate_all()');
	isnt($status, 0, 'with a procedure of another role in the way, no worker goes on');
	like($err, qr/42501: procedure public\.procrastinate_migrate\(\S+\) stands in the way/,
		'the WARNING names it');
	is_no_superuser('and it is not called');
	is(revision_of('queue'), '0026', 'nothing is migrated');
	run_sql("DROP PROCEDURE public.$procedure");
	is((call('procrastinate_migrate_all()'))[0], 0, 'without it, the call goes on');
	return;
}

# While a call runs, the owner of the extension's schema puts another one in its place. The name of
# an installation is a valid literal of the type of an argument there.
sub input_of_a_type_in_the_way
{
	my $other = 'trusted';
	$node->safe_psql('postgres', "CREATE DATABASE $other OWNER mallory");
	$node->safe_psql($other,
		'SET ROLE mallory; CREATE SCHEMA ext; CREATE EXTENSION procrastinate_migrate SCHEMA ext');
	$node->safe_psql($other,
		qq{SET ROLE mallory; CREATE SCHEMA "$_"; SELECT ext.procrastinate_upgrade('0026', '$_')})
	  foreach 'b', '{x}';
	my $log     = -s $node->logfile;
	my $blocker = new_session($node, $other);
	$blocker->query('BEGIN; LOCK TABLE b.procrastinate_jobs');
	my $caller = start_psql($node, $other, [q{CALL ext.procrastinate_migrate_all('head'::text)}]);
	wait_until(
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'}
		  . q{ AND query LIKE 'CALL %'},
		'a worker waits for the first installation');
	$node->safe_psql($other, <<'SQL');
SET ROLE mallory;
ALTER SCHEMA ext RENAME TO ext_old;
CREATE SCHEMA ext;
CREATE FUNCTION ext.g() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'trapped as %', current_user;
	RETURN true;
END $$;
CREATE FUNCTION ext.f(text) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT 1; SELECT ext.g()';
CREATE DOMAIN ext.d AS text CHECK (ext.f(VALUE));
CREATE PROCEDURE ext.procrastinate_migrate(target text, schema ext.d[]) LANGUAGE plpgsql
	AS 'BEGIN END';
SQL
	$blocker->query('ROLLBACK');
	$caller->{run}->finish;
	ok(!$node->log_contains(qr/trapped as/, $log), 'a worker calls no input function for it');
	like($caller->{err}, qr/42501: procedure ext\.procrastinate_migrate.* stands in the way/,
		'and the procedure is named');
	$blocker->close;
	return;
}

# A call waits for a lock of the role app, with all places that its own role has.
sub all_places_taken
{
	run_sql('CREATE SCHEMA slow AUTHORIZATION app');
	upgrade($node, $database, 26, 'slow');
	my $setting = 'SET procrastinate_migrate.max_migrate_workers = 1;';
	my $blocker = session();
	$blocker->query('BEGIN; LOCK TABLE slow.procrastinate_jobs');
	my $caller = start_psql($node, $database,
		[ "SELECT procrastinate_current(); $setting", q{CALL procrastinate_migrate_all('head')} ]);
	wait_until(q{SELECT count(*) = 1 FROM pg_stat_activity}
		  . q{ WHERE backend_type = 'procrastinate_migrate'},
		'the first call has its worker');
	upgrade($node, $database, 26, 'other');
	run_sql('CREATE SCHEMA quick AUTHORIZATION app');
	upgrade($node, $database, 26, 'quick');
	run_sql('ALTER ROLE app SET procrastinate_migrate.max_migrate_workers = 1');
	my ($status, undef, $err) = $node->psql(
		$database,
		q{CALL procrastinate_migrate_all('head', schemas => '{quick}', retry_for => '300 ms')},
		extra_params => [ '-U', 'app' ]);
	is($status, 0, 'a call of another role has places of its own') || diag($err);
	($status, undef, $err) = $node->psql($database, <<'SQL');
SELECT procrastinate_current();
SET procrastinate_migrate.max_migrate_workers = 1;
CALL procrastinate_migrate_all('head', schemas => '{other}', retry_for => '300 ms')
SQL
	like($err, qr/NOTICE:  all workers .* are in use by other calls/, 'a second call says so');
	like($err, qr/ERROR:  there is no place for a worker/, 'and fails after retry_for');
	$blocker->query('ROLLBACK');
	$caller->{run}->finish;
	ok(!$caller->{run}->result, 'the first call goes on') || diag($caller->{err});
	return;
}

sub add_server
{
	my ($name, $to) = @_;
	run_sql("CREATE SERVER $name FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host '"
		  . $node->host
		  . "', port '"
		  . $node->port
		  . "', dbname '$to'); CREATE USER MAPPING FOR PUBLIC SERVER $name"
		  . q{ OPTIONS (user 'postgres')});
	return;
}

sub server_of_another_role
{
	run_sql('CREATE SCHEMA contrib; CREATE EXTENSION dblink SCHEMA contrib');
	add_server('of_mallory', $there);
	run_sql('ALTER SERVER of_mallory OWNER TO postgres');
	run_sql('GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO mallory');
	run_sql('ALTER SERVER of_mallory OWNER TO mallory');
	my ($status, $err) = call('procrastinate_migrate_servers()');
	like(
		$err,
		qr/WARNING:  server "of_mallory" is left out, because it belongs to role "mallory"/,
		'a superuser does not connect to the server of another role');
	like($err, qr/HINT:  Look at .* first\. Then: ALTER SERVER "of_mallory" OWNER TO CURRENT_USER;/,
		'the HINT gives it away');
	is(at_there(), '0026', 'nothing is migrated there');

	run_sql('GRANT USAGE ON SCHEMA contrib TO app');
	run_sql('GRANT USAGE ON FOREIGN SERVER of_mallory TO app');
	($status, undef, $err) = $node->psql($database, 'CALL procrastinate_migrate_servers()',
		extra_params => [ '-U', 'app' ]);
	like($err, qr/WARNING:  server "of_mallory" is left out/, 'nor does another role');
	like(
		$err,
		qr/HINT:  Look at .* first\. Then, as a superuser: ALTER SERVER "of_mallory" OWNER TO CURRENT_USER;/,
		'with a HINT of its own');
	run_sql('DROP SERVER of_mallory CASCADE');
	return;
}

# That owner can rename the extension's schema, and put another one in its place.
sub owner_of_the_other_database
{
	add_server('a_first', $there);
	my $call  = q{procrastinate_migrate_servers(servers => '{a\\_first}')};
	my $owner = new_session($node, $there);
	$owner->query('BEGIN; ALTER SCHEMA public RENAME TO before; CREATE SCHEMA public');
	my $caller = start_psql($node, $database, ["CALL $call"]);
	$node->poll_query_until($there,
		q{SELECT count(*) = 1 FROM pg_stat_activity}
		  . q{ WHERE query LIKE 'DO %' AND wait_event_type = 'Lock'})
	  or die "the call does not wait\n";
	$owner->query('COMMIT');
	$caller->{run}->finish;
	like(
		$caller->{err},
		qr/55000: schema "public" of extension procrastinate_migrate has been renamed/,
		'a schema that is renamed between the look and the call is an error');
	$owner->query('DROP SCHEMA public; ALTER SCHEMA before RENAME TO public');

	$node->safe_psql($there, 'GRANT CREATE ON SCHEMA public TO mallory');
	my $procedure = 'procrastinate_migrate_all(target text, schemas text[])';
	$owner->query("SET ROLE mallory; CREATE PROCEDURE public.$procedure LANGUAGE sql AS ''");
	my $is_open = qr/42501: schema "public" of extension procrastinate_migrate is open to/;
	my (undef, $err) = call($call);
	like($err, qr/$is_open role "mallory"/, 'so is a role that can create a procedure in it');
	my $dry_run = $call =~ s/\)$/, dry_run => true)/r;
	(undef, $err) = call($dry_run);
	like($err, qr/$is_open role "mallory"/, 'also in a dry run');
	$node->safe_psql($there,
		'REVOKE CREATE ON SCHEMA public FROM mallory; GRANT CREATE ON SCHEMA public TO PUBLIC');
	(undef, $err) = call($call);
	like($err, qr/$is_open PUBLIC/, 'so is one that any role can create a procedure in');
	$node->safe_psql($there, 'REVOKE CREATE ON SCHEMA public FROM PUBLIC');
	(undef, $err) = call($call);
	like($err, qr/42501: schema "public" holds a procedure procrastinate_migrate_all\(\)/,
		'so is a procedure of another role in it');
	$owner->query("DROP PROCEDURE public.$procedure");
	upgrade($node, $there, 26, 'second');
	$node->safe_psql('postgres', "ALTER DATABASE $there SET role = mallory");
	(undef, $err) = call($call =~ s/\)$/, schemas => '{second}')/r);
	$node->safe_psql('postgres', "ALTER DATABASE $there RESET role");
	is($node->safe_psql($there, q{SELECT revision FROM procrastinate_current('second')}),
		$HEAD_NAME, 'a role that the other database sets for its sessions does not act')
	  || diag($err);
	$node->safe_psql($there, 'DROP SCHEMA second CASCADE');
	$owner->close;
	is(at_there(), '0026', 'nothing is migrated there');
	run_sql('DROP SERVER a_first CASCADE');
	return;
}

sub at_there
{
	return $node->safe_psql($there, q{SELECT revision FROM procrastinate_current('queue')});
}

# Calls migrate_servers(), and runs the code while its first run waits for a lock there.
sub while_it_runs
{
	my ($code) = @_;
	my $blocker = new_session($node, $there);
	$blocker->query('BEGIN; LOCK TABLE queue.procrastinate_jobs');
	my $caller = start_psql($node, $database,
		[q{CALL procrastinate_migrate_servers(on_error => 'continue')}]);
	$node->poll_query_until($there,
		q{SELECT count(*) > 0 FROM procrastinate_progress WHERE waiting_for IS NOT NULL})
	  or die "no run waits\n";
	$code->();
	$blocker->query('ROLLBACK');
	$caller->{run}->finish;
	return $caller;
}

# The owner of dblink's schema puts another schema in its place. The session may notice that only
# when it goes on to the next server.
sub dblink_moved
{
	add_server($_, $there) foreach qw(a_first b_second);
	my $caller = while_it_runs(
		sub {
			run_sql(<<'SQL');
ALTER SCHEMA contrib RENAME TO contrib_before;
CREATE SCHEMA contrib AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA contrib TO PUBLIC;
SET ROLE mallory;
CREATE FUNCTION contrib.dblink_is_busy(text) RETURNS int LANGUAGE plpgsql
AS $$ BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN 0; END $$;
CREATE FUNCTION contrib.dblink_connect(text, text) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN 'OK'; END $$;
SQL
		});
	ok(!$caller->{run}->result, 'the call goes on with the functions of dblink')
	  || diag($caller->{err});
	is(at_there(), $HEAD_NAME, 'it has migrated the server');
	is_no_superuser('no function of another role was called');
	run_sql('DROP SCHEMA contrib CASCADE; ALTER SCHEMA contrib_before RENAME TO contrib');
	run_sql('DROP SERVER b_second CASCADE');
	return;
}

# dblink would take the name of a server that does not exist for a connection string.
sub server_dropped
{
	my $name = 'host=' . $node->host . ' port=' . $node->port . " dbname=$there";
	$node->safe_psql($there, 'DROP SCHEMA queue CASCADE');
	upgrade($node, $there, 26, 'queue');
	SKIP:
	{
		skip 'the path of the socket is too long for a name', 2 if length $name > 63;
		run_sql(qq{CREATE SERVER "$name" FOREIGN DATA WRAPPER dblink_fdw});
		my $caller = while_it_runs(sub { run_sql(qq{DROP SERVER "$name"}) });
		like($caller->{err}, qr/55000: the foreign server has been dropped by another session/,
			'a server that has been dropped is a failure');
		like($caller->{err}, qr/ERROR:  1 of 2 servers could not be migrated/, 'and named');
	}
	return;
}

# A trigger of the owner that does not end. No limit ends it, a cancel of the call does.
sub kept_by_a_trigger
{
	upgrade($node, $database, 26, 'slow_1');
	run_sql(<<'SQL');
CREATE FUNCTION slow_1.slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(600);
	RETURN NULL;
END $$;
CREATE TRIGGER slow AFTER INSERT ON slow_1.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION slow_1.slow();
SQL
	my $call =
	  q{CALL procrastinate_migrate_all(schemas => '{slow\\_%}', retry_for => '10 ms')};
	my $caller = start_psql($node, $database, [$call]);
	my $sleeps = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}
	  . q{ AND backend_type = 'procrastinate_migrate'};
	wait_until($sleeps, 'a trigger keeps a worker, longer than retry_for');
	run_sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity}
		  . q{ WHERE query ~ 'slow' AND backend_type = 'client backend'}
		  . q{ AND pid <> pg_backend_pid()});
	$caller->{run}->finish;
	like($caller->{err}, qr/canceling statement due to user request/, 'a cancel ends the call');
	wait_until(
		q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'},
		'and its worker');
	is(revision_of('slow_1'), '0026', 'nothing has changed');
	return;
}
