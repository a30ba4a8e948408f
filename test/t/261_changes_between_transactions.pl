# Between two transactions of procrastinate_migrate() no lock is held. A hostile owner replaces a
# table of the schema then; the call does not read it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);
$node->safe_psql($database, <<'SQL');
CREATE ROLE mallory;
CREATE SEQUENCE public.traps; -- which forgets nothing
GRANT USAGE ON public.traps TO PUBLIC;
GRANT CREATE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION public.spring() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RETURN nextval('public.traps') > 0;
END $$;
SQL

batches();
the_barrier();
done_testing();

# The caller's session, and one of the schema's owner.
sub sessions
{
	my ($schema, @rest) = @_;
	my $caller = new_queue($node, $database, $schema, @rest);
	$caller->query("ALTER SCHEMA $schema OWNER TO mallory; SET lock_timeout = '20 s'");
	my $mallory = user_session($node, $database, $schema);
	$mallory->query('SET ROLE mallory');
	return ($caller, $mallory);
}

sub is_refused
{
	my ($caller, $mallory) = @_;
	like(($caller->wait)[1], qr/^(?:42501|55000|PM009|PM010): /, 'the call refuses it');
	is($node->safe_psql($database, 'SELECT is_called FROM public.traps'), 'f',
		'the call runs no code of mallory');
	$_->close foreach $caller, $mallory;
	return;
}

sub batches
{
	my ($caller, $mallory) = sessions('batched', 23, 15_000);
	$caller->query(q{SET procrastinate_migrate.max_wal_rate = '100kB'});
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_for($node, $database,
		q{SELECT count(*) = 1 FROM procrastinate_progress WHERE kind = 'batched' AND done > 0},
		'batches are under way');
	$mallory->query(<<'SQL');
BEGIN;
DROP TABLE procrastinate_events CASCADE;
CREATE VIEW procrastinate_events AS SELECT n AS id, n AS job_id, NULL::bigint AS job_id_bigint
  FROM generate_series(1, 20000) AS n WHERE public.spring();
GRANT ALL ON procrastinate_events TO PUBLIC;
COMMIT;
SQL
	is_refused($caller, $mallory);
	return;
}

# The query that looks which workers to notify after the barrier could not be closed.
sub the_barrier
{
	my ($caller, $mallory) = sessions('barrier', 24, 10);
	my $holder = user_session($node, $database, 'barrier');
	$holder->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0025')});
	cancelled_after($node, $database, $caller, 'barrier', '0025.1');
	$holder->query('COMMIT; BEGIN; LOCK TABLE procrastinate_fetch_barrier IN ACCESS SHARE MODE');
	$caller->send(q{CALL procrastinate_migrate('0025')});
	wait_for($node, $database,
		qq{SELECT count(*) = 1 FROM pg_locks WHERE pid = $caller->{pid} AND NOT granted AND relation}
		  . q{ = 'barrier.procrastinate_fetch_barrier'::regclass},
		'the call waits for the barrier');
	$mallory->query(<<'SQL');
BEGIN;
DROP TABLE procrastinate_jobs CASCADE;
CREATE VIEW procrastinate_jobs AS SELECT 'queue'::varchar AS queue_name WHERE public.spring();
GRANT ALL ON procrastinate_jobs TO PUBLIC;
COMMIT;
SQL
	$holder->query('COMMIT');
	is_refused($caller, $mallory);
	$holder->close;
	return;
}
