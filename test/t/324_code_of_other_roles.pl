# What other roles can create in the schema of an installation, or on its tables, and what a change
# would run of it: functions that hide the server's, code that leaves something in the session, a
# history.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'code_of_other_roles');
my $database = new_database($node);
my $super    = $node->safe_psql($database, 'SELECT current_user');
look_as_roles($node, $database);
query('CREATE ROLE mallory LOGIN');

better_fitting_function();
better_fitting_operator();
server_functions_in_batches();
settings_of_the_session();
type_in_pg_temp();
empty_history();
script_after_set_role();
functions_to_drop();
cursors_of_the_session();
failed_cursor();
completed_revision();
search_path_between_migrations();
removed_rows();
done_testing();

# A role that may create functions in the schema makes one that fits a call of a trigger function
# better than the server's, or an operator. The call is refused, in the middle of a migration, too.
sub better_fitting_function
{
	query('CREATE SCHEMA fresh; GRANT CREATE, USAGE ON SCHEMA fresh TO mallory');
	as_role('mallory', q{CREATE FUNCTION fresh.now(text) RETURNS int LANGUAGE sql AS 'SELECT 1'});
	my $refused =
	  qr/ERROR:  .*may not change the installation.*\n.*fresh\.now\(text\) of role mallory/;
	foreach my $call (q{SELECT procrastinate_upgrade('head', 'fresh')},
		q{CALL procrastinate_migrate('head', 'fresh')},
		$node->safe_psql($database, q{SELECT procrastinate_sql('base:head', schema => 'fresh')}))
	{
		my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
		like($error, $refused, 'a first install is refused: ' . substr($call, 0, 40) =~ s/\n.*//sr);
	}
	is(query(q{SELECT count(*) FROM procrastinate_current('fresh')}), '0', 'before it begins');
	query('DROP SCHEMA fresh CASCADE');
	query(<<'SQL');
CREATE SCHEMA shared;
GRANT CREATE, USAGE ON SCHEMA shared TO mallory;
SELECT procrastinate_upgrade('0028', 'shared');
SELECT procrastinate_upgrade('0030', 'shared');
INSERT INTO shared.procrastinate_jobs (queue_name, task_name, status)
VALUES ('q', 't', 'aborting');
SQL
	as_role('mallory', <<'SQL');
CREATE FUNCTION shared.json_build_object(text, text, text, bigint) RETURNS json LANGUAGE plpgsql
AS $$
BEGIN
	ALTER ROLE mallory SUPERUSER;
	RETURN '{}';
END
$$;
SQL
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0031', 'shared')});
	like($err, qr/^psql:<stdin>:1: ERROR:  role "\Q$super\E" may not change the installation/m,
		'an online run refuses a function that would be called instead of the server\'s');
	like(
		$err,
		qr/^DETAIL:\ \ function\ shared\.json_build_object\(text,text,text,bigint\)\ of\ role
			\ mallory\ has\ the\ name\ of\ one\ of\ the\ server's\.$/mx,
		'and names it');
	(undef, undef, $err) =
	  $node->psql($database, q{SELECT procrastinate_upgrade('0031', 'shared')});
	like($err, qr/ERROR:  role "\Q$super\E" may not change/, 'so does an upgrade');
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0030:0031', schema => 'shared')});
	(undef, undef, $err) = $node->psql($database, $script, on_error_stop => 1);
	like($err, qr/ERROR:  .*shared/, 'and a script');
	query('DROP FUNCTION shared.json_build_object(text, text, text, bigint)');
	is_unprivileged('mallory', 'and none of them calls it');
	return;
}

sub better_fitting_operator
{
	as_role('mallory', <<'SQL');
CREATE FUNCTION shared.evil(shared.procrastinate_job_status, shared.procrastinate_job_status)
RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN true; END $$;
CREATE OPERATOR shared.= (FUNCTION = shared.evil, LEFTARG = shared.procrastinate_job_status,
	RIGHTARG = shared.procrastinate_job_status);
SQL
	my (undef, undef, $err) =
	  $node->psql($database, q{CALL procrastinate_migrate('0031', 'shared')});
	like(
		$err,
		qr/^DETAIL:\ \ operator\ shared\.=\(shared\.procrastinate_job_status,.*\)\ of\ role\ mallory
			\ has\ the\ name\ of\ one\ of\ the\ server's\.$/mx,
		'an operator is refused, too');
	is_unprivileged('mallory', 'and is not called');
	query('DROP SCHEMA shared CASCADE');
	return;
}

# Even a trusted function that fits better is not called by the triggers that batches fire.
sub server_functions_in_batches
{
	query(<<'SQL');
CREATE SCHEMA batches;
SELECT procrastinate_upgrade('0028', 'batches');
SELECT procrastinate_upgrade('0030', 'batches');
INSERT INTO batches.procrastinate_jobs (queue_name, task_name, status)
VALUES ('q', 't', 'aborting');
UPDATE batches.procrastinate_jobs SET abort_requested = false;
CREATE FUNCTION batches.json_build_object(text, text, text, bigint) RETURNS json LANGUAGE plpgsql
	AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION batches.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION batches.join(unknown_text text, queue varchar) RETURNS text LANGUAGE plpgsql
	AS $$ BEGIN RAISE 'called'; END $$;
CREATE OPERATOR batches.|| (FUNCTION = batches.join, LEFTARG = text, RIGHTARG = varchar);
SQL
	my (undef, undef, $err) =
	  $node->psql($database, q{SET client_min_messages = warning;}
		  . q{ CALL procrastinate_migrate('0031', 'batches')});
	is($err, '', 'batches call the functions of pg_catalog');
	query('DROP SCHEMA batches CASCADE');
	return;
}

# Settings that code of the owner changes do not stay in the session, nor in the rest of the call.
sub settings_of_the_session
{
	query('CREATE SCHEMA set_by AUTHORIZATION mallory');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0026', 'set_by');
CREATE FUNCTION set_by.evil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	SET search_path = set_by, pg_catalog, public;
	SET lock_timeout = '7s';
	SET standard_conforming_strings = off;
	SET default_transaction_read_only = on;
	SET row_security = off;
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON set_by.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION set_by.evil();
SQL
	my $session  = user_session($node, $database, 'set_by');
	my $settings = q{SELECT string_agg(name || ' = ' || setting, ', ' ORDER BY name)}
	  . q{ FROM pg_settings WHERE name IN ('search_path', 'lock_timeout',}
	  . q{ 'standard_conforming_strings',}
	  . q{ 'default_transaction_read_only', 'row_security')};
	$session->query('SELECT count(*) FROM procrastinate_heads()');
	my $before = $session->query($settings);
	foreach my $call (
		q{SELECT procrastinate_upgrade('0027')}, q{SELECT procrastinate_stamp('0026', false)},
		q{SELECT procrastinate_adopt()},         q{CALL procrastinate_migrate('0031')},
		)
	{
		is($session->refusal($call), 'no error', "$call succeeds");
		is($session->query($settings), $before, 'and no setting has changed afterwards');
	}
	$session->close;
	query('DROP SCHEMA set_by CASCADE');
	return;
}

# A domain in pg_temp would be found before the server's type of the same name. Newer minor releases
# of the server refuse it themselves.
sub type_in_pg_temp
{
	query('CREATE SCHEMA temporary AUTHORIZATION mallory; GRANT pg_monitor TO mallory');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0026', 'temporary');
CREATE FUNCTION temporary.evil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	CREATE DOMAIN pg_temp.text AS pg_catalog.text;
	ALTER DOMAIN pg_temp.text OWNER TO pg_monitor;
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON temporary.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION temporary.evil();
SQL
	my $session = user_session($node, $database, 'temporary');
	my $types   = q{SELECT 'text'::regtype::oid, count(*) FROM pg_type}
	  . q{ WHERE typnamespace = pg_my_temp_schema()};
	my $before = $session->query($types);
	foreach
	  my $call (q{SELECT procrastinate_upgrade('0027')}, q{CALL procrastinate_migrate('0027')})
	{
		like(
			$session->refusal($call),
			qr/^(?:PM010:\ code\ of\ role\ "mallory"\ has\ changed\ temporary\ objects
				|42501:\ cannot\ create\ a\ type\ in\ a\ temporary\ schema)/x,
			"refused: $call");
		is($session->query($types), $before, 'and no type is left');
	}
	$session->close;
	query('DROP SCHEMA temporary CASCADE');
	return;
}

# A role that may create in the schema makes an empty history: the installation does not become
# hers.
sub empty_history
{
	query(<<'SQL');
CREATE ROLE tenant LOGIN;
CREATE SCHEMA tenant AUTHORIZATION tenant;
GRANT CREATE, USAGE ON SCHEMA tenant TO mallory;
CREATE SCHEMA model;
SELECT procrastinate_upgrade('0001', 'model');
GRANT USAGE ON SCHEMA model TO mallory;
GRANT SELECT ON model.procrastinate_schema_history TO mallory;
SQL
	my $squat = 'CREATE TABLE tenant.procrastinate_schema_history (LIKE'
	  . ' model.procrastinate_schema_history INCLUDING ALL)';
	as_role('mallory', $squat);
	foreach my $role ('tenant', 'postgres')
	{
		my $error = refused(
			$role,
			q{SELECT procrastinate_upgrade('head', 'tenant')},
			qr/ERROR:  42501: role "tenant" may not change/,
			"refused, as the schema's owner: $role");
		like($error, qr/^DETAIL:  table procrastinate_schema_history belongs to role mallory\.$/m,
			'for the table of another role');
		like($error, qr/OWNER TO tenant;$/m, 'which is to be given to the owner');
	}
	as_role('mallory', 'DROP TABLE tenant.procrastinate_schema_history');
	allowed('tenant', q{SELECT procrastinate_upgrade('0001', 'tenant')}, '0001', 'without it');
	query('DROP TABLE tenant.procrastinate_schema_history');
	as_role('mallory', $squat);
	my $error = refused(
		'postgres', q{SELECT procrastinate_adopt('tenant')},
		qr/ERROR:  42501: role "tenant" may not change/, 'nor with tables that have no history');
	unlike($error, qr/OWNER TO mallory/, 'no hint gives the installation away');
	query('DROP SCHEMA tenant, model CASCADE');
	return;
}

# A trigger can RESET ROLE, or RESET SESSION AUTHORIZATION, in a script that a member of the owner's
# role runs after SET ROLE: a superuser, or a role with rights of its own.
sub script_after_set_role
{
	query('CREATE SCHEMA scripted AUTHORIZATION mallory');
	as_role('mallory', q{SELECT procrastinate_upgrade('0026', 'scripted')});
	my $script =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'scripted')});
	my $run_as = sub {
		my ($login, $before) = @_;
		local $ENV{PGUSER} = $login;
		my (undef, undef, $error) =
		  $node->psql($database, "$before\n$script", on_error_stop => 1);
		return $error;
	};
	query('CREATE ROLE member LOGIN IN ROLE mallory');
	foreach my $case (
		[ 'postgres', 'SET ROLE mallory;' ],
		[ 'postgres', 'SET SESSION AUTHORIZATION mallory;' ],
		[ 'member',   'SET ROLE mallory;' ])
	{
		my $error = $run_as->(@$case);
		like(
			$error,
			qr/ERROR:  this script must not run as role "mallory" after SET ROLE/,
			"a script is refused for $case->[0] after $case->[1]");
		like($error, qr/^HINT:  Connect as role mallory\.$/m, 'and says how to run it');
	}
	unlike($run_as->('mallory', ''), qr/ERROR/, 'which works');
	query('DROP SCHEMA scripted CASCADE; DROP ROLE member');
	return;
}

# Cursors. A commit in a procedure would run the query of a pinned one as the caller; a fetch from
# one of the caller's reads what only the caller may read.
sub cursors_of_the_session
{
	query('CREATE SCHEMA tenant_1 AUTHORIZATION mallory; CREATE SCHEMA tenant_2');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0026', 'tenant_1');
CREATE FUNCTION tenant_1.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
BEGIN
	OPEN c FOR SELECT 1;
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON tenant_1.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION tenant_1.evil();
SQL
	query(q{SELECT procrastinate_upgrade('0026', 'tenant_2')});
	my $refused = qr/PM010: code of role "mallory" has changed temporary objects or cursors/;
	refused('postgres', $_, $refused, "a cursor that is left open is refused: $_")
	  foreach q{SELECT procrastinate_upgrade('0027', 'tenant_1')},
	  q{CALL procrastinate_migrate('0027', 'tenant_1')};
	as_role('mallory', <<'SQL');
CREATE OR REPLACE FUNCTION tenant_1.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	next record;
BEGIN
	FOR c IN SELECT name FROM pg_cursors WHERE name ~ 'unnamed portal' LOOP
		FETCH c INTO next;
	END LOOP;
	RETURN NEW;
END $$;
SQL
	my $unusable = qr/55000: portal "[^"]+" cannot be run/;
	refused('postgres', <<'SQL', $unusable, q{so is a fetch from a cursor of the caller's});
DO $$
DECLARE
	tenant text;
BEGIN
	FOR tenant IN SELECT 'tenant_' || n FROM generate_series(1, 200) AS n LOOP
		PERFORM procrastinate_upgrade('0027', schema => tenant::regnamespace);
	END LOOP;
END $$
SQL
	as_role('mallory', <<'SQL');
CREATE OR REPLACE FUNCTION tenant_1.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'own';
BEGIN
	CLOSE c;
	OPEN c FOR SELECT 'evil';
	RETURN NEW;
END $$;
SQL
	my $own = 'BEGIN; DECLARE own CURSOR FOR SELECT 1';
	refused(
		'postgres',
		"$own; SELECT procrastinate_upgrade('0027', 'tenant_1')",
		qr/24000: cannot drop active portal "own"/,
		q{no code replaces a cursor of the caller's});
	# What it reads could outlast the refusal, in a sequence, and be read again by the caller.
	query('CREATE TABLE secret AS SELECT 4242 AS id; CREATE SEQUENCE tenant_1.leak');
	query('ALTER SEQUENCE tenant_1.leak OWNER TO mallory');
	as_role('mallory', <<'SQL');
CREATE OR REPLACE FUNCTION tenant_1.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'own';
	next record;
BEGIN
	FETCH c INTO next;
	PERFORM setval('tenant_1.leak', next.id);
	MOVE ABSOLUTE 0 IN c;
	RETURN NEW;
END $$;
SQL
	foreach my $kind ('CURSOR', 'NO SCROLL CURSOR', 'CURSOR WITH HOLD')
	{
		refused(
			'postgres',
			"BEGIN; DECLARE own $kind FOR SELECT * FROM secret;"
			  . q{ SELECT procrastinate_upgrade('0027', 'tenant_1')},
			$unusable,
			"no code reads a $kind of the caller's");
	}
	is(query('SELECT last_value FROM tenant_1.leak'), '1', 'and nothing of it leaks');
	query('DROP TABLE secret');
	allowed('postgres', "$own; CLOSE own; ROLLBACK", '', 'the caller can close it');
	is(query(q{SELECT revision FROM procrastinate_current('tenant_1')}),
		'0026', 'nothing is changed');
	allowed('postgres', <<'SQL', "1\n0027", 'a cursor of the caller stays as it is');
BEGIN;
DECLARE own CURSOR FOR SELECT 1 FROM generate_series(1, 10);
FETCH own;
SELECT procrastinate_upgrade('0027', 'tenant_2');
COMMIT
SQL
	query('DROP SCHEMA tenant_1, tenant_2 CASCADE');
	return;
}

# A cursor that has failed can be closed, but not be replaced by another one of its name.
sub failed_cursor
{
	query('CREATE SCHEMA tenant AUTHORIZATION mallory');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0026', 'tenant');
CREATE FUNCTION tenant.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'own';
BEGIN
	CLOSE c;
	OPEN c FOR SELECT 'evil';
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON tenant.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION tenant.evil();
SQL
	refused('postgres', <<'SQL', qr/PM010: code of role "mallory" has changed/, 'it is refused');
\set ON_ERROR_STOP 0
BEGIN;
DECLARE own CURSOR FOR SELECT 1 / (2 - n) FROM generate_series(1, 3) AS n;
SAVEPOINT before;
FETCH ALL own;
ROLLBACK TO before;
SELECT procrastinate_upgrade('0027', 'tenant');
SQL
	query('DROP SCHEMA tenant CASCADE');
	return;
}

# A role that may create objects in the schema makes those that the next migration adds.
sub completed_revision
{
	query('CREATE SCHEMA shared; GRANT CREATE, USAGE ON SCHEMA shared TO mallory');
	allowed('postgres', q{SELECT procrastinate_upgrade('0033', 'shared')}, '0033', 'at 0033');
	my $sql = query(q{SELECT procrastinate_migration_sql('0034')});
	as_role('mallory', "SET search_path = shared;\n$sql");
	is(query(q{SELECT revision, exact FROM procrastinate_detect('shared')}),
		'0034|t', 'the catalog is that of 0034');
	is(query(q{SELECT revision FROM procrastinate_current('shared')}),
		'0033', 'the current revision is the recorded one');
	refused('postgres', q{SELECT procrastinate_require('0034', schema => 'shared')},
		qr/PM015/, 'and no release is told to start');
	query('DROP SCHEMA shared CASCADE');
	return;
}

# A trigger that sets search_path does not send the next migration to another schema.
sub search_path_between_migrations
{
	query('CREATE SCHEMA one AUTHORIZATION mallory; CREATE SCHEMA other AUTHORIZATION mallory');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0023', 'one');
SELECT procrastinate_upgrade('0023', 'other');
CREATE FUNCTION one.steers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'other', false);
	RETURN NULL;
END $$;
CREATE TRIGGER history AFTER INSERT ON one.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION one.steers();
CREATE TRIGGER jobs AFTER UPDATE ON one.procrastinate_jobs
	FOR EACH ROW EXECUTE FUNCTION one.steers();
SQL
	my $found = q{SELECT revision, missing, altered FROM procrastinate_detect('%s') LIMIT 1};
	allowed('postgres', q{SELECT procrastinate_upgrade('0028', 'one')}, '0028', 'a change to one');
	is(query(sprintf $found, 'one'), '0028|0|0', 'changes one');
	allowed('postgres', q{SELECT procrastinate_upgrade('0030', 'one')}, '0030', 'a change to one');
	query(q{INSERT INTO one.procrastinate_jobs (queue_name, task_name, status)}
		  . q{ VALUES ('q', 't', 'aborting')});
	query(q{UPDATE one.procrastinate_jobs SET abort_requested = false});
	allowed('postgres', q{SELECT procrastinate_upgrade('head', 'one')},
		$HEAD_NAME, 'a migration that fires a trigger on jobs');
	is(query(sprintf $found, 'one'), "$HEAD_NAME|0|0", 'changes one, too');
	is(query(sprintf $found, 'other'), '0023|0|0', 'and not the other');
	query('DROP SCHEMA one, other CASCADE');
	return;
}

# No statement that we propose gives the owner's role to the code of another role.
sub functions_to_drop
{
	query(<<'SQL');
CREATE SCHEMA "Given to";
GRANT CREATE, USAGE ON SCHEMA "Given to" TO mallory;
SELECT procrastinate_upgrade('0026', 'Given to');
ALTER FUNCTION "Given to".procrastinate_fetch_job(varchar[]) OWNER TO mallory;
ALTER FUNCTION "Given to".procrastinate_finish_job(bigint, "Given to".procrastinate_job_status,
	boolean) OWNER TO mallory;
ALTER FUNCTION "Given to".procrastinate_notify_queue() OWNER TO mallory;
SQL
	as_role('mallory', <<'SQL');
CREATE FUNCTION "Given to".procrastinate_finish_job(text) RETURNS int LANGUAGE sql RETURN 1;
ALTER FUNCTION "Given to".procrastinate_notify_queue() SECURITY DEFINER;
SQL
	my ($script) = $node->safe_psql($database,
		q{SELECT procrastinate_sql('0026:0027', schema => 'Given to')});
	foreach my $call (q{SELECT procrastinate_upgrade('0027', 'Given to')}, $script)
	{
		my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
		my ($hint) = $error =~ /^HINT:  Look at them first\..*\n((?:(?:ALTER|DROP) .*\n?)+)/m;
		$hint =~ s/"Given to"\.//g;
		is($hint =~ s/\n?\z/\n/r, <<"SQL", 'the HINT drops what is no function of ours');
ALTER ROUTINE procrastinate_fetch_job(character varying[]) OWNER TO $super;
ALTER ROUTINE procrastinate_finish_job(bigint,procrastinate_job_status,boolean) OWNER TO $super;
DROP ROUTINE procrastinate_finish_job(text);
DROP ROUTINE procrastinate_notify_queue();
SQL
	}
	is( query(
			q{SELECT string_agg(object, ' ' ORDER BY object) FROM procrastinate_check(schema =>}
			  . q{ 'Given to') WHERE problem = 'other owner' AND repair IS NULL}
		),
		'procrastinate_notify_queue()',
		'nor has a SECURITY DEFINER function a repair');
	query('DROP SCHEMA "Given to" CASCADE');
	return;
}

# The owner removes rows from the history while a call waits. It does not run steps for ever.
sub removed_rows
{
	query('CREATE SCHEMA removed AUTHORIZATION mallory');
	as_role('mallory', q{SELECT procrastinate_upgrade('0026', 'removed')});
	my $reader = user_session($node, $database, 'removed');
	my $caller = user_session($node, $database, 'removed');
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0029')});
	$node->poll_query_until($database,
		q{SELECT count(*) = 1 FROM procrastinate_progress WHERE waiting_for IS NOT NULL})
	  or die 'the call does not wait';
	as_role('mallory',
		q{DELETE FROM removed.procrastinate_schema_history WHERE event LIKE 'step 0029%'});
	$reader->query('COMMIT');
	# The rows that are gone may be those of the build that the call is in.
	like(
		($caller->wait)[1],
		qr/^PM010:\ the\ history\ of\ schema\ "removed"\ does\ not\ have\ migration\ 0029
		  |^PM009:\ cannot\ build\ index\ .*\ of\ migration\ 0029/x,
		'the call ends');
	$_->close foreach $reader, $caller;
	query('DROP SCHEMA removed CASCADE');
	return;
}
