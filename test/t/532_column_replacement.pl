# Objects of users on the column that 0024 replaces, and on tables that are changed in batches: a
# call fails before its first change if an object would be lost or would make 0024 fail.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server(conf => 'wal_level = logical');
my $database = new_database($node);
use_database($node, $database);

things_of_the_replaced_column();
what_is_in_nobodys_way();
a_tablespace_of_its_index();
what_came_meanwhile();
a_publication_of_events();
a_look_at_events();
triggers_of_events();
done_testing();

sub things_of_the_replaced_column
{
	my $replaced = 'PM009: cannot replace column procrastinate_events.job_id while clients work';
	my $session  = queue('things', 23, 3);
	my %things   = (
		q{COMMENT ON COLUMN procrastinate_events.job_id IS 'mine'} =>
		  q{COMMENT ON COLUMN procrastinate_events.job_id IS NULL},
		'ALTER TABLE procrastinate_events ALTER job_id SET STATISTICS 500' =>
		  'ALTER TABLE procrastinate_events ALTER job_id SET STATISTICS -1',
		'ALTER TABLE procrastinate_events ALTER job_id SET (n_distinct = 5)' =>
		  'ALTER TABLE procrastinate_events ALTER job_id RESET (n_distinct)',
		'ALTER INDEX procrastinate_events_job_id_fkey SET (fillfactor = 50)' =>
		  'ALTER INDEX procrastinate_events_job_id_fkey RESET (fillfactor)',
		q{COMMENT ON INDEX procrastinate_events_job_id_fkey IS 'mine'} =>
		  'COMMENT ON INDEX procrastinate_events_job_id_fkey IS NULL',
		q{COMMENT ON CONSTRAINT procrastinate_events_job_id_fkey ON procrastinate_events IS 'mine'}
		  =>
		  'COMMENT ON CONSTRAINT procrastinate_events_job_id_fkey ON procrastinate_events IS NULL',
		q{ALTER TABLE procrastinate_events ADD CONSTRAINT mine CHECK (at > '2100-01-01') NOT VALID}
		  => 'ALTER TABLE procrastinate_events DROP CONSTRAINT mine',
		'ALTER TABLE procrastinate_events CLUSTER ON procrastinate_events_job_id_fkey' =>
		  'ALTER TABLE procrastinate_events SET WITHOUT CLUSTER',
		'CREATE TABLE parent (job_id integer NOT NULL); ALTER TABLE procrastinate_events INHERIT'
		  . ' parent'
		  =>
		  'ALTER TABLE procrastinate_events NO INHERIT parent; DROP TABLE parent',
		q{ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_fkey,
		ADD CONSTRAINT procrastinate_events_job_id_fkey
			FOREIGN KEY (job_id) REFERENCES procrastinate_jobs ON DELETE CASCADE NOT VALID} =>
		  'ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_job_id_fkey',
		'CREATE RULE own AS ON UPDATE TO procrastinate_events DO ALSO NOTIFY own' =>
		  'DROP RULE own ON procrastinate_events',
		q{SET allow_system_table_mods = on; INSERT INTO pg_seclabel SELECT attrelid,
		'pg_class'::regclass, attnum, 'own', 'mine'
			FROM pg_attribute WHERE attrelid = 'procrastinate_events'::regclass
			AND attname = 'job_id'} =>
		  'DELETE FROM pg_seclabel; RESET allow_system_table_mods',
		'ALTER TABLE procrastinate_events ADD job_id_bigint bigint' =>
		  'ALTER TABLE procrastinate_events DROP job_id_bigint',
		q{CREATE FUNCTION procrastinate_events_fill_job_id_bigint() RETURNS int LANGUAGE sql AS}
		  . q{ 'SELECT 1'}
		  =>
		  'DROP FUNCTION procrastinate_events_fill_job_id_bigint()',
		(   map {
				(   "ALTER TABLE procrastinate_events ADD CONSTRAINT"
				  . " procrastinate_events_job_id_bigint_$_ CHECK (id > 0)"
					  =>
					  "ALTER TABLE procrastinate_events DROP CONSTRAINT"
					    . " procrastinate_events_job_id_bigint_$_"
				)
			} 'same',
			'check',
			'fkey'),
		'CREATE TRIGGER procrastinate_events_fill_job_id_bigint AFTER DELETE ON'
		  . ' procrastinate_events EXECUTE FUNCTION public.zz()'
		  =>
		  'DROP TRIGGER procrastinate_events_fill_job_id_bigint ON procrastinate_events',
		(   map {
				(   "CREATE TRIGGER zz BEFORE $_ ON procrastinate_events FOR EACH ROW EXECUTE"
				  . " FUNCTION public.zz()"
					  => 'DROP TRIGGER zz ON procrastinate_events')
			  }
			  'INSERT',
			'UPDATE OF type'));
	$session->query(
		'CREATE FUNCTION public.zz() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.job_id := 1;'
		  . ' RETURN NEW; END $$'
	);
	foreach my $thing (sort keys %things)
	{
		$session->query($thing);
		is($session->refusal(q{CALL procrastinate_migrate('0024')}), $replaced, "refused: $thing");
		$session->query($things{$thing});
	}

	# Before an earlier migration begins, too.
	my $early = queue('early', 19, 3);
	$early->query('CREATE INDEX own ON procrastinate_events (job_id, at)');
	is($early->refusal(q{CALL procrastinate_migrate('0024')}) =~ s/:.*//sr,
		'PM009', 'what is in the way of 0024 stops a call from 0019');
	is(revision_of('early'), '0019', 'before it changes anything');
	$early->close;

	# Objects created after the call began, or between two calls.
	cancelled_in_build($node, $database, 'things', '0024');
	$session->query('CREATE INDEX own ON procrastinate_events (job_id, at)');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), $replaced,
		'an index of a user between two calls is seen');
	is($session->query(q{SELECT to_regclass('own') IS NOT NULL}), 't', 'and is not lost');
	$session->close;

	# Rows of a table that inherits are not filled by the trigger.
	$session = queue('children', 23, 3);
	$session->query(
		'CREATE TABLE archive () INHERITS (procrastinate_events); INSERT INTO archive (job_id,'
		  . ' type) VALUES (1, \'started\')'
	);
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0024', 'children')});
	like($err,
		qr/^DETAIL:\ \ Table\ (?:children\.)?archive,\ which\ inherits\ the\ column\ but\ not
			\ the\ trigger\ that\ fills\ it\.$/mx,
		'the error names a table that inherits');
	is( $session->query(
			q{SELECT procrastinate_upgrade('0024'); SELECT job_id, pg_typeof(job_id) FROM archive}),
		"0024\n1|bigint",
		'and is changed in one transaction');
	$session->close;
	$session = queue('late_children', 23, 3);
	cancelled_in_build($node, $database, 'late_children', '0024');
	$session->query('CREATE TABLE archive () INHERITS (procrastinate_events)');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), $replaced,
		'one that came between two calls is seen');
	$session->query('ALTER TABLE archive NO INHERIT procrastinate_events');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'without it the way is free');
	$session->query('DROP TABLE archive');
	is_at($node, $database, 'late_children', 24, 'to 0024');
	$session->close;
	return;
}

# Objects on other tables, and triggers that fire before ours, are allowed.
sub what_is_in_nobodys_way
{
	my $session = queue('harmless', 23, 3);
	$session->query(<<'SQL');
CREATE TABLE own (id bigint CONSTRAINT procrastinate_events_job_id_fkey CHECK (id > 0));
COMMENT ON CONSTRAINT procrastinate_events_job_id_fkey ON own IS 'mine';
CREATE TRIGGER aa BEFORE INSERT ON procrastinate_events FOR EACH ROW EXECUTE FUNCTION public.zz();
CREATE PUBLICATION harmless FOR ALL TABLES;
SQL

	# From contrib, which a server may lack.
	my $slot = q{SELECT FROM pg_create_logical_replication_slot('other', 'test_decoding')};
	$node->safe_psql($database, $slot)
	  if -e $node->config_data('--pkglibdir') . '/test_decoding.so';
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'what does not touch the column is in nobody\'s way');
	$session->query(
		'DROP PUBLICATION harmless; SELECT count(pg_drop_replication_slot(slot_name)) FROM'
		  . ' pg_replication_slots'
	);
	$session->close;
	return;
}

# The new index goes to default_tablespace, in new and in old schemas.
sub a_tablespace_of_its_index
{
	$node->safe_psql($database, $_)
	  foreach 'SET allow_in_place_tablespaces = on; CREATE TABLESPACE own LOCATION \'\'',
	  'CREATE SCHEMA spaced';
	my $session = session('spaced');
	my $spaces =
	  q{SELECT string_agg(DISTINCT coalesce(spcname, 'default'), ' ') FROM pg_class LEFT
	  JOIN pg_tablespace AS t ON t.oid = reltablespace
		WHERE relnamespace = 'spaced'::regnamespace AND relkind = 'i'};
	$session->query('SET default_tablespace = own; SET client_min_messages = error');
	is($session->refusal(q{CALL procrastinate_migrate('0023', 'spaced')}), 'no error',
		'a schema is made in a tablespace');
	$session->query('RESET default_tablespace');
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0024', 'spaced')});
	my ($setting) = $err =~
	  /^DETAIL:\ \ Index\ (?:spaced\.)?procrastinate_events_job_id_fkey,\ which\ stays\ in
		\ its\ tablespace\ with\ (SET\ .+)\.$/mx;
	is($setting, q{SET default_tablespace = 'own'}, 'out of which an index does not come unasked');
	$session->query($setting);
	my $holder = session('spaced');
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW SHARE MODE');
	$session->send(q{CALL procrastinate_migrate('0024')});
	is(cancelled_after($node, $database, $session, 'spaced', '0024.8'),
		'57014: canceling statement due to user request', 'with that it is free');
	$holder->query('COMMIT');
	$holder->close;
	$session->query('RESET default_tablespace');
	is($session->refusal(q{CALL procrastinate_migrate('0024', 'spaced')}), 'no error',
		'and without, once the new one has been built');
	is($session->query($spaces), 'own', 'and all are there');
	$session->query(
		'DROP SCHEMA spaced CASCADE; CREATE SCHEMA spaced; SET default_tablespace = own');
	is($session->refusal(q{CALL procrastinate_migrate('head', 'spaced')}),
		'no error', 'a whole way there');
	is($session->query($spaces), 'own', 'is one');
	$session->query(q{DROP SCHEMA spaced CASCADE});
	$session->close;
	return;
}

sub what_came_meanwhile
{
	my $session  = queue('midway', 23, 3);
	my $replaced = 'PM009: cannot replace column procrastinate_events.job_id while clients work';
	my ($holder, $caller) = map { session('midway') } 1 .. 2;
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW SHARE MODE');
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_for_step($node, $database, 'midway', '0024.8');    # only the exchange is left
	$session->query('CREATE INDEX own ON procrastinate_events (job_id, at)');
	$holder->query('COMMIT');
	is(($caller->wait)[1], $replaced, 'an index of a user before the last step is seen');
	$session->query('DROP INDEX own');
	$session->query(
		'CREATE TRIGGER zz BEFORE INSERT ON procrastinate_events FOR EACH ROW EXECUTE FUNCTION'
		  . ' public.zz()'
	);
	is( $session->refusal(q{INSERT INTO procrastinate_events (job_id, type) VALUES (2, 'started')}),
		'23514: new row for relation "procrastinate_events" violates check constraint'
		  . ' "procrastinate_events_job_id_bigint_same"',
		'a trigger that sets the old column alone is not borne');
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0024', 'midway')});
	like(
		$err,
		qr/^DETAIL:\ \ Trigger\ zz\ on\ table\ (?:midway\.)?procrastinate_events,\ which\ may
			\ set\ the\ column\ after.*\nHINT:\ \ Drop\ or\ validate\ these
			\ objects,\ .*\ 0024\.$/mx,
		'and has to go, for only this call can go on');
	$session->query('DROP TRIGGER zz ON procrastinate_events');
	$session->query(
		'ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_bigint_same');
	(undef, undef, $err) = $node->psql($database, q{CALL procrastinate_migrate('0024', 'midway')});
	my ($statement) = $err =~
	  /^DETAIL:\ \ Constraint\ procrastinate_events_job_id_bigint_same,\ which\ is\ missing;\ to
		\ create\ it\ again:\ (.+)\.$/mx;
	ok($statement, 'without the check such a trigger is not found');
	$session->query($statement);
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'with it the way is free');
	is_at($node, $database, 'midway', 24, 'to 0024');
	$_->close foreach $session, $holder, $caller;
	return;
}

# A subscriber would fail for lack of the new column.
sub a_publication_of_events
{
	my $session = queue('published', 23, 3);
	my $call    = q{CALL procrastinate_migrate('0024', 'published')};
	my $slot = q{SELECT count(*) FROM pg_create_logical_replication_slot('subscriber', 'pgoutput')};
	$session->query($slot);
	foreach my $what ('FOR ALL TABLES', 'FOR TABLES IN SCHEMA published',
		'FOR TABLE published.procrastinate_events')
	{
		$session->query("CREATE PUBLICATION published $what");
		my (undef, undef, $err) = $node->psql($database, $call);
		like($err,
			qr/^DETAIL:  Publication published, whose subscribers have no column job_id_bigint\.$/m,
			"a publication is told: $what");
		$session->query('DROP PUBLICATION published');
	}
	$session->query('CREATE PUBLICATION published FOR ALL TABLES');
	$session->query(q{SELECT pg_drop_replication_slot('subscriber')});
	cancelled_in_build($node, $database, 'published', '0024');
	$session->query($slot);
	is($session->refusal($call), 'no error',
		'one without subscribers is none, and a call that has begun goes on');
	$session->query(q{DROP PUBLICATION published; SELECT pg_drop_replication_slot('subscriber')});
	$session->close;

	# A publication that forbids updates of events, with subscribers or without.
	$session = queue('unchangeable', 23, 3);
	$session->query(
		q{CREATE PUBLICATION own FOR TABLE procrastinate_events WHERE (at > '2020-01-01')});
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0024', 'unchangeable')});
	like(
		$err,
		qr/^DETAIL:\ \ Cannot\ update\ table\ "procrastinate_events":\ Column\ used\ in\ the
			\ publication\ WHERE\ .+[^.]\.\nHINT:\ \ .+\ SELECT\ public\.procrastinate_upgrade/mx,
		'a publication that forbids updates is an error');
	is($session->query('SELECT revision, source FROM procrastinate_current()'), '0023|upgrade',
		'before anything is done');
	$session->query(q{ALTER PUBLICATION own SET TABLE procrastinate_events WHERE (id > 0)});
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'any other is in nobody\'s way');
	$session->query('DROP PUBLICATION own');
	$session->query(
		q{SELECT count(*) FROM pg_create_logical_replication_slot('subscriber', 'pgoutput')});
	$session->close;
	if ($node->safe_psql($database, 'SHOW server_version_num') >= 190000)
	{
		$session = queue('excepted', 23, 3);
		$session->query(
			'CREATE PUBLICATION own FOR ALL TABLES EXCEPT (TABLE procrastinate_events)');
		is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
			'nor is one that leaves events out');
		$session->query(q{DROP PUBLICATION own});
		$session->close;
	}
	$node->safe_psql($database, q{SELECT pg_drop_replication_slot('subscriber')});

	# The owner of the events does not see all of them if row security is forced.
	$node->safe_psql($database,
		'CREATE ROLE keeper LOGIN; CREATE SCHEMA kept AUTHORIZATION keeper');
	my $keeper = do { local $ENV{PGUSER} = 'keeper'; session('kept') };
	$keeper->query(
		q{SET client_min_messages = error; SELECT procrastinate_upgrade('0023', 'kept'); ALTER}
		  . q{ TABLE procrastinate_events FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY}
	);
	local $ENV{PGUSER} = 'keeper';
	(undef, undef, $err) = $node->psql($database, q{CALL procrastinate_migrate('0024', 'kept')});
	like($err,
		qr/ERROR:  row-level security is forced on table kept\.procrastinate_events$/m,
		'policies that hide events are an error');
	$keeper->query('ALTER TABLE procrastinate_events NO FORCE ROW LEVEL SECURITY');
	(undef, undef, $err) = $node->psql($database,
		q{SET default_tablespace = own; CALL procrastinate_migrate('0024', 'kept')});
	like($err, qr/^Tablespace own, in which you may not create an index\.$/m,
		'and so is a tablespace of others');
	$keeper->close;
	return;
}

# The check of events needs ROW EXCLUSIVE: only conflicting locks block it.
sub a_look_at_events
{
	my ($holder, $other) = (queue('looked_at', 23, 3), session('looked_at'));
	$other->query('BEGIN; UPDATE procrastinate_jobs SET attempts = 1');
	$holder->query('BEGIN; LOCK TABLE procrastinate_events IN SHARE MODE');
	my (undef, undef, $err) =
	  $node->psql($database,
		q{CALL procrastinate_migrate('0024', 'looked_at', lock_timeout => '10 ms', retry_for =>}
		  . q{ '300 ms')}
	  );
	like($err, qr/session $holder->{pid}/, 'the error names the session that holds the lock');
	unlike($err, qr/session $other->{pid}/, 'and who has not is not');
	$_->query('ROLLBACK') foreach $holder, $other;
	$_->close             foreach $holder, $other;
	return;
}

sub triggers_of_events
{
	my $session = queue('triggers', 23, 3);
	$session->query(<<'SQL');
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE UPDATE ON procrastinate_events FOR EACH ROW
	EXECUTE FUNCTION public.keep();
SQL
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0024', 'triggers')});
	like(
		$err,
		qr/Trigger keep on table (?:triggers\.)?procrastinate_events, which the batches would fire/,
		'a trigger that the batches would fire is an error before the first change');
	is($session->query('SELECT revision, source FROM procrastinate_current()'), '0023|upgrade',
		'and nothing is');

	# Nor a check that is not enforced.
	$session->query('ALTER TABLE procrastinate_events DISABLE TRIGGER keep');
	$session->query(
		'ALTER TABLE procrastinate_events ADD CONSTRAINT mine CHECK (id < 0) NOT ENFORCED')
	  if $session->query('SHOW server_version_num') >= 180000;
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'disabled it is in nobody\'s way');
	$session->close;

	$session = queue('rules', 29, 1);
	$session->query(
		q{UPDATE procrastinate_jobs SET status = 'doing'; UPDATE procrastinate_jobs SET status =}
		  . q{ 'aborting'}
	);
	$session->query(<<'SQL');
CREATE TRIGGER keep BEFORE UPDATE ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.keep();
SQL
	is( $session->refusal(q{CALL procrastinate_migrate('0030')}),
		q{55000: could not change all rows of table "procrastinate_jobs"},
		'rows that a trigger keeps as they are end the call');
	$session->query('ALTER TABLE procrastinate_jobs DISABLE TRIGGER keep');
	is($session->refusal(q{CALL procrastinate_migrate('0030')}), 'no error',
		'and are changed once they can be');
	is($session->query('SELECT status, abort_requested FROM procrastinate_jobs'), 'aborting|t',
		'all of them');
	$session->close;
	return;
}
