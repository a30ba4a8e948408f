# The in-use check before a post migration: last queries of sessions, listeners, heartbeats, counts
# of function calls.

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

last_queries();
what_is_no_call();
listeners();
listeners_of_before();
hidden_sessions();
heartbeats();
counts();
a_view_of_strange_code();
without_conversion();
done_testing();

sub schema_at
{
	my ($schema, $revision) = @_;
	upgrade($node, $database, $revision, $schema);
	return $schema;
}

sub end
{
	my ($session) = @_;
	$session->close;
	wait_for($node, $database,
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $session->{pid}",
		'the session has gone');
	return;
}

# Returns the error of a call as psql prints it.
sub complaint
{
	my ($schema, $arguments) = @_;
	my (undef, undef, $err) =
	  $node->psql($database,
		"SET client_min_messages = warning; CALL procrastinate_migrate($arguments, schema =>"
		  . " '$schema')"
	  );
	return $err;
}

sub last_queries
{
	my $schema = schema_at('asked', 29);
	my $old    = session($schema);
	$old->query(q{SET application_name = 'an old worker'});
	$old->query('SELECT id FROM procrastinate_fetch_job(NULL)');
	my $err = complaint($schema, q{'head'});
	like($err, qr/ERROR:  migration 0031 drops functions of schema "asked" that seem to be in use/,
		'it stops before a post migration');
	like(
		$err,
		qr/^DETAIL:\ \ Session\ $old->{pid}\ of\ role\ \S+\ \(an\ old\ worker\),\ idle\ for
			\ \d\d:\d\d:\d\d,\ calls\ procrastinate_fetch_job\.$/mx,
		'and names who still calls what goes');
	like($err,
		qr/^HINT:  .*CALL public\.procrastinate_migrate\('0031', schema => 'asked', force => true\);$/m,
		'and the way through');
	is_at($node, $database, $schema, 30, 'the pre migration has been applied');
	my ($advice) =
	  complaint($schema, q{'0031', retry_for => '1000000 years'}) =~ /^HINT:  .*: (CALL .*)$/m;
	is( $advice,
		q{CALL public.procrastinate_migrate('0031', schema => 'asked', retry_for => '100000 years', force}
		  . q{ => true);},
		'for as long as any server can be told');
	is($node->safe_psql($database, q{SELECT interval '100000 years' > interval '99999 years'}),
		't', 'as this one can');

	my $session = session($schema);
	is($session->refusal(q{CALL procrastinate_migrate('0031', through => 'pre')}) =~ s/:.*//r,
		'22023', 'through what is none');
	is($session->refusal('CALL procrastinate_migrate(force => NULL)') =~ s/:.*//r, '22004',
		'force must be true or false');
	is($session->refusal(q{CALL procrastinate_migrate('0031', through => 'post')}), 'no error',
		'through post it goes on');
	is_at($node, $database, $schema, 31, 'to 0031');
	$old->query('SELECT id FROM procrastinate_fetch_job_v1(NULL)');
	is($session->refusal(q{CALL procrastinate_migrate('0033')}) =~ s/:.*//r, 'PM013',
		'the next post migration is guarded, too');
	end($old);
	is($session->refusal(q{CALL procrastinate_migrate('0033')}), 'no error',
		'once the old worker has gone it goes on');
	is_at($node, $database, $schema, 33, 'to 0033');
	$session->close;
	return;
}

# Only calls count: no comment, no string, no function of another schema. And only the sessions of
# roles that may use the queue.
sub what_is_no_call
{
	my $schema = schema_at('commented', 30);
	$node->safe_psql($database,
		"CREATE ROLE unrelated LOGIN; GRANT USAGE ON SCHEMA $schema TO unrelated");
	my $worker   = session($schema);
	my $unrelated =
	  do { local $ENV{PGUSER} = 'unrelated'; user_session($node, $database, $schema) };
	my $call     = 'procrastinate_fetch_job(NULL)';
	$worker->query('SET track_functions = none');    # the check would wait for counts
	run_sql(<<'SQL');
CREATE FUNCTION public.refuse_drop() RETURNS event_trigger LANGUAGE plpgsql
	AS $$ BEGIN RAISE 'no use found'; END $$;
CREATE EVENT TRIGGER refuse_drop ON ddl_command_start WHEN TAG IN ('DROP FUNCTION')
	EXECUTE FUNCTION public.refuse_drop();
SQL
	foreach my $query (
		"SELECT 1 /* $call */",
		"SELECT '$call', \$\$ $call \$\$, E'$call', U&'$call' -- $call",
		'SELECT 1 AS procrastinate_fetch_job',
		'SELECT pg_temp.procrastinate_fetch_job(NULL)',
		q{/* LISTEN "procrastinate_queue#default" */ SELECT 1},
		)
	{
		$worker->query('CREATE OR REPLACE FUNCTION pg_temp.procrastinate_fetch_job(varchar[])'
			  . q{ RETURNS int LANGUAGE sql AS 'SELECT 1'});
		$worker->query($query);
		is(use_found($schema), '', "no call: $query");
	}
	$unrelated->refusal("SELECT id FROM $call");
	is(use_found($schema), '', 'a role that may not use the queue calls it');
	$node->safe_psql($database, <<"SQL");
CREATE ROLE by_column LOGIN;
GRANT USAGE ON SCHEMA $schema TO by_column;
GRANT UPDATE (status) ON $schema.procrastinate_jobs TO by_column;
SQL
	my $by_column =
	  do { local $ENV{PGUSER} = 'by_column'; user_session($node, $database, $schema) };
	$by_column->refusal("SELECT id FROM $call");
	like(use_found($schema), qr/Session $by_column->{pid} of role by_column/,
		'a role that may update one column calls it');
	$by_column->query('SELECT 1');
	foreach my $query (
		"/* a comment */ SELECT /* another */ id FROM procrastinate_fetch_job /**/ (NULL)",
		qq{SELECT "id" FROM "$schema"."procrastinate_fetch_job" (NULL)},
		"SELECT id FROM $schema.PROCRASTINATE_fetch_job(NULL) -- unterminated 'quotes",
		"SELECT id FROM $call WHERE '" . 'x' x 2000 . q{' <> ''},
		)
	{
		$worker->query($query);
		like(use_found($schema), qr/Session $worker->{pid} of .*, calls procrastinate_fetch_job\./,
			'a call: ' . substr($query, 0, 80));
	}
	$worker->query(q{/* new */ listen "procrastinate_queue#default"});
	like(
		use_found($schema),
		qr/$worker->{pid} of .* listens for jobs on a channel of older releases/,
		'a comment hides no LISTEN');
	run_sql('DROP EVENT TRIGGER refuse_drop; DROP FUNCTION public.refuse_drop()');
	$_->close foreach $worker, $unrelated, $by_column;
	return;
}

# What the in-use check before 0031 finds. After it the call fails, by an event trigger.
sub use_found
{
	my ($schema) = @_;
	my (undef, undef, $err) = $node->psql($database,
		"SET client_min_messages = error; CALL procrastinate_migrate('0031', schema => '$schema')");
	return $err =~ /ERROR:  no use found$/m ? '' : $err =~ /^DETAIL:  (.*)$/m ? $1 : $err;
}

# A session that has listened since before the pre migration runs old code.
sub listeners
{
	my $schema = schema_at('listened', 33);
	my $old    = session($schema);
	$old->query('LISTEN "procrastinate_queue_v1#default"');
	is(complaint($schema, q{'3.2.2@pre'}), '', 'the pre migration does not mind old workers');
	my $new = session($schema);
	$new->query('LISTEN procrastinate_any_queue_v1');
	like(
		complaint($schema, q{'0035'}),
		qr/^DETAIL:\ \ Session\ $old->{pid}\ of\ role\ \S+\ \(525_in_use_check.pl\),\ has
			\ listened\ for\ jobs\ since\ before\ the\ pre\ migration\.\nHINT:\ /mx,
		'the post one, in another call, does, and leaves out who came after');
	end($old);
	is(complaint($schema, q{'0035'}), '', 'without it the call goes on');
	is_at($node, $database, $schema, 35, 'to 0035');
	$new->close;
	return;
}

# From 0031 on, only old code listens on the old channels.
sub listeners_of_before
{
	my $schema = schema_at('unversioned', 30);
	my ($old, $new) = map { session($schema) } 1 .. 2;
	$old->query('LISTEN procrastinate_any_queue');
	$new->query('LISTEN procrastinate_any_queue_v1');
	like(
		complaint($schema, q{'0031'}),
		qr/^DETAIL:\ \ Session\ $old->{pid}\ of\ role\ \S+\ \(525_in_use_check.pl\),\ listens
			\ for\ jobs\ on\ a\ channel\ of\ older\ releases\.\nHINT:\ /mx,
		'a listener on an old channel is old, one on a new channel is not');
	end($old);
	is(complaint($schema, q{'0031'}), '', 'without it the call goes on');
	is_at($node, $database, $schema, 31, 'to 0031');
	$new->close;
	return;
}

# A role that cannot see the queries of others gets a warning.
sub hidden_sessions
{
	$node->safe_psql($database,
		'CREATE ROLE "Owner" LOGIN; CREATE ROLE worker LOGIN; CREATE SCHEMA owned AUTHORIZATION'
		  . ' "Owner"'
	);
	my ($owner, $worker) =
	  map { local $ENV{PGUSER} = $_; user_session($node, $database, 'owned') } 'Owner', 'worker';
	$owner->query(q{SELECT procrastinate_upgrade('0030', 'owned')});
	$owner->query(
		'GRANT USAGE ON SCHEMA owned TO worker; GRANT ALL ON ALL TABLES IN SCHEMA owned TO worker');
	$worker->query('SELECT id FROM procrastinate_fetch_job(NULL)');
	my $said = sub {
		local $ENV{PGUSER} = 'Owner';
		return (
			$node->psql(
				$database,
				q{SET client_min_messages = warning; CALL procrastinate_migrate('0031', schema =>}
				  . q{ 'owned')}
			))[2];
	};
	$node->safe_psql($database, 'GRANT pg_read_all_stats TO "Owner"');
	like($said->(),
		qr/^DETAIL:  Session $worker->{pid} of role worker .*, calls procrastinate_fetch_job\.$/m,
		'a role that sees the queries of others gets the error');
	$node->safe_psql($database, 'REVOKE pg_read_all_stats FROM "Owner"');
	# It would be one more session.
	$node->forget_session;
	like(
		$said->(),
		qr/WARNING:  could not check whether functions that migration 0031 drops are in use
DETAIL:  Role "Owner" may not see the queries of 1 session of other roles that may use the queue\.
HINT:  .*: GRANT pg_read_all_stats TO "Owner";$/m, 'who may not, that there are some');
	is_at($node, $database, 'owned', 31, 'and the call goes on, to 0031');
	$_->close foreach $owner, $worker;
	return;
}

# One call applies pre and post, so there was no deployment in between.
sub heartbeats
{
	my $schema  = schema_at('beating', 33);
	my $session = session($schema);
	my ($stalled, $never, $alive) =
	  map { $session->query('SELECT procrastinate_register_worker_v1()') } 1 .. 3;
	$session->query(
		"UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 min' WHERE id ="
		  . " $stalled; UPDATE procrastinate_workers SET last_heartbeat = '-infinity' WHERE id ="
		  . " $never"
	);
	my $err = complaint($schema, q{'head'});
	like($err, qr/ERROR:  migration 0035 drops functions of schema "beating"/,
		'it stops where an older worker is alive');
	like(
		$err,
		qr/^DETAIL:\ \ Worker\ $alive,\ whose\ last\ heartbeat\ came\ \d+\ s\ ago,\ was
			\ registered\ before\ this\ call's\ pre\ migrations\.\nHINT:\ /mx,
		'and names that one alone');
	is_at($node, $database, $schema, 34, 'the pre migration has been applied');
	is(complaint($schema, q{'0035'}), '',
		'a call that begins after the pre migration takes workers for new ones');
	is_at($node, $database, $schema, 35, 'to 0035');
	$session->close;
	return;
}

# Clients whose queries do not show what they call.
sub counts
{
	my $schema = schema_at('counted', 34);
	my $script = PostgreSQL::Test::Utils::tempdir() . '/hidden.sql';
	append_to_file($script, <<"SQL");
DO \$\$ BEGIN EXECUTE 'SELECT $schema.procrastinate_' ||
	'defer_job_v1(''q'', ''t'', 0, NULL, NULL, ''{}'', NULL)'; END \$\$;
\\sleep 100 ms
SQL
	my $load = do
	{
		local $ENV{PGOPTIONS} = "-c search_path=$schema";
		start_load($node, $database, [$script], qw(-c 1));
	};
	wait_for(
		$node, $database,
		"SELECT sum(calls) > 3 FROM pg_stat_user_functions WHERE schemaname = '$schema' AND"
		  . " funcname = 'procrastinate_defer_job_v1'",
		'calls are counted');
	like(
		complaint($schema, q{'0035'}),
		qr/^DETAIL:\ \ Function\ procrastinate_defer_job_v1\ has\ been\ called\ \d+\ times
			\ since\ this\ call\ began\.$/mx,
		'calls of what goes are seen where the server counts them, though the post migration is the'
		  . ' first'
	);
	is(stop_load($load), '', 'until then nobody fails');
	wait_for($node, $database, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query ~ '^DO '},
		'the last calls are counted');
	is(complaint($schema, q{'0035'}),
		'', 'the call goes on when no session calls the function any more');
	is_at($node, $database, $schema, 35, 'to 0035');
	return;
}

# Another role creates an object with the name of the workers' table.
sub a_view_of_strange_code
{
	my $schema = schema_at('viewed', 29);
	my ($reader, $caller) = map { session($schema) } 1 .. 2;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0032')});
	wait_for_step($node, $database, $schema, '0030.1');
	$node->safe_psql($database, <<"SQL");
CREATE ROLE mallory;
GRANT USAGE, CREATE ON SCHEMA $schema TO mallory;
SET ROLE mallory;
CREATE FUNCTION $schema.strange() RETURNS bigint LANGUAGE plpgsql AS \$\$ BEGIN RAISE
	'strange code'; END \$\$;
CREATE VIEW $schema.procrastinate_workers AS SELECT $schema.strange() AS id,
	now() AS last_heartbeat;
SQL
	$reader->query('COMMIT');
	is(($caller->wait)[1] =~ s/:.*//sr, '42501',
		'a view in the place of the workers\' table is refused, and is not read');
	$_->close foreach $reader, $caller;
	return;
}

# The scanner of the server cannot read such an escape in this encoding.
sub without_conversion
{
	my $ascii = 'in_ascii';
	$node->safe_psql('postgres',
		"CREATE DATABASE $ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
	$node->safe_psql($ascii,
		"CREATE EXTENSION procrastinate_migrate; SELECT procrastinate_upgrade('0030')");
	my $session = new_session($node, $ascii);
	$session->send(q{SELECT E'\u0441'});
	like(($session->wait)[1], qr/^0A000: /, 'a query that the server cannot read in SQL_ASCII');
	my ($status, undef, $error) = $node->psql($ascii, q{CALL procrastinate_migrate('0031')});
	is($status, 0, 'is no obstacle') || diag($error);
	$session->close;
	return;
}
