# Grants of a fetch function that procrastinate_repair() creates again, and missing grants in the
# warnings of procrastinate_require().

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
run_sql('CREATE ROLE worker; CREATE ROLE other');

fetch_function_comes_back();
missing_grants_are_warnings();
done_testing();

# An installation in which a worker may use the queue, and PUBLIC may execute no function.
sub set_up
{
	my ($schema) = @_;
	upgrade($node, $database, $HEAD, $schema);
	run_sql(<<"SQL");
GRANT USAGE ON SCHEMA $schema TO worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $schema TO worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA $schema TO worker;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema TO worker;
SQL
	return;
}

# The grants of the fetch function after it has been dropped and repaired.
sub repaired
{
	my ($schema) = @_;
	run_sql("DROP FUNCTION $schema.procrastinate_fetch_job_v2;"
		  . " SELECT procrastinate_repair(schema => '$schema', dry_run => false)");
	return run_sql(<<"SQL");
SELECT string_agg(CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
                  || CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY grantee)
  FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
 WHERE pronamespace = '$schema'::regnamespace AND proname = 'procrastinate_fetch_job_v2'
   AND grantee <> proowner
SQL
}

sub fetch_function_comes_back
{
	my $schema = 'dropped';
	set_up($schema);
	my $one = "$schema.procrastinate_register_worker_v1()";
	run_sql("GRANT EXECUTE ON FUNCTION $one TO other, PUBLIC;"
		  . " GRANT EXECUTE ON FUNCTION $one TO worker WITH GRANT OPTION");
	is(repaired($schema), 'worker', 'the fetch function has the grants that all functions have');
	is(run_sql("SELECT count(*) FROM procrastinate_check(schema => '$schema')"),
		'0', 'nothing is missing');

	run_sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema TO other WITH GRANT OPTION");
	is(repaired($schema), 'worker, other*', 'with the grant option that all have');

	run_sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema TO PUBLIC");
	is(repaired($schema), 'PUBLIC, worker, other*', 'PUBLIC may execute it if it may execute all');
	return;
}

sub missing_grants_are_warnings
{
	my $schema = 'lacking';
	set_up($schema);
	my $require = sub {
		return ($node->psql($database,
				"SELECT procrastinate_require('head', drift => '$_[0]', schema => '$schema')"))
		  [ 1, 2 ];
	};
	is(($require->('warning'))[1], '', 'no warning while no grant is missing');
	run_sql("REVOKE EXECUTE ON FUNCTION $schema.procrastinate_register_worker_v1() FROM worker");
	foreach my $drift ('warning', 'error')
	{
		my ($out, $err) = $require->($drift);
		is($out, $HEAD_NAME, "drift => '$drift': a missing grant is no error");
		like(
			$err,
			qr/WARNING:\ .*differs\ from\ $HEAD_NAME\n
				DETAIL:\ .*procrastinate_register_worker_v1\(\)\ lacks\ a\ grant/x,
			'but a warning');
	}
	is(($require->('ignore'))[1], '', "drift => 'ignore': no warning");
	return;
}
