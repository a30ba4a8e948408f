# A hostile role adds code to the tables while an upgrade waits for a lock: the upgrade is refused
# or comes first, and the code does not run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Traps;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
set_traps($node, $database);

# Mallory's code is the trigger's function, or is called by its condition.
my $calling = 'CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON %s EXECUTE FUNCTION public.spring()';
my $condition = 'CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON %s FOR EACH ROW WHEN'
  . q{ (public.spring('condition')) EXECUTE FUNCTION suppress_redundant_updates_trigger()};

# Creates a trigger while the call waits for a worker, whose transaction locks the table. Mallory's
# session waits for the lock before the call or behind it.
foreach my $case (
	[ 29, 'procrastinate_jobs',           q{SELECT procrastinate_upgrade('0030', '%s')} ],
	[ 29, 'procrastinate_jobs',           q{CALL procrastinate_migrate('head', '%s')} ],
	[ 29, 'procrastinate_jobs',           '0029:0030' ],
	[ 30, 'procrastinate_jobs',           q{SELECT procrastinate_upgrade('0038', '%s')} ],
	[ 23, 'procrastinate_schema_history', q{SELECT procrastinate_upgrade('0024', '%s')} ],
	[ 23, 'procrastinate_schema_history', q{CALL procrastinate_migrate('0024', '%s')} ],
	[ 23, 'procrastinate_schema_history', q{SELECT procrastinate_stamp('0023', schema => '%s')} ],
	[ 23, 'procrastinate_schema_history', '0023:0024' ],
	[ 0,  'procrastinate_schema_history', q{SELECT procrastinate_upgrade('head', '%s')} ],
	[ 0,  'procrastinate_schema_history', 'base:head' ],
	[ 29, 'procrastinate_jobs', q{SELECT procrastinate_upgrade('0030', '%s')}, 'condition' ],
	[ 29, 'procrastinate_jobs', '0029:0030', 'condition' ],
	[   23, 'procrastinate_schema_history', q{CALL procrastinate_migrate('0024', '%s')},
		'condition' ],
	[ 23, 'procrastinate_schema_history', '0023:0024', 'condition' ])
{
	my ($revision, $table, $call, $by) = @$case;
	my $trigger = $by ? $condition : $calling;
	my $label   = "$call, a trigger on $table" . ($by ? " by its $by" : '');
	foreach my $created_before (1, 0)
	{
		my $schema = numbered_schema($revision);
		run_sql("SELECT procrastinate_stamp('base', schema => '$schema')") if !$revision;
		run_sql("SET search_path = $schema; SET session_replication_role = replica;"
			  . q{ UPDATE procrastinate_jobs SET status = 'aborting' WHERE id < 4})
		  if $revision == 29;
		run_sql(
			"GRANT ALL ON SCHEMA $schema TO mallory; GRANT TRIGGER ON $schema.$table TO mallory");
		my ($worker, $mallory, $deployer) = map { session() } 1 .. 3;
		$worker->query("BEGIN; LOCK TABLE $schema.$table IN ROW EXCLUSIVE MODE");
		$mallory->query('SET ROLE mallory');
		my $change = $call =~ /^\w+:\w+$/ ? offline_script($schema, $call) : sprintf $call, $schema;
		my @turns =
		  ([ $deployer, $change ], [ $mallory, sprintf $trigger, "$schema.$table" ]);
		foreach my $turn ($created_before ? reverse @turns : @turns)
		{
			$turn->[0]->send($turn->[1]);

			# procrastinate_migrate() waits for a lock and pauses in turn.
			if ($turn->[0] == $deployer && $call =~ /^CALL/)
			{
				wait_until(
					q{SELECT wait_event IN ('Extension', 'relation') FROM pg_stat_activity}
					  . " WHERE pid = $deployer->{pid}",
					'the call waits');
			}
			else
			{
				until_blocked($turn->[0]);
			}
		}
		$worker->query('COMMIT');
		my (undef, $error)   = $deployer->wait;
		my (undef, $created) = $mallory->wait;
		my $when = $created_before ? 'before it' : 'behind it';
		if ($call =~ /^CALL/)
		{
			# Either session may get its lock first once the worker is done.
			like(
				$error, $created_before ? qr/^42501: / : qr/^42501: |^$/,
				"$label, $when: refused" . ($created_before ? '' : ' or done'));
			run_sql("DROP TRIGGER trap ON $schema.$table");
			is_as_recorded($node, $database, $schema, "$label, $when: the catalog is as recorded");
		}
		elsif ($created_before)
		{
			like($error, qr/^42501: /, "$label, $when: refused");
			is( revision_of($schema), $revision ? revision_name($revision) : '',
				"$label, $when: nothing is done");
			run_sql("DROP TRIGGER trap ON $schema.$table");
			is_at($node, $database, $schema, $revision, "$label, $when: the catalog is as it was");
		}
		else
		{
			is($error, '', "$label, $when: done");
		}
		is($created, '', "$label, $when: the trigger was created");
		no_trap_ran("$label, $when: no code of mallory's has run");
		$_->close foreach $worker, $mallory, $deployer;
	}
}

# A statement also changes the tables that inherit from ours.
{
	my $schema = numbered_schema(30);
	run_sql(
		"SET search_path = $schema; CREATE TABLE kid () INHERITS (procrastinate_jobs);"
		  . q{ SET session_replication_role = replica; INSERT INTO kid (queue_name, task_name,}
		    . q{ status) VALUES ('queue', 'task', 'aborting');}
		  . " GRANT ALL ON SCHEMA $schema TO mallory; GRANT TRIGGER ON kid TO mallory");
	my ($worker, $mallory, $deployer) = map { session() } 1 .. 3;
	$worker->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs IN ROW EXCLUSIVE MODE");
	$mallory->query('SET ROLE mallory');
	foreach my $turn ([ $mallory, sprintf $calling, "$schema.kid" ],
		[ $deployer, "SELECT procrastinate_upgrade('0031', '$schema')" ])
	{
		$turn->[0]->send($turn->[1]);
		until_blocked($turn->[0]);
	}
	$worker->query('COMMIT');
	is(($mallory->wait)[1], '', 'a trigger is created on a table that inherits from ours');
	like(($deployer->wait)[1], qr/^42501: /, 'the upgrade is refused');
	run_sql("DROP TABLE $schema.kid");
	is_at($node, $database, $schema, 30, 'the upgrade has changed nothing');
	no_trap_ran('the trigger has not run');
	$_->close foreach $worker, $mallory, $deployer;
}

# Another role may create a missing function before the repair does.
{
	my $schema   = numbered_schema($HEAD);
	my $function = "$schema.procrastinate_notify_queue_job_inserted_v1";
	run_sql(
		"GRANT ALL ON SCHEMA $schema TO mallory; SET client_min_messages = warning; DROP FUNCTION"
		  . " $function CASCADE"
	);
	my ($worker, $deployer) = map { session() } 1 .. 2;
	$worker->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs IN ROW EXCLUSIVE MODE");
	$deployer->send(
		"SELECT count(*) FROM procrastinate_repair(schema => '$schema', dry_run => false)");
	until_blocked($deployer);
	run_sql(
		"SET ROLE mallory; CREATE FUNCTION $function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
		  . " RETURN NULL; END'"
	);
	$worker->query('COMMIT');
	like(($deployer->wait)[1], qr/^42501: /,
		'a repair creates no trigger that calls another role\'s function');
	is(run_sql("SELECT count(*) FROM pg_trigger WHERE tgfoid = '$function'::regproc"),
		'0', 'there is no such trigger');
	run_sql("DROP FUNCTION $function;"
		  . " SELECT procrastinate_repair(schema => '$schema', dry_run => false)");
	is_at($node, $database, $schema, $HEAD, 'the repair succeeds once the function is dropped');
	$_->close foreach $worker, $deployer;
}

# Or a domain in the place of a missing type, whose check would run for each row of a new column.
{
	my $schema = numbered_schema($HEAD);
	my $type   = "$schema.procrastinate_job_event_type";
	run_sql(<<"SQL");
SET client_min_messages = warning;
GRANT ALL ON SCHEMA $schema TO mallory;
SET search_path = $schema;
INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('queue', 'task');
DROP TYPE $type CASCADE;
SQL
	my ($mallory, $deployer) = map { session() } 1 .. 2;
	$mallory->query('SET ROLE mallory; BEGIN');
	$mallory->query("CREATE DOMAIN $type AS text CHECK (public.spring('domain'))");
	$deployer->send(
		"SELECT count(*) FROM procrastinate_repair(schema => '$schema', dry_run => false)");
	until_blocked($deployer);
	$mallory->query('COMMIT');
	like(($deployer->wait)[1], qr/^42501: /, 'a repair adds no column of the type of another role');
	no_trap_ran('the check of the type has not run');
	run_sql("DROP DOMAIN $type;"
		  . " SELECT procrastinate_repair(schema => '$schema', dry_run => false)");
	is(run_sql("SELECT count(type) FROM $schema.procrastinate_events"),
		'0', 'without it the repair adds the column');
	$_->close foreach $mallory, $deployer;
}

$node->stop;
done_testing();
