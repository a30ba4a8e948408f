# Event triggers of a superuser run for the statements of a migration. One that calls a function
# without its schema may find one of the owner's: no more than the owner could do by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

# The function is what the call in audit() fits best.
run_sql(<<'SQL');
CREATE ROLE owner_of_queue LOGIN;
CREATE SCHEMA queue AUTHORIZATION owner_of_queue;
CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'audited: %', format('%s', tg_tag);
END $$;
SQL
upgrade($node, $database, 26, 'queue');
run_sql(<<'SQL');
SET ROLE owner_of_queue;
CREATE FUNCTION queue.format(text, text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'planted, as %', current_user;
	BEGIN
		RESET ROLE;
		ALTER ROLE owner_of_queue SUPERUSER;
		RAISE LOG 'planted: no longer as the owner';
	EXCEPTION WHEN others THEN
		RAISE LOG 'planted: %', SQLERRM;
	END;
	RETURN $2;
END $$;
RESET ROLE;
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION public.audit();
SQL
my $log = -s $node->logfile;
my ($status, undef, $err) =
  $node->psql($database, q{CALL procrastinate_migrate('head', schema => 'queue')});
is($status, 0, 'a superuser migrates an installation of a role, beside an event trigger')
  || diag($err);
is(revision_of('queue'), $HEAD_NAME, 'to head');
ok($node->log_contains(qr/audited: CREATE INDEX/, $log), 'it runs for the index builds of workers');
ok($node->log_contains(qr/planted, as owner_of_queue/, $log), 'code of the owner runs so');
ok( $node->log_contains(qr/planted: cannot set parameter "role" within security-/, $log),
	'and can reach no other role');
ok(!$node->log_contains(qr/planted: no longer/, $log), 'nor in a worker, which does not call it');
is(run_sql(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'owner_of_queue'}),
	'f', 'and is no superuser');
done_testing();
