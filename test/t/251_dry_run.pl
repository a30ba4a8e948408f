# procrastinate_upgrade(dry_run => true): reports locks and duration, and leaves nothing behind.

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

tells();
leaves_nothing();
from_base();
in_a_transaction();
after_serializable();
fails_as_it_would();
done_testing();

sub tells
{
	upgrade($node, $database, 22, 'tells');
	my ($status, $out, $err) =
	  $node->psql($database, "SELECT procrastinate_upgrade('0024', 'tells', dry_run => true)");
	is($out, '0024', 'a dry run returns the revision that it reached');
	like($err, qr/NOTICE:  Running upgrade 0022 -> 0023.*NOTICE:  Running upgrade 0023 -> 0024/s,
		'a dry run runs the migrations');
	like(
		$err,
		qr/NOTICE:\ \ the\ upgrade\ took\ [0-9.]+\ ms\ and\ has\ been\ rolled\ back\n
			DETAIL:\ \ Locks\ that\ it\ would\ hold\ until\ the\ transaction\ ends:\n
			(?s:.*)ACCESS\ EXCLUSIVE\ on\ procrastinate_jobs\n
			(?s:.*)ACCESS\ EXCLUSIVE\ on\ procrastinate_events\n/x,
		'a dry run reports duration and locks');
	upgrade($node, $database, 7, 'drops');
	(undef, undef, $err) =
	  $node->psql($database, "SELECT procrastinate_upgrade('0010', 'drops', dry_run => true)");
	like($err, qr/^ACCESS EXCLUSIVE on procrastinate_job_locks$/m,
		'the locks include a table that it drops');
	unlike($err, qr/procrastinate_periodic_defers/, 'the locks include no table that it creates');
	(undef, undef, $err) = $node->psql(
		$database, "BEGIN; CREATE TABLE own (); LOCK TABLE drops.procrastinate_jobs;\n"
		  . "SELECT procrastinate_upgrade('0008', 'drops', dry_run => true)");
	unlike($err, qr/ on own$|on procrastinate_jobs$/m,
		'the locks include no table that was locked before');

	(undef, $out, $err) =
	  $node->psql($database, "SELECT procrastinate_upgrade('0022', 'tells', dry_run => true)");
	is( "$out: $err",
		qq{0022: psql:<stdin>:1: NOTICE:  schema "tells" is at 0022 already: nothing to do},
		'a dry run with nothing to do gives the usual notice');
	return;
}

# Neither in the schema nor in its history, nor of locks, settings and notifications.
sub leaves_nothing
{
	upgrade($node, $database, 30, 'left');
	my $session = session('left');
	$session->query('LISTEN procrastinate_schema');
	$session->query(
		q{INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('q', 't', 'doing')}
	);
	my $seen = q{SELECT (SELECT array_agg(l ORDER BY id) FROM procrastinate_log() AS l)::text}
	  . q{ || (SELECT array_agg(j ORDER BY id) FROM procrastinate_jobs AS j)::text}
	  . q{ || (SELECT array_agg(oid || relname || relfilenode ORDER BY oid) FROM pg_class WHERE}
	    . q{ relnamespace = 'left'::regnamespace)::text}
	  . q{ || current_setting('search_path')};
	my $before = $session->query($seen);
	is($session->query(q{SELECT procrastinate_upgrade('0038', dry_run => true)}),
		'0038', 'a dry run reaches its target');
	is_at($node, $database, 'left', 30, 'the schema is as before');
	is($session->query($seen), $before, 'history, rows, files and the session are as before');
	$session->query('BEGIN');
	$session->query(q{SELECT procrastinate_upgrade('0038', dry_run => true)});
	is( $session->query(
			q{SELECT string_agg(DISTINCT mode, ' ') FROM pg_locks WHERE pid = pg_backend_pid()}
			  . q{ AND (locktype = 'advisory' OR relation IN (SELECT oid FROM pg_class WHERE}
			    . q{ relnamespace = 'left'::regnamespace))}
		),
		'NULL',
		'no lock is left in a transaction that goes on');
	$session->query('COMMIT');
	is_deeply([ $session->notifications ], [], 'no notification is sent');
	$session->close;
	return;
}

sub from_base
{
	$node->safe_psql($database, 'CREATE SCHEMA empty');
	my (undef, $out, $err) =
	  $node->psql($database, q{SELECT procrastinate_upgrade('head', 'empty', dry_run => true)});
	is($out, $HEAD_NAME, 'a dry run from base reaches head');
	like($err, qr/^DETAIL:  The upgrade locked no existing table\.$/m,
		'it has locked no table that existed before');
	is( $node->safe_psql(
			$database, q{SELECT count(*) FROM pg_depend WHERE refobjid = 'empty'::regnamespace}),
		'0',
		'the schema is empty again');
	return;
}

# What the caller's own transaction has done stays, and may be what the upgrade needs.
sub in_a_transaction
{
	upgrade($node, $database, 34, 'mixed');
	my $session = session('mixed');
	$session->query(
		'BEGIN; CREATE TABLE own (); SELECT procrastinate_upgrade(dry_run => true); CREATE TABLE'
		  . ' second ()'
	);
	is($session->query(q{SELECT procrastinate_upgrade('0035')}), '0035',
		'an upgrade after a dry run succeeds');
	$session->query('COMMIT');
	is( $session->query(
			q{SELECT to_regclass('own') IS NOT NULL AND to_regclass('second') IS NOT NULL}),
		't',
		'changes before and after the dry run are kept');
	$session->query('DROP TABLE own, second');
	is_at($node, $database, 'mixed', 35, 'the schema is at the revision of the upgrade');
	$session->close;
	return;
}

# What the server remembers of a transaction at SERIALIZABLE that has ended, while another goes on,
# is no lock.
sub after_serializable
{
	upgrade($node, $database, 34, 'remembered');
	my ($session, $other) = map { session('remembered') } 1 .. 2;
	$other->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM procrastinate_events');
	$session->query(
		'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM procrastinate_jobs; COMMIT');
	is( $session->query(
			q{SELECT count(*) > 0 FROM pg_locks WHERE pid = pg_backend_pid() AND mode =}
			  . q{ 'SIReadLock'}
		),
		't',
		'the server remembers what a transaction has read');
	is($session->query('SELECT procrastinate_upgrade(dry_run => true)'), $HEAD_NAME,
		'a dry run does not report it');
	$_->close foreach $session, $other;
	return;
}

sub fails_as_it_would
{
	upgrade($node, $database, 30, 'failing');
	my $session = session('failing');
	is( $session->refusal(q{SELECT procrastinate_upgrade('head', dry_run => NULL)}),
		'22004: dry_run must not be null', 'NULL is refused');
	is( $session->refusal(q{SELECT procrastinate_upgrade('0099', dry_run => true)}) =~ s/:.*//sr,
		'PM001', 'a dry run refuses the same targets as an upgrade');
	is($session->query(q{SELECT procrastinate_upgrade('0029', dry_run => true)}),
		'0030', 'and takes a target that has been passed as reached');
	$session->query(<<'SQL');
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql
	AS $$ BEGIN RAISE 'not today'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
	EXECUTE FUNCTION refuse();
SQL
	$session->query(<<'SQL');
CREATE FUNCTION pg_temp.caught(target text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN procrastinate_upgrade(target, dry_run => true);
EXCEPTION WHEN OTHERS THEN
    RETURN sqlerrm;
END $$;
SQL
	is($session->query(q{SELECT pg_temp.caught('head')}), 'not today',
		'an error in a migration is raised and can be caught');
	$session->query('DROP EVENT TRIGGER refuse; DROP FUNCTION refuse()');
	is_at($node, $database, 'failing', 30, 'the schema is unchanged after it');
	$session->query(<<'SQL');
INSERT INTO procrastinate_jobs (queue_name, task_name, status, abort_requested) VALUES ('q', 't',
	'aborting', true);
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN RAISE 'not at the end'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON procrastinate_jobs DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION public.refuse();
SQL
	is( $session->query(q{SELECT pg_temp.caught('0031')}),
		'schema "failing" has deferred triggers that the change would fire',
		'a deferred trigger is refused');
	$session->query(
		'DROP TRIGGER refuse ON procrastinate_jobs; DROP FUNCTION public.refuse(); DELETE FROM'
		  . ' procrastinate_jobs'
	);
	is($session->query(q{SELECT pg_temp.caught('head')}), $HEAD_NAME, 'the same session goes on');
	$session->close;
	return;
}
