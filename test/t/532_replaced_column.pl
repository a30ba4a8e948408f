# What users have made of the column that 0024 replaces, and of tables that are changed in batches: what would be lost,
# or would end 0024 amid it, is refused before anything is done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node = start_server(conf => 'wal_level = logical');
my $database = new_database($node);

things_of_the_replaced_column();
a_publication_of_events();
triggers_of_events();
done_testing();

sub session { return user_session($node, $database, @_) }

sub queue { return new_queue($node, $database, @_) }

sub things_of_the_replaced_column
{
	my $replaced = 'PM009: column procrastinate_events.job_id cannot be replaced while others work';
	my $session = queue('things', 23, 3);
	my %things = (
		q{COMMENT ON COLUMN procrastinate_events.job_id IS 'mine'} => q{COMMENT ON COLUMN procrastinate_events.job_id IS NULL},
		'ALTER TABLE procrastinate_events ALTER job_id SET STATISTICS 500' => 'ALTER TABLE procrastinate_events ALTER job_id SET STATISTICS -1',
		'ALTER TABLE procrastinate_events ALTER job_id SET (n_distinct = 5)' => 'ALTER TABLE procrastinate_events ALTER job_id RESET (n_distinct)',
		'ALTER INDEX procrastinate_events_job_id_fkey SET (fillfactor = 50)' => 'ALTER INDEX procrastinate_events_job_id_fkey RESET (fillfactor)',
		q{COMMENT ON INDEX procrastinate_events_job_id_fkey IS 'mine'} => 'COMMENT ON INDEX procrastinate_events_job_id_fkey IS NULL',
		q{COMMENT ON CONSTRAINT procrastinate_events_job_id_fkey ON procrastinate_events IS 'mine'} =>
		  'COMMENT ON CONSTRAINT procrastinate_events_job_id_fkey ON procrastinate_events IS NULL',
		q{ALTER TABLE procrastinate_events ADD CONSTRAINT mine CHECK (at > '2100-01-01') NOT VALID} => 'ALTER TABLE procrastinate_events DROP CONSTRAINT mine',
		'ALTER TABLE procrastinate_events ADD job_id_bigint bigint' => 'ALTER TABLE procrastinate_events DROP job_id_bigint',
		q{CREATE FUNCTION procrastinate_events_fill_job_id_bigint() RETURNS int LANGUAGE sql AS 'SELECT 1'} =>
		  'DROP FUNCTION procrastinate_events_fill_job_id_bigint()',
		(map { ("ALTER TABLE procrastinate_events ADD CONSTRAINT procrastinate_events_job_id_bigint_$_ CHECK (id > 0)" =>
				  "ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_bigint_$_") } 'check', 'fkey'),
		'CREATE TRIGGER procrastinate_events_fill_job_id_bigint AFTER DELETE ON procrastinate_events EXECUTE FUNCTION public.zz()' =>
		  'DROP TRIGGER procrastinate_events_fill_job_id_bigint ON procrastinate_events',
		(map { ("CREATE TRIGGER zz BEFORE $_ ON procrastinate_events FOR EACH ROW EXECUTE FUNCTION public.zz()" => 'DROP TRIGGER zz ON procrastinate_events') }
			  'INSERT', 'UPDATE OF type'));
	$session->query('CREATE FUNCTION public.zz() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.job_id := 1; RETURN NEW; END $$');
	foreach my $thing (sort keys %things)
	{
		$session->query($thing);
		is($session->refusal(q{CALL procrastinate_migrate('0024')}), $replaced, "refused: $thing");
		$session->query($things{$thing});
	}

	# What came after the call began, or between two calls.
	cancelled_in_build($node, $database, 'things', '0024');
	$session->query('CREATE INDEX own ON procrastinate_events (job_id, at)');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), $replaced, 'an index of a user between two calls is seen');
	is($session->query(q{SELECT to_regclass('own') IS NOT NULL}), 't', 'and is not lost');
	$session->query('DROP INDEX own');

	my ($holder, $caller) = map { session('things') } 1 .. 2;
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW SHARE MODE');
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_for_step($node, $database, 'things', '0024.8');    # only the exchange is left
	$session->query('CREATE INDEX own ON procrastinate_events (job_id, at)');
	$holder->query('COMMIT');
	is(($caller->wait)[1], $replaced, 'an index of a user before the last step is seen');
	$session->query('DROP INDEX own');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error', 'without it the way is free');
	is_at($node, $database, 'things', 24, 'to 0024');
	$_->close foreach $session, $holder, $caller;

	# Rows of a table that inherits are not filled by the trigger.
	$session = queue('children', 23, 3);
	$session->query('CREATE TABLE archive () INHERITS (procrastinate_events); INSERT INTO archive (job_id, type) VALUES (1, \'started\')');
	my (undef, undef, $err) = $node->psql($database, q{CALL procrastinate_migrate('0024', 'children')});
	like($err, qr/^DETAIL:  Table (?:children\.)?archive, which inherits the column but not the trigger that fills it\.$/m, 'a table that inherits is told');
	is($session->query(q{SELECT procrastinate_upgrade('0024'); SELECT job_id, pg_typeof(job_id) FROM archive}), "0024\n1|bigint", 'and is changed in one transaction');
	$session->close;
	$session = queue('late_children', 23, 3);
	cancelled_in_build($node, $database, 'late_children', '0024');
	$session->query('CREATE TABLE archive () INHERITS (procrastinate_events)');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), $replaced, 'one that came between two calls is seen');
	$session->query('ALTER TABLE archive NO INHERIT procrastinate_events');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error', 'without it the way is free');
	$session->query('DROP TABLE archive');
	is_at($node, $database, 'late_children', 24, 'to 0024');
	$session->close;
	return;
}

# A subscriber would stop at a column that it has not got; it has it once the call has begun, or has stopped.
sub a_publication_of_events
{
	my $session = queue('published', 23, 3);
	my $call = q{CALL procrastinate_migrate('0024', 'published')};
	my $slot = q{SELECT count(*) FROM pg_create_logical_replication_slot('subscriber', 'pgoutput')};
	$session->query($slot);
	foreach my $what ('FOR ALL TABLES', 'FOR TABLES IN SCHEMA published', 'FOR TABLE published.procrastinate_events')
	{
		$session->query("CREATE PUBLICATION published $what");
		my (undef, undef, $err) = $node->psql($database, $call);
		like($err, qr/^DETAIL:  Publication published, whose subscribers have no column job_id_bigint\.$/m, "a publication is told: $what");
		$session->query('DROP PUBLICATION published');
	}
	$session->query('CREATE PUBLICATION published FOR ALL TABLES');
	$session->query(q{SELECT pg_drop_replication_slot('subscriber')});
	cancelled_in_build($node, $database, 'published', '0024');
	$session->query($slot);
	is($session->refusal($call), 'no error', 'one without subscribers is none, and a call that has begun goes on');
	$session->query(q{DROP PUBLICATION published; SELECT pg_drop_replication_slot('subscriber')});
	$session->close;

	# Who owns the events does not see all of them where policies are for him, too.
	$node->safe_psql($database, 'CREATE ROLE keeper LOGIN; CREATE SCHEMA kept AUTHORIZATION keeper');
	my $keeper = do { local $ENV{PGUSER} = 'keeper'; session('kept') };
	$keeper->query(q{SET client_min_messages = error; SELECT procrastinate_upgrade('0023', 'kept'); ALTER TABLE procrastinate_events FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY});
	local $ENV{PGUSER} = 'keeper';
	my (undef, undef, $err) = $node->psql($database, q{CALL procrastinate_migrate('0024', 'kept')});
	like($err, qr/Policies of table (?:kept\.)?procrastinate_events, which may hide events from you/, 'policies that hide events are told');
	$keeper->close;
	return;
}

sub triggers_of_events
{
	my $session = queue('triggers', 23, 3);
	$session->query(<<'SQL');
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE UPDATE ON procrastinate_events FOR EACH ROW EXECUTE FUNCTION public.keep();
SQL
	my (undef, undef, $err) = $node->psql($database, q{CALL procrastinate_migrate('0024', 'triggers')});
	like($err, qr/Trigger keep on table (?:triggers\.)?procrastinate_events, which would fire for each event/,
		'a trigger that the batches would fire is told before anything is done');
	is($session->query('SELECT revision, source FROM procrastinate_current()'), '0023|upgrade', 'and nothing is');

	# Nor a check that is not enforced.
	$session->query('ALTER TABLE procrastinate_events DISABLE TRIGGER keep');
	$session->query('ALTER TABLE procrastinate_events ADD CONSTRAINT mine CHECK (id < 0) NOT ENFORCED')
	  if $session->query('SHOW server_version_num') >= 180000;
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error', 'disabled it is in nobody\'s way');
	$session->close;

	$session = queue('rules', 29, 1);
	$session->query(q{UPDATE procrastinate_jobs SET status = 'doing'; UPDATE procrastinate_jobs SET status = 'aborting'});
	$session->query(<<'SQL');
CREATE TRIGGER keep BEFORE UPDATE ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.keep();
SQL
	is($session->refusal(q{CALL procrastinate_migrate('0030')}), q{55000: could not change all rows of table "procrastinate_jobs"},
		'rows that a trigger keeps as they are end the call');
	$session->query('ALTER TABLE procrastinate_jobs DISABLE TRIGGER keep');
	is($session->refusal(q{CALL procrastinate_migrate('0030')}), 'no error', 'and are changed once they can be');
	is($session->query('SELECT status, abort_requested FROM procrastinate_jobs'), 'aborting|t', 'all of them');
	$session->close;
	return;
}
