# Changes by other roles during procrastinate_migrate(): triggers on the history and on the jobs, a
# fetch function, a table like the history. None of their code runs as the caller.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

a_trigger_on_the_history();
a_trigger_on_the_jobs();
a_fetch_function_of_another_role();
a_table_like_the_history();
done_testing();

# A role that may make triggers on the history makes one that waits for the lock of a step.
sub a_trigger_on_the_history
{
	my $session = queue('hostile', 18, 1);
	$node->safe_psql($database, <<'SQL');
CREATE ROLE mallory;
GRANT USAGE, CREATE ON SCHEMA hostile TO mallory;
GRANT TRIGGER ON hostile.procrastinate_schema_history TO mallory;
CREATE FUNCTION hold_up() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('search_path') ~ 'hostile' THEN
		PERFORM pg_advisory_xact_lock(17);
	END IF;
END $$;
CREATE EVENT TRIGGER hold_up ON ddl_command_start EXECUTE FUNCTION hold_up();
SQL
	my ($holder, $mallory) = map { new_session($node, $database) } 1 .. 2;
	$mallory->query(<<'SQL');
SET SESSION AUTHORIZATION mallory;
CREATE FUNCTION hostile.trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	ALTER ROLE mallory SUPERUSER;
	RETURN NEW;
END $$
SQL
	$holder->query('SELECT pg_advisory_lock(17)');
	$session->send(q{CALL procrastinate_migrate('0020', lock_timeout => '1 min')});
	until_blocked($session);
	$mallory->send(
		'CREATE TRIGGER trap BEFORE INSERT ON hostile.procrastinate_schema_history FOR EACH ROW'
		  . ' EXECUTE FUNCTION hostile.trap()'
	);
	until_blocked($mallory);
	$holder->query('SELECT pg_advisory_unlock(17)');
	is(($mallory->wait)[1], '', 'another role has created a trigger between two steps');
	like(($session->wait)[1], qr/^(?:42501|PM010): /, 'the call does not go on');
	is($session->query(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f',
		'and the trigger has not run');
	$session->query(
		'DROP EVENT TRIGGER hold_up; DROP TRIGGER trap ON procrastinate_schema_history');
	is($session->refusal(q{CALL procrastinate_migrate('0020')}), 'no error',
		'without it the call does');
	$_->close foreach $session, $holder, $mallory;
	return;
}

# A role with the TRIGGER privilege creates a trigger on the jobs before the last batch.
sub a_trigger_on_the_jobs
{
	my $session = queue('straggling', 30, 1);
	my ($reader, $owner, $mallory) = map { session('straggling') } 1 .. 3;
	$node->safe_psql($database,
		'CREATE ROLE trudy; GRANT USAGE, CREATE ON SCHEMA straggling TO trudy; GRANT UPDATE,'
		  . ' TRIGGER ON straggling.procrastinate_jobs TO trudy'
	);
	$mallory->query('SET SESSION AUTHORIZATION trudy');
	$mallory->query(
		'CREATE FUNCTION straggling.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE'
		  . ' trudy SUPERUSER; RETURN NULL; END $$'
	);

	# A cancelled call has reached the batches; the next call begins after them.
	$reader->query(
		q{UPDATE procrastinate_jobs SET status = 'aborting'; BEGIN; SELECT id FROM}
		  . q{ procrastinate_jobs FOR UPDATE}
	);
	is($owner->refusal(q{CALL procrastinate_migrate('0031', retry_for => '0')}) =~ s/:.*//sr,
		'55P03', 'a call comes to the batches');
	$reader->query('COMMIT');
	$owner->query(
		qq{INSERT INTO procrastinate_schema_history (id, event, from_revision, to_revision,
		duration, version, system_identifier, database_oid)
		SELECT max(id) + 1, 'step 0031.3', '0030', '0030', '0', max(version), $THIS_DATABASE
		  FROM procrastinate_schema_history}
	);
	$mallory->query('BEGIN; LOCK TABLE procrastinate_jobs IN SHARE ROW EXCLUSIVE MODE');
	$session->send(q{CALL procrastinate_migrate('0031', lock_timeout => '1 min')});
	until_blocked($session);
	$mallory->query(
		'CREATE TRIGGER trap BEFORE UPDATE ON straggling.procrastinate_jobs FOR EACH STATEMENT'
		  . ' EXECUTE FUNCTION straggling.trap()'
	);
	$mallory->query('COMMIT');
	like(($session->wait)[1], qr/^(?:42501|PM010): /,
		'a trigger that another role has created since the call began stops it');
	is($owner->query(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'trudy'}), 'f',
		'and has not run');
	$owner->query('DROP TRIGGER trap ON procrastinate_jobs; DROP FUNCTION trap()');
	is($owner->refusal(q{CALL procrastinate_migrate('0031')}), 'no error',
		'without it the call goes on');
	is_at($node, $database, 'straggling', 31, 'to 0031');
	$_->close foreach $session, $reader, $owner, $mallory;
	return;
}

# The owner's name needs quotes.
sub a_fetch_function_of_another_role
{
	$node->safe_psql(
		$database,
		'CREATE ROLE "Big.Owner"; CREATE ROLE eve; CREATE SCHEMA shared AUTHORIZATION "Big.Owner";'
		  . ' GRANT USAGE, CREATE ON SCHEMA shared TO eve');
	my ($session, $reader) = map { session('shared') } 1 .. 2;
	$session->query(q{SET ROLE "Big.Owner"; SELECT procrastinate_upgrade('0024', 'shared')});
	# A name that no revision has is refused otherwise.
	$session->query('SET procrastinate_migrate.verify = off');
	$node->safe_psql(
		$database, 'SET ROLE eve; CREATE FUNCTION shared.procrastinate_fetch_job_mine()'
		  . q{ RETURNS shared.procrastinate_jobs LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END;'});
	$reader->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS SHARE MODE');
	is($session->refusal(q{CALL procrastinate_migrate('0025', retry_for => '0')}) =~ s/:.*//sr,
		'55P03', 'the barrier is installed');
	is( $session->query(
			q{SELECT string_agg(proname || ': ' || (prosrc ~ 'fetch_barrier'), ', ' ORDER BY}
			  . q{ proname) FROM pg_proc}
			  . q{ WHERE pronamespace = 'shared'::regnamespace AND proname ~}
			    . q{ '^procrastinate_fetch_job'}
		),
		'procrastinate_fetch_job: true, procrastinate_fetch_job_mine: false',
		'in the functions of the owner, and in no other');
	$reader->query('COMMIT');
	is($session->refusal(q{CALL procrastinate_migrate('0025')}), 'no error',
		'a function of another role ends no call');
	is( $session->query(
			q{SELECT prosrc FROM pg_proc WHERE proname = 'procrastinate_fetch_job_mine'}),
		'BEGIN RETURN NULL; END;',
		'and is not touched');
	$_->close foreach $session, $reader;
	return;
}

sub a_table_like_the_history
{
	my $session = queue('watched', 19, 1);
	$session->query('CREATE SCHEMA eve; CREATE TABLE eve.procrastinate_schema_history (x int)');
	is($session->refusal('SELECT * FROM procrastinate_progress'), 'no error',
		'a table of the history\'s name does not end the view');
	$session->query('DROP SCHEMA eve CASCADE');
	$session->close;
	return;
}
