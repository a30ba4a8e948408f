# A role that may create in the schema creates a function while a change runs: code that names one
# of the server's without a schema calls it then. The change is rolled back.

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
use_database($node, $database);

# The owner's triggers wait for a lock of the test before they call format().
run_sql('CREATE ROLE owner_of_queue LOGIN; CREATE ROLE other LOGIN');
in_one_update();
in_a_batch();
done_testing();

# The other role creates format() while the call waits in a trigger.
sub fails_in_trigger
{
	my ($schema, $call) = @_;
	my $holder = session('public');
	$holder->query('SELECT pg_advisory_lock(1)');
	my $log  = -s $node->logfile;
	my $psql = start_psql($node, $database, [$call]);
	wait_until(
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1}
		  . q{ AND NOT granted},
		'a trigger runs in the change');
	run_sql("SET ROLE other; CREATE FUNCTION $schema.format(text, text) RETURNS text LANGUAGE"
		  . q{ plpgsql AS $$ BEGIN RAISE LOG 'of the other role'; RETURN $2; END $$});
	$holder->query('SELECT pg_advisory_unlock(1)');
	$holder->close;
	$psql->{run}->finish;
	ok($node->log_contains(qr/of the other role/, $log), "$call: the function is called");
	like($psql->{err},
		qr/function $schema\.format\(text,text\) of role other has the name of one of/,
		'the change fails');
	return;
}

# 0031 updates a job.
sub in_one_update
{
	run_sql(<<'SQL');
CREATE SCHEMA queue AUTHORIZATION owner_of_queue;
GRANT CREATE, USAGE ON SCHEMA queue TO other;
SQL
	upgrade($node, $database, 30, 'queue');
	run_sql(<<'SQL');
SET ROLE owner_of_queue;
INSERT INTO queue.procrastinate_jobs (queue_name, task_name, status) VALUES ('q', 't', 'aborting');
CREATE FUNCTION queue.own() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(1);
	RAISE LOG '%', format('job %s', NEW.task_name::text);
	RETURN NULL;
END $$;
CREATE TRIGGER own AFTER UPDATE ON queue.procrastinate_jobs
	FOR EACH ROW EXECUTE FUNCTION queue.own();
SQL
	foreach my $call (
		q{SELECT procrastinate_upgrade('0031', schema => 'queue')},
		q{CALL procrastinate_migrate('0031', schema => 'queue', lock_timeout => '1 min')})
	{
		fails_in_trigger('queue', $call);
		is(run_sql('SELECT count(*) FROM queue.procrastinate_jobs WHERE status = \'aborting\''),
			'1', 'what called it is rolled back');
		is(revision_of('queue'), '0030', 'the revision is the one before');
		run_sql('DROP FUNCTION queue.format(text, text)');
	}
	my ($status) = $node->psql($database, q{CALL procrastinate_migrate('0031', schema => 'queue')});
	is($status,              0,      'without the function the change goes on');
	is(revision_of('queue'), '0031', 'to its target');
	return;
}

# A batch whose position is not recorded: the first one is, and the last one.
sub in_a_batch
{
	my $schema = filled_schema('batched', 30, 30_000);
	run_sql(<<"SQL");
SET search_path = $schema;
UPDATE procrastinate_jobs SET status = 'aborting';
RESET search_path;
GRANT CREATE, USAGE ON SCHEMA $schema TO other;
CREATE FUNCTION $schema.own() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM pg_advisory_xact_lock(1);
	RAISE LOG '%', format('job %s', NEW.id::text);
	RETURN NULL;
END \$\$;
CREATE TRIGGER own AFTER UPDATE ON $schema.procrastinate_jobs
	FOR EACH ROW WHEN (NEW.id = 15000) EXECUTE FUNCTION $schema.own();
SQL
	fails_in_trigger($schema,
		qq{CALL procrastinate_migrate('0031', schema => '$schema', lock_timeout => '1 min')});
	is( run_sql("SELECT string_agg(DISTINCT status::text, '|' ORDER BY status::text) FROM"
			  . " $schema.procrastinate_jobs WHERE id IN (1, 15000)"),
		'aborting|doing',
		'the batch is rolled back, and those before it stay');
	return;
}
