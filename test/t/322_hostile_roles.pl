# What a hostile role tries with the privileges that it has: the owner of an installation or of the
# database, a role that may only read, a role with TRIGGER on the history. A superuser upgrades.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'hostile_roles');
my $database = new_database($node);
my $super    = $node->safe_psql($database, 'SELECT current_user');
look_as_roles($node, $database);
query(<<'SQL');
CREATE ROLE mallory LOGIN;
CREATE ROLE reader LOGIN;
SQL

owner_resets_the_role();
extension_member();
reader_holds_no_lock();
advisory_locks();
default_of_the_database();
row_kept_out_of_the_history();
chosen_arguments();
view_in_the_place_of_the_history();
history_of_another_database();
history_of_another_role();
done_testing();

sub is_no_superuser
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(query(q{SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname <> } . quoted($super)),
		'0', $name);
	return query('ALTER ROLE mallory NOSUPERUSER; ALTER ROLE reader NOSUPERUSER');
}

sub quoted
{
	my ($text) = @_;
	return q{'} . ($text =~ s/'/''/gr) . q{'};
}

# A trigger of the owner leaves the role as which it runs.
sub owner_resets_the_role
{
	query('CREATE SCHEMA owned AUTHORIZATION mallory');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0026', 'owned');
CREATE FUNCTION owned.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	command text;
BEGIN
	FOREACH command IN ARRAY ARRAY['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION',
	                               'ALTER ROLE mallory SUPERUSER']
	LOOP
		BEGIN
			EXECUTE command;
			EXECUTE 'ALTER ROLE mallory SUPERUSER';
		EXCEPTION WHEN insufficient_privilege THEN
			NULL;
		END;
	END LOOP;
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON owned.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION owned.evil();
SQL
	allowed($super, q{SELECT procrastinate_upgrade('0028', 'owned')}, '0028',
		'a superuser upgrades an installation with a hostile trigger');
	is_no_superuser('the trigger cannot leave the role of the owner');
	allowed($super, q{CALL procrastinate_migrate('head', 'owned', force => true)}, '', 'by steps');
	is_no_superuser('nor in a step');
	allowed($super, q{SELECT session_user = current_user}, 't', 'the session keeps its role');
	return;
}

# The owner of the database makes the history a member of her own extension.
sub extension_member
{
	$node->safe_psql('postgres', 'CREATE DATABASE hers OWNER mallory');
	$node->safe_psql('hers', <<"SQL" . <<'SQL', extra_params => [ '-U', 'mallory' ]);
CREATE EXTENSION procrastinate_migrate;
CREATE SCHEMA place;
CREATE TABLE place.procrastinate_schema_history ($HISTORY_COLUMNS, $HISTORY_KEY);
SQL
CREATE FUNCTION place.evil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		EXECUTE 'ALTER ROLE mallory SUPERUSER';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON place.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION place.evil();
ALTER EXTENSION procrastinate_migrate ADD TABLE place.procrastinate_schema_history;
SQL
	my $script = $node->safe_psql('hers', q{SELECT procrastinate_sql('base:0003', 'place')});
	my ($status, undef, $error) = $node->psql('hers', $script);
	like($error, qr/role ".*" may not change the installation in schema "place"/,
		'a script of a superuser refuses the history of another role');
	is_no_superuser('no code of that role has run');
	is( $node->safe_psql(
			'hers',
			q{SET client_min_messages = warning; SELECT procrastinate_upgrade('head', 'place')}),
		$HEAD_NAME,
		'an upgrade by a superuser succeeds');
	is_no_superuser('the code of the owner has run as the owner');
	is( $node->safe_psql('hers', <<'SQL'), 'mallory', 'all objects belong to the owner');
SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ' ') FROM pg_class
 WHERE relnamespace = 'place'::regnamespace
SQL
	return;
}

# A call that has nothing to do asks for the rights first.
sub reader_holds_no_lock
{
	query(q{CREATE SCHEMA billing; GRANT USAGE ON SCHEMA billing TO reader});
	allowed($super, q{SELECT procrastinate_upgrade('0026', 'billing')}, '0026', 'an installation');
	foreach my $call (
		q{SELECT count(*) FROM procrastinate_repair(schema => 'billing', dry_run => false)},
		q{SELECT procrastinate_upgrade('0026', 'billing')},
		q{SELECT procrastinate_adopt('billing')})
	{
		refused('reader', $call, qr/^ERROR:  42501: /m, "a reader is refused: $call");
	}
	foreach my $call (
		'current(\'billing\')', 'detect(\'billing\')',
		'check(schema => \'billing\')', 'repair(schema => \'billing\')',
		'plan(schema => \'billing\')',  'log(\'billing\')')
	{
		my ($locks) = as_role('reader', <<"SQL");
BEGIN;
\\o /dev/null
SELECT count(*) FROM procrastinate_$call;
\\o
SELECT count(*) FROM pg_locks
 WHERE pid = pg_backend_pid()
   AND (locktype IN ('advisory', 'object', 'transactionid') OR mode NOT IN ('AccessShareLock'))
   AND locktype <> 'virtualxid';
COMMIT;
SQL
		is($locks, '0', "a reader keeps no other lock than ACCESS SHARE: $call");
	}
	return;
}

# Advisory locks of any key are in the way of no change.
sub advisory_locks
{
	my $other = do { local $ENV{PGUSER} = 'reader'; user_session($node, $database, 'public') };
	my $keys  = join ', ', values %LOCK_KEY;
	$other->query(<<"SQL");
SELECT pg_advisory_lock(key, n.oid::int), pg_advisory_lock((key::bigint << 32) | n.oid::bigint)
  FROM unnest(ARRAY[$keys]) AS key, pg_namespace n WHERE n.nspname = 'billing';
SQL
	is( query('SELECT count(*) FROM procrastinate_progress'),
		'0', 'an advisory lock of another role shows no migration');
	allowed($super, q{CALL procrastinate_migrate('0030', 'billing', retry_for => '0')}, '',
		'nor does it keep a migration waiting');
	$other->close;
	return;
}

# The owner of a database sets defaults for the sessions of a superuser.
sub default_of_the_database
{
	my $setting = 'procrastinate_migrate.alembic_version';
	$node->safe_psql('hers', <<'SQL');
CREATE SCHEMA billing;
CREATE SCHEMA app;
CREATE TABLE app.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO app.alembic_version VALUES ('0026');
SET client_min_messages = warning;
SELECT procrastinate_upgrade('0026', 'billing');
SQL
	$node->safe_psql('hers', <<"SQL", extra_params => [ '-U', 'mallory' ]);
SELECT count(*) FROM procrastinate_heads();
ALTER DATABASE hers SET $setting = 'app.alembic_version';
ALTER DATABASE hers SET procrastinate_migrate.alembic_ids = 'plain';
SQL
	my (undef, $out, $error) =
	  $node->psql('hers', q{SELECT procrastinate_upgrade('0028', 'billing')});
	is($out, '0028', 'a superuser upgrades in a database of another role');
	like($error, qr/WARNING:  \Q$setting\E is ignored$/m, 'the setting of its owner is ignored');
	is($node->safe_psql('hers', 'TABLE app.alembic_version'), '0026', 'no table is written to');
	my ($hint) = $error =~ /^HINT:  .*?: (SET .*;)$/m;
	is( $node->safe_psql(
			'hers',
			"SET client_min_messages = warning; $hint"
			  . q{ SELECT procrastinate_upgrade('0030', 'billing');}
			  . ' TABLE app.alembic_version'),
		"0030\n0026",
		'the HINT works when pasted: the table is read, and is not at 0028');
	my (undef, undef, $warnings) =
	  $node->psql('hers', q{CALL procrastinate_migrate('0033', 'billing')});
	is(scalar(() = $warnings =~ /is ignored$/mg), 1, 'a call of several migrations says so once');
	$node->safe_psql('hers', <<'SQL', extra_params => [ '-U', 'mallory' ]);
CREATE SCHEMA own;
SELECT count(*) FROM procrastinate_heads();
CREATE TABLE own.alembic_version (version_num varchar(32) PRIMARY KEY);
ALTER DATABASE hers SET procrastinate_migrate.alembic_version = 'own.alembic_version';
SQL
	is( $node->safe_psql(
			'hers',
			'SET client_min_messages = warning; SELECT procrastinate_upgrade(\'0026\', \'own\');'
			  . ' TABLE own.alembic_version'),
		"0026\n0026",
		'in an installation of that owner the setting is followed, as that owner');
	$node->safe_psql(
		'hers',
		"SELECT count(*) FROM procrastinate_heads(); ALTER DATABASE hers SET $setting ="
		  . q{ 'app.alembic_version'},
		extra_params => [ '-U', 'mallory' ]);
	is( $node->safe_psql(
			'hers',
			q{UPDATE app.alembic_version SET version_num = '0033';}
			  . q{ CALL procrastinate_migrate_all('0034', '{billing}');}
			  . q{ SELECT revision FROM procrastinate_current('billing');}
			  . ' TABLE app.alembic_version'),
		"0034\n0033",
		'workers do not follow the setting of the owner either');
	$node->safe_psql('hers',
		q{UPDATE app.alembic_version SET version_num = '0034';}
		  . " SELECT procrastinate_current('billing'); SET $setting = 'app.alembic_version';"
		  . q{ CALL procrastinate_migrate_all('0035', '{billing}')});
	is($node->safe_psql('hers', 'TABLE app.alembic_version'),
		'0035', 'they follow one that the superuser has set in the session');
	return;
}

# A trigger keeps the row of the change out of the history, or changes it.
sub row_kept_out_of_the_history
{
	query('CREATE SCHEMA unrecorded');
	allowed($super, q{SELECT procrastinate_upgrade('0026', 'unrecorded')}, '0026', 'at 0026');
	my $script = query(q{SELECT procrastinate_sql('0026:0027', 'unrecorded')});
	foreach my $body ('RETURN NULL', q{NEW.event := 'other'; RETURN NEW})
	{
		query(<<"SQL");
CREATE OR REPLACE FUNCTION unrecorded.keep_out() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN ${\ ($body =~ s/'/''/gr)}; END';
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON unrecorded.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION unrecorded.keep_out();
SQL
		foreach my $call (
			q{SELECT procrastinate_upgrade('0027', 'unrecorded')},
			q{CALL procrastinate_migrate('0027', 'unrecorded', retry_for => '0')},
			$script)
		{
			my $what = $call eq $script ? 'a script' : $call;
			refused($super, $call, qr/^ERROR:  55000: could not record/m,
				"no change without its row, $body: $what");
		}
	}
	query('DROP FUNCTION unrecorded.keep_out CASCADE');
	is_at($node, $database, 'unrecorded', 26, 'nothing has changed');
	return;
}

# contrib's refint runs SQL that is in the arguments of the trigger: the owner's risk only.
sub chosen_arguments
{
	my ($status) = $node->psql($database, 'CREATE EXTENSION refint');
	SKIP:
	{
		skip 'contrib is not installed', 2 if $status;
		query('CREATE ROLE creator; CREATE SCHEMA lent AUTHORIZATION creator;'
			  . ' GRANT USAGE ON SCHEMA lent TO mallory');
		allowed('creator', q{SELECT procrastinate_upgrade('0026', 'lent')}, '0026', 'at 0026');
		query('GRANT TRIGGER ON lent.procrastinate_schema_history TO mallory');
		as_role('mallory', <<'SQL');
CREATE TRIGGER x BEFORE INSERT ON lent.procrastinate_schema_history FOR EACH ROW EXECUTE FUNCTION
	check_primary_key('event', 'pg_catalog.pg_class limit 0; ALTER ROLE mallory SUPERUSER; select 1'
		' from pg_catalog.pg_class', '''x''::text is not null or $1::text');
SQL
		as_role($super, q{SELECT procrastinate_upgrade('0027', 'lent')});
		is_no_superuser('the arguments of a trigger run as the owner, not as the superuser');
	}
	return;
}

# A view with an INSTEAD OF trigger cannot take the place of the history once a call has read it.
sub view_in_the_place_of_the_history
{
	query('CREATE SCHEMA swapped');
	allowed($super, q{SELECT procrastinate_upgrade('0026', 'swapped')}, '0026', 'at 0026');
	my ($worker, $deployer, $owner) =
	  map { user_session($node, $database, 'swapped') } 1 .. 3;
	$worker->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	foreach my $change (
		q{SELECT procrastinate_upgrade('0028', 'swapped')},
		query(q{SELECT procrastinate_sql('0026:0028', 'swapped')}))
	{
		$worker->query('ROLLBACK; BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
		$deployer->send($change);
		wait_for($node, $database, $deployer->waits_for_lock, 'the change waits for a worker');
		is( $owner->refusal(
				q{SET lock_timeout = '10 ms';}
				  . q{ ALTER TABLE procrastinate_schema_history RENAME TO h}),
			'55P03: canceling statement due to lock timeout',
			'the history keeps its name from when it is read');
		$node->safe_psql($database, "SELECT pg_cancel_backend($deployer->{pid})");
		$deployer->wait;
		$deployer->query('ROLLBACK');
	}
	$worker->query('COMMIT');
	$_->close foreach $worker, $deployer, $owner;
	return;
}

# The owner makes a history of rows of another database. The call in the HINT acts as the owner.
sub history_of_another_database
{
	query('CREATE SCHEMA copied AUTHORIZATION mallory');
	as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0026', 'copied');
UPDATE copied.procrastinate_schema_history SET system_identifier = 1;
DROP INDEX copied.procrastinate_jobs_queue_name_idx;
CREATE FUNCTION copied.evil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		ALTER ROLE mallory SUPERUSER;
	EXCEPTION WHEN insufficient_privilege THEN
		NULL;
	END;
	RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON copied.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION copied.evil();
SQL
	foreach my $call (q{procrastinate_upgrade('0027', 'copied')},
		q{procrastinate_require('0026', schema => 'copied')})
	{
		my $error =
		  refused($super, "SELECT $call", qr/^ERROR:  PM00[59]: schema "copied"/, "refused: $call");
		my ($hint) = $error =~ /^HINT:  (.*)/ms;
		my @statements = $hint =~ /((?:SELECT|UPDATE|DELETE|INSERT|ALTER)\b.*?;)/gs;
		cmp_ok(scalar @statements, '>', 1, 'the HINT has statements');
		my ($out, $err) = as_role($super, "BEGIN; $statements[0] COMMIT");
		is("$out$err", '0026', 'the first records the revision');
		is_no_superuser('and acts as the owner');
		query('DELETE FROM copied.procrastinate_schema_history WHERE system_identifier <> 1');
	}
	query('DROP SCHEMA copied CASCADE');
	return;
}

# A role that may create tables in the schema makes the history that an installation does not have.
sub history_of_another_role
{
	query('CREATE SCHEMA jobs');
	allowed($super, q{SELECT procrastinate_upgrade('0026', 'jobs')}, '0026', 'at 0026');
	query('GRANT USAGE, CREATE ON SCHEMA jobs TO mallory');
	query(<<"SQL");
DROP TABLE jobs.procrastinate_schema_history;
SET ROLE mallory;
CREATE TABLE jobs.procrastinate_schema_history ($HISTORY_COLUMNS, $HISTORY_KEY);
INSERT INTO jobs.procrastinate_schema_history
VALUES (1, 'upgrade', '0037', '0038', now(), 'x', '0', 'x', $THIS_DATABASE);
GRANT SELECT ON jobs.procrastinate_schema_history TO PUBLIC;
SQL
	my $refusal =
	  qr/PM010: table jobs\.procrastinate_schema_history belongs to another role than table/;
	foreach my $call (
		q{SELECT procrastinate_current('jobs')},
		q{SELECT procrastinate_require('0038', drift => 'error', schema => 'jobs')},
		q{SELECT procrastinate_supports('3.9.0', 'jobs')})
	{
		refused($super, $call, $refusal, "a forged history is refused: $call");
	}
	refused(
		$super,
		q{SELECT procrastinate_upgrade('head', 'jobs')},
		qr{^DETAIL:  table procrastinate_schema_history belongs to role mallory}m,
		'by a change as well');
	is( query(
			q{SELECT source FROM procrastinate_installations}
			  . q{ WHERE schema = 'jobs'::regnamespace}
		),
		'table jobs.procrastinate_schema_history belongs to another role than table'
		  . ' procrastinate_jobs',
		'the list of installations says so');
	query(q{UPDATE jobs.procrastinate_schema_history SET event = 'step 0027.1',}
		  . q{ from_revision = '0026', to_revision = '0026'});
	my $error =
	  refused($super, q{SELECT procrastinate_require('0026', drift => 'error', schema => 'jobs')},
		$refusal, 'also one that ends with a step');
	my ($drop) = $error =~ /^If not: (DROP TABLE .*;)$/m;
	query($drop);
	allowed($super, q{SELECT procrastinate_upgrade('0027', 'jobs')}, '0027',
		'the HINT drops it, and the catalog tells the revision');
	query('DROP SCHEMA jobs CASCADE');
	return;
}
