# Scripts of procrastinate_sql() run no code of other roles, also if it comes while they wait for a
# lock, and are not misled by what other roles write.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Script;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
run_sql(<<'SQL');
CREATE ROLE app LOGIN;
CREATE ROLE mallory LOGIN;
CREATE SCHEMA mallory AUTHORIZATION mallory;
SET ROLE mallory;
CREATE TABLE mallory.ran (who text);
CREATE SEQUENCE mallory.calls;
GRANT ALL ON mallory.calls TO PUBLIC;
GRANT ALL ON SCHEMA mallory TO PUBLIC;
GRANT ALL ON mallory.ran TO PUBLIC;
CREATE FUNCTION mallory.evil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mallory.ran VALUES (current_user);
    RETURN NEW;
END $$;
SQL

trigger_during_a_wait();
functions_during_a_batch();
schema_during_a_wait();
barrier_of_the_owner();
misleading_rows();
line_breaks();
function_of_a_search_path();
done_testing();

sub installation
{
	my ($schema, $revision) = @_;
	run_sql("CREATE SCHEMA $schema AUTHORIZATION app");
	upgrade($node, $database, $revision, $schema);
	run_sql("GRANT USAGE, CREATE ON SCHEMA $schema TO mallory;"
		  . ' GRANT SELECT, INSERT, REFERENCES, TRIGGER ON ALL TABLES'
		  . " IN SCHEMA $schema TO mallory");
	return;
}

sub session_of
{
	my ($role, $schema) = @_;
	local $ENV{PGUSER} = $role;
	return session($schema);
}

# CREATE TRIGGER holds a lock that the script waits for.
sub trigger_during_a_wait
{
	foreach my $way (
		[ '0026:0027',    'at_once' ],
		[ 'current:head', 'steps', 'online => true' ],
		[ '0026:0027',    'adopts_at_once' ],
		[ 'current:head', 'adopts_steps', 'online => true' ])
	{
		my ($range, $schema, @more) = @$way;
		installation($schema, 26);
		run_sql("UPDATE $schema.procrastinate_schema_history SET system_identifier = 1")
		  if $schema =~ /adopts/;
		my $path = script_file(script_text($node, $database, $range, $schema, @more));
		my $mallory = session_of('mallory', $schema);
		$mallory->query('BEGIN; CREATE TRIGGER evil BEFORE INSERT ON procrastinate_schema_history'
			  . ' FOR EACH ROW EXECUTE FUNCTION mallory.evil()');
		my $script =
		  start_script($node, $database, $path, '-U', 'app', '-v', 'lock_timeout=1 min');
		wait_until(
			"SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation ="
			  . " '$schema.procrastinate_schema_history'::regclass",
			'the script waits');
		$mallory->query('COMMIT');
		$script->{run}->finish;
		like(
			$script->{err},
			qr/ERROR:  role "app" may not change the installation/,
			"$schema: a trigger that came during a wait is found");
		is(run_sql('SELECT count(*) FROM mallory.ran'), '0', "$schema: and has not run");
		$mallory->close;
	}
	return;
}

# While a batch waits for a row, functions come that fit better than the server's.
sub functions_during_a_batch
{
	my $schema = 'in_a_batch';
	installation($schema, 30);
	run_sql("INSERT INTO $schema.procrastinate_jobs (queue_name, task_name, status)"
		  . " VALUES ('queue', 'task', 'aborting');"
		  . " GRANT UPDATE ON $schema.procrastinate_jobs TO mallory");
	my $path = script_file(script_text($node, $database, '0030:0031', $schema, 'online => true'));
	my $mallory = session_of('mallory', $schema);
	$mallory->query('BEGIN; SELECT FROM procrastinate_jobs FOR UPDATE');
	my $script = start_script($node, $database, $path, '-U', 'app', '-v', 'lock_timeout=1 min');
	wait_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'",
		'the batch waits');
	foreach my $function (
		'format(%s, text)',
		'format(%s, text, text)',
		'format(%s, text, text, text)',
		'format(%s, bigint, bigint)',
		'set_config(%s, text, boolean)',
		'current_setting(%s)',
		'quote_ident(%s)')
	{
		$mallory->query('CREATE FUNCTION '
			  . sprintf($function, 'text')
			  . ' RETURNS text LANGUAGE plpgsql AS $$ BEGIN'
			  . q{ PERFORM nextval('mallory.calls'); RETURN NULL; END $$});
	}
	$mallory->query('COMMIT');
	$script->{run}->finish;
	is(run_sql('SELECT is_called FROM mallory.calls'), 'f', 'a batch: they are not called');
	like(
		$script->{err},
		qr/of role mallory has the name of one of the server's/,
		'and the next transaction finds them');
	$mallory->close;
	return;
}

# A superuser's script holds a lock of the schema's name while it waits: its owner could put another
# schema in its place.
sub schema_during_a_wait
{
	$node->safe_psql($database, "GRANT CREATE ON DATABASE $database TO mallory");
	foreach my $way (
		[ '0026:0027',    'name_at_once' ],
		[ 'current:head', 'name_in_steps', 'online => true' ])
	{
		my ($range, $schema, @more) = @$way;
		upgrade($node, $database, 26, $schema);
		run_sql("ALTER SCHEMA $schema OWNER TO mallory");
		my $blocker = session($schema);
		$blocker->query('BEGIN; LOCK TABLE procrastinate_jobs');
		my $script = start_script($node, $database,
			script_file(script_text($node, $database, $range, $schema, @more)),
			'-v', 'lock_timeout=1 min');
		wait_until(
			"SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation ="
			  . " '$schema.procrastinate_jobs'::regclass",
			'the script waits');
		my $mallory = session_of('mallory', 'mallory');
		$mallory->query(q{SET lock_timeout = '300 ms'});
		like($mallory->refusal("ALTER SCHEMA $schema RENAME TO ${schema}_before"),
			qr/^55P03: /, "$schema: it cannot be renamed meanwhile");
		$_->close foreach $blocker, $mallory;
		$script->{run}->finish;
		ok(!$script->{run}->result, "$schema: the script goes on") || diag($script->{err});
	}
	return;
}

# Default privileges give other roles nothing on the fetch barrier's table.
sub barrier_of_the_owner
{
	foreach my $way (qw(script call))
	{
		my $schema = "barrier_$way";
		installation($schema, 29);
		run_sql("ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA $schema"
			  . ' GRANT ALL ON TABLES TO mallory, PUBLIC');
		my $blocker = session($schema);
		$blocker->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS SHARE MODE');
		my $path = script_file(
			script_text($node, $database, 'current:0030', $schema, 'online => true'));
		my ($status, $err) =
		  $way eq 'script'
		  ? run_script($node, $database, $path, qw(-U app -v retry_for=0))
		  : $node->psql($database,
			"CALL procrastinate_migrate('0030', '$schema', retry_for => '0')");
		isnt($status, 0, "$way: ended while the barrier is there");
		is( run_sql(
				    'SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a'
				  . " WHERE c.oid = '$schema.procrastinate_fetch_barrier'::regclass"
				  . ' AND a.grantee <> c.relowner'),
			'0',
			"$way: no other role has a privilege on its table");
		$blocker->query('ROLLBACK');
		$blocker->close;
	}
	return;
}

sub misleading_rows
{
	my $forge = sub {
		my ($schema, $event, $to) = @_;
		run_sql(
			"SET ROLE mallory; INSERT INTO $schema.procrastinate_schema_history (id, event,"
			  . ' from_revision, to_revision, duration, version, system_identifier, database_oid)'
			  . " SELECT id + 1, '$event', '0037', '$to', '0', '1.0.0', system_identifier,"
			  . " database_oid FROM $schema.procrastinate_schema_history ORDER BY id DESC LIMIT 1");
		return;
	};
	my $run = sub {
		my ($schema) = @_;
		return (
			run_script(
				$node, $database,
				script_file(
					script_text($node, $database, 'base:head', $schema, 'online => true')),
				qw(-U app)))[1];
	};
	installation('forged', 29);
	$forge->('forged', 'upgrade', '0038');
	like(
		$run->('forged'),
		qr/the history of schema "forged" says 0038, but its catalog is exactly that of 0029/,
		'a row that the catalog contradicts is not believed');
	is_at($node, $database, 'forged', $HEAD, 'the script goes on from where the catalog is');
	installation('forged_step', 29);
	$forge->('forged_step', 'step 9999.1', '9998');
	like(
		$run->('forged_step'),
		qr/ERROR:  the history of schema "forged_step" has a revision that this script does not know/,
		'nor is an unknown step');

	installation('comment', 30);
	my $worker = session_of('app', 'comment');
	$worker->query(q{SELECT 'procrastinate_fetch_job(' /* procrastinate_fetch_job( */});
	my ($status, $err) = run_script(
		$node, $database,
		script_file(script_text($node, $database, 'current:0031', 'comment', 'online => true')),
		qw(-U app));
	is($status, 0, 'the name of a function in a comment or a text is no use of it') || diag($err);
	$worker->close;
	return;
}

# A name cannot add a line to a message of the library or of a script.
sub line_breaks
{
	installation('lines', 26);
	run_sql('SET ROLE mallory; CREATE TRIGGER "t' . "\n" . 'HINT:  ALTER ROLE mallory SUPERUSER;"'
		  . ' BEFORE INSERT ON lines.procrastinate_jobs FOR EACH ROW'
		  . ' EXECUTE FUNCTION mallory.evil()');
	my ($status, undef, $err) =
	  $node->psql($database, q{SELECT procrastinate_upgrade('0027', schema => 'lines')});
	like($err, qr/ERROR:  role "app" may not change/, 'a trigger of another role is found');
	unlike($err, qr/^HINT:  ALTER ROLE/m, 'its name adds no line to the error');
	($status, $err) = run_script(
		$node, $database,
		script_file(script_text($node, $database, '0026:0027', 'lines')),
		qw(-U app));
	like($err, qr/ERROR:  role "app" may not change/, 'a script finds it, too');
	unlike($err, qr/^HINT:  ALTER ROLE/m, 'and shows no such line');
	return;
}

# The query of procrastinate_check_sql() calls the server's functions only.
sub function_of_a_search_path
{
	installation('path', 26);
	run_sql('SET ROLE mallory; CREATE FUNCTION mallory.array_to_string(text[], text) RETURNS text'
		  . q{ LANGUAGE plpgsql AS $$BEGIN INSERT INTO mallory.ran VALUES (current_user);}
		  . q{ RETURN pg_catalog.array_to_string($1, $2); END $$});
	my $query = run_sql(q{SELECT procrastinate_check_sql(schema => 'path')});
	is(run_sql("SET search_path = mallory, path;\n$query"), '0026|t|||||', 'the query runs');
	is(run_sql('SELECT count(*) FROM mallory.ran'), '0', 'and calls no function of another role');
	return;
}
