# Functions that another role makes with Procrastinate's names, while a change waits for a lock,
# decide neither about grants nor about SET clauses of the owner's functions. And code of another
# role in the partition key of a table above the history.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Roles;

use Test::More;

my $node     = start_server(name => 'grants_of_others');
my $database = new_database($node);
use_database($node, $database);
look_as_roles($node, $database);
query(<<'SQL');
CREATE ROLE alice LOGIN;
CREATE ROLE mallory LOGIN;
CREATE SCHEMA a AUTHORIZATION alice;
CREATE SCHEMA m AUTHORIZATION mallory;
GRANT USAGE, CREATE ON SCHEMA a TO mallory;
GRANT USAGE ON SCHEMA m TO PUBLIC;
SQL

models();
needed_privileges();
partition_key();
done_testing();

sub models
{
	query(q{SELECT procrastinate_upgrade('0029', 'a')});
	query('GRANT SELECT ON a.procrastinate_jobs TO mallory');
	my ($mallory, $deployer) = map { new_session($node, $database) } 1 .. 2;
	$mallory->query('SET ROLE mallory');
	$mallory->query('BEGIN');
	$mallory->query('LOCK TABLE a.procrastinate_jobs IN ACCESS SHARE MODE');
	$deployer->send(q{SELECT procrastinate_upgrade('0033', 'a')});
	wait_until($deployer->waits_for_lock, 'the upgrade waits for the jobs table');
	as_role('mallory', <<'SQL');
SET check_function_bodies = off;
CREATE FUNCTION a.procrastinate_fetch_job_v2(int) RETURNS int LANGUAGE plpgsql
SET search_path = 'm', 'a' AS '';
GRANT ALL ON FUNCTION a.procrastinate_fetch_job_v2(int) TO mallory WITH GRANT OPTION;
CREATE FUNCTION a.procrastinate_notify_queue_abort_job_v1(int) RETURNS trigger LANGUAGE plpgsql
SET search_path = 'm', 'a' AS '';
SQL
	$mallory->query('COMMIT');
	$deployer->wait;
	is( query(
			q{SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'a'::regnamespace}
			  . q{ AND p.proowner = 'alice'::regrole AND (p.proconfig IS NOT NULL OR}
			  . q{ p.proacl::text ~ 'mallory')}),
		'',
		'no function of the owner has settings or grants of the function that another role made');
	query('DROP FUNCTION a.procrastinate_fetch_job_v2(int),'
		  . ' a.procrastinate_notify_queue_abort_job_v1(int)');
	$_->close foreach $mallory, $deployer;
	return;
}

sub needed_privileges
{
	query('GRANT SELECT, INSERT, UPDATE ON a.procrastinate_jobs TO mallory');
	my $lacking = q{SELECT string_agg(repair, ' ' ORDER BY object) FROM procrastinate_check(schema}
	  . q{ => 'a') WHERE problem = 'missing grant'};
	my $before = query($lacking);
	like(
		$before,
		qr/GRANT INSERT ON TABLE a\.procrastinate_events TO mallory/,
		'what a role lacks');
	as_role('mallory', <<'SQL');
CREATE FUNCTION a.procrastinate_fetch_job_v2(int) RETURNS int LANGUAGE plpgsql
AS 'BEGIN /* delete from procrastinate_events update procrastinate_events */ END';
SQL
	is(query($lacking), $before, 'bodies of other roles add nothing to it');
	query('DROP FUNCTION a.procrastinate_fetch_job_v2(int)');
	return;
}

sub partition_key
{
	as_role('mallory',
		q{CREATE FUNCTION m.key(text) RETURNS text IMMUTABLE LANGUAGE plpgsql}
		  . q{ AS 'BEGIN RETURN $1; END'});
	allowed('alice', <<'SQL', '', 'a partition key calls it');
CREATE TABLE a.parent (LIKE a.procrastinate_schema_history) PARTITION BY LIST (m.key(event));
ALTER TABLE a.parent ATTACH PARTITION a.procrastinate_schema_history DEFAULT;
SQL
	my $err = refused(
		'alice',
		q{SELECT procrastinate_upgrade('0034', 'a')},
		qr/^ERROR:  42501: /,
		'code in the partition key of a parent is refused');
	like($err, qr/^DETAIL:  .*function m\.key\(text\) of role mallory/m, 'and named');
	return;
}
