# Installations that get another owner while procrastinate_migrate() or procrastinate_migrate_all()
# is at work. No session that has run code of one role runs code of another one's installation: what
# the first one has left there would act as the second. And an error is an error, whatever SQLSTATE
# a trigger gives it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Psql;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
run_sql('CREATE ROLE mallory LOGIN; CREATE EXTENSION dblink');

before_its_turn();
while_it_waits();
between_transactions();
error_without_an_error_code();
done_testing();

# What is left in the session: a trigger of mallory's sets search_path and writes to another queue,
# whose trigger has the types of mallory's schema from then on.
sub before_its_turn
{
	run_sql(<<'SQL');
SET client_min_messages = error;
CREATE SCHEMA a0 AUTHORIZATION mallory;
CREATE SCHEMA b_shared;
GRANT USAGE, CREATE ON SCHEMA b_shared TO mallory;
CREATE SCHEMA evil AUTHORIZATION mallory;
CREATE SCHEMA s;
SELECT procrastinate_upgrade('0029', schema => 's');
CREATE TABLE s.audit (who text);
CREATE FUNCTION s.audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	who text;
BEGIN
	who := current_user;
	INSERT INTO s.audit VALUES (who);
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON s.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION s.audit();
GRANT USAGE ON SCHEMA s TO mallory;
GRANT ALL ON ALL TABLES IN SCHEMA s TO mallory;
GRANT ALL ON ALL SEQUENCES IN SCHEMA s TO mallory;
SET ROLE mallory;
SELECT procrastinate_upgrade('0029', schema => 'a0');
SELECT procrastinate_upgrade('0029', schema => 'b_shared');
INSERT INTO s.procrastinate_jobs (queue_name, task_name, status) VALUES ('q', 't', 'aborting');
CREATE FUNCTION evil.f(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'mallory' THEN
		EXECUTE 'ALTER ROLE mallory SUPERUSER';
	END IF;
	RETURN true;
END $$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.f(VALUE));
CREATE FUNCTION evil.plant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'evil, pg_catalog', true);
	UPDATE s.procrastinate_jobs SET priority = priority;
	RETURN NULL;
END $$;
CREATE TRIGGER plant AFTER INSERT ON b_shared.procrastinate_schema_history
	FOR EACH STATEMENT EXECUTE FUNCTION evil.plant();
ALTER TABLE b_shared.procrastinate_jobs RENAME TO parked;
SQL
	is(run_sql(q{SELECT owner::text <> 'mallory' FROM procrastinate_installations
				 WHERE schema = 'b_shared'::regnamespace}),
		't', 'an installation without its jobs table is listed as the schema owner\'s');
	my $blocker = session();
	$blocker->query('BEGIN; LOCK TABLE a0.procrastinate_jobs');
	my $caller = start_psql($node, $database,
		[q{CALL procrastinate_migrate_all('0030', '{a0,b_shared,s}', workers => 1)}]);
	is_waiting('a0');
	run_sql('SET ROLE mallory; ALTER TABLE b_shared.parked RENAME TO procrastinate_jobs');
	$blocker->query('ROLLBACK');
	$caller->{run}->finish;
	is(run_sql(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}),
		'f', 'it gets its owner back before its turn: the owner has a worker of its own');
	is(revision_of($_), '0030', "$_ is migrated") foreach qw(a0 b_shared s);
	$blocker->close;
	return;
}

sub while_it_waits
{
	run_sql('CREATE SCHEMA given; GRANT USAGE, CREATE ON SCHEMA given TO mallory');
	upgrade($node, $database, 29, 'given');
	my $blocker = session();
	$blocker->query(q{BEGIN; SELECT procrastinate_stamp('0029', schema => 'given');});
	my $caller =
	  start_psql($node, $database, [q{CALL procrastinate_migrate_all('0030', '{given}')}]);
	is_waiting('given');
	$blocker->query('ALTER TABLE given.procrastinate_jobs OWNER TO mallory; COMMIT');
	$caller->{run}->finish;
	like(
		$caller->{err},
		qr/^DETAIL:  55000: schema "given" belongs to role mallory now, and no longer to role \w+$/m,
		'an installation that gets another owner while a worker waits for it is refused');
	is(revision_of('given'), '0029', 'and not changed');
	$blocker->close;
	return;
}

sub is_waiting
{
	my ($schema) = @_;
	return wait_until(
		q{SELECT count(*) = 1 FROM pg_stat_activity a JOIN pg_locks l USING (pid)}
		  . q{ WHERE backend_type = 'procrastinate_migrate' AND NOT granted}
		  . qq{ AND query LIKE 'CALL %$schema%'},
		"a worker waits for $schema");
}

# One call of a session has many transactions, and no lock in between.
sub between_transactions
{
	my $schema = filled_schema('changing', 23, 15_000);
	my $caller = session();
	$caller->query(q{SET procrastinate_migrate.max_wal_rate = '100kB'});
	$caller->send(qq{CALL procrastinate_migrate('0024', schema => '$schema')});
	wait_until(
		q{SELECT count(*) = 1 FROM procrastinate_progress WHERE kind = 'batched' AND done > 0},
		'batches are under way');
	run_sql("GRANT ALL ON SCHEMA $schema TO mallory");
	# The call locks the history first, too.
	run_sql(join ';', 'BEGIN',
		(map { "ALTER TABLE $schema.procrastinate_$_ OWNER TO mallory" }
			  qw(schema_history jobs events periodic_defers)), 'COMMIT');
	like(
		($caller->wait)[1],
		qr/^55000: schema "changing" belongs to role mallory now, and no longer to role \w+/,
		'a call acts as one role only');
	$caller->close;
	return;
}

# dblink passes on whatever SQLSTATE another server sends, also that of success.
sub error_without_an_error_code
{
	my $schema   = filled_schema('failing', 29, 0);
	my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
	my $port     = $listener->sockport;
	my $server   = fork // die $!;
	if ($server == 0)
	{
		answer_with_an_error($listener->accept);
		kill 'KILL', $$;    # no END block of the test's
	}
	run_sql(<<"SQL");
CREATE FUNCTION $schema.fail() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM public.dblink_exec('host=127.0.0.1 port=$port dbname=none user=none'
		' sslmode=disable gssencmode=disable', 'SELECT 1');
	RETURN NULL;
END \$\$;
CREATE TRIGGER fail AFTER INSERT ON $schema.procrastinate_schema_history
	FOR EACH STATEMENT EXECUTE FUNCTION $schema.fail();
SQL
	my ($status, undef, $error) =
	  $node->psql($database, "CALL procrastinate_migrate_all('0030', '{$schema}')");
	waitpid $server, 0;
	isnt($status, 0, 'an error with the SQLSTATE 00000 is an error');
	like($error, qr/^DETAIL:  XX000: not successful$/m, 'and is told');
	is(revision_of($schema), '0029', 'nothing has changed');
	return;
}

# Just enough of the protocol: everybody may connect, dblink sets the encoding, and the query fails.
sub answer_with_an_error
{
	my ($client) = @_;
	my $message = sub { $_[0] . pack('N', 4 + length $_[1]) . $_[1] };
	local $SIG{ALRM} = 'DEFAULT';
	alarm 60;
	sysread $client, my $startup, 8192;
	syswrite $client, $message->('R', pack 'N', 0) . $message->('Z', 'I');
	while (sysread $client, my $query, 8192)
	{
		my $answer =
		  $query =~ /SELECT 1/
		  ? $message->('E', "SERROR\0VERROR\0C00000\0Mnot successful\0\0")
		  : $message->('C', "SET\0");
		syswrite $client, $answer . $message->('Z', 'I');
	}
	return;
}
