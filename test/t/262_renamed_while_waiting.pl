# The schema is renamed while a change waits for a lock: the change is refused or made in the
# renamed schema, never in a new schema of the old name.

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
run_sql('CREATE ROLE mallory');

foreach my $call (
	q{SELECT procrastinate_upgrade('0022', '%s')},
	q{CALL procrastinate_migrate('0022', '%s')},
	q{SELECT procrastinate_stamp('0021', verify => false, schema => '%s')},
	'0020:0022')
{
	my $schema = numbered_schema(20);
	my ($first, $second) = map { session() } 1 .. 2;
	my $change = $call =~ /^\w+:\w+$/ ? offline_script($schema, $call) : sprintf $call, $schema;
	$first->query("BEGIN; SELECT procrastinate_upgrade('0021', '$schema')");
	$second->send($change);
	until_blocked($second);
	$first->query(
		"ALTER SCHEMA $schema RENAME TO ${schema}_renamed; CREATE SCHEMA $schema;"
		  . " SELECT procrastinate_upgrade('0020', '$schema'); COMMIT");
	my (undef, $error) = $second->wait;
	is( $error, "3F000: schema \"$schema\" has been dropped or renamed by another session",
		"$call: is refused when the schema has been renamed");
	is(revision_of($schema), '0020', "$call: does not change the new schema of that name");
	is_at($node, $database, $schema, 20, "$call: nor its catalog");
	is(revision_of("${schema}_renamed"), '0021', "$call: nor the renamed schema");
	$_->close foreach $first, $second;
}

# During a step, which waits for a table that a reader has locked: ALTER SCHEMA waits for the step,
# so that the step finds its own objects by the old name.
my $schema = numbered_schema(23);
my ($reader, $deployer, $renamer) = map { session() } 1 .. 3;
$reader->query("BEGIN; SELECT count(*) FROM $schema.procrastinate_events");
$deployer->send("SELECT procrastinate_upgrade('0024', '$schema')");
until_blocked($deployer);
$renamer->send("ALTER SCHEMA $schema RENAME TO ${schema}_renamed");
until_blocked($renamer);
$reader->query('COMMIT');
my (undef, $error) = $deployer->wait;
is($error, '', 'a schema keeps its name to the end of a step');
(undef, $error) = $renamer->wait;
is($error,                           '',     'the schema is renamed after the step');
is(revision_of("${schema}_renamed"), '0024', 'the step is recorded in the renamed schema');
is_at($node, $database, "${schema}_renamed", 24, 'the step has changed the renamed schema');
$_->close foreach $reader, $deployer, $renamer;

# Before the first step, during the pre-check of rows: a hostile owner of the schema cannot replace
# the schema by another one.
run_sql("GRANT CREATE ON DATABASE $database TO mallory");
my $holder;
foreach my $call (q{SELECT procrastinate_upgrade('0038', '%s')}, '0029:0038')
{
	$schema = numbered_schema(29);
	run_sql("ALTER SCHEMA $schema OWNER TO mallory");
	my $oid = run_sql("SELECT '$schema'::regnamespace::oid");
	($holder, $deployer, $renamer) = map { session() } 1 .. 3;
	$renamer->query('SET ROLE mallory');
	$holder->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs");
	my $is_script = $call =~ /^\w+:\w+$/;
	$deployer->send($is_script ? offline_script($schema, $call) : sprintf $call, $schema);
	until_blocked($deployer);
	$renamer->send("ALTER SCHEMA $schema RENAME TO ${schema}_renamed");
	until_blocked($renamer);

	# If this version of the server locks a schema to rename it, a script deadlocks with the rename:
	# a script can lock the schema's row only.
	my $may_lose = $is_script
	  && run_sql(
		"SELECT count(*) FROM pg_locks WHERE pid = $renamer->{pid} AND classid ="
		  . " 'pg_namespace'::regclass AND objid = $oid"
	  ) ne '0';
	$holder->query('COMMIT');
	(undef, $error) = $deployer->wait;
	like($error, $may_lose ? qr/^(?:|40P01: .*)$/ : qr/^$/,
		"$call: the schema keeps its name during the pre-check");
	$renamer->wait;
	is_at(
		$node, $database, run_sql("SELECT nspname FROM pg_namespace WHERE oid = $oid"),
		$error ? 29 : 38,
		"$call: the change is made in this schema");
	$_->close foreach $holder, $deployer, $renamer;
}

# The script of a role that is no superuser cannot keep the name, but compares it again.
$schema = numbered_schema(0);
run_sql(<<"SQL");
CREATE ROLE deployer LOGIN;
GRANT ALL ON SCHEMA $schema TO deployer;
SET client_min_messages = warning;
SET ROLE deployer;
SELECT procrastinate_upgrade('0029', '$schema');
RESET ROLE;
ALTER SCHEMA $schema OWNER TO mallory;
SQL
($holder, $renamer) = map { session() } 1 .. 2;
$deployer = do { local $ENV{PGUSER} = 'deployer'; session() };
$holder->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs");
$deployer->send(offline_script($schema, '0029:head'));
until_blocked($deployer);
$renamer->query(
	"SET ROLE mallory; ALTER SCHEMA $schema RENAME TO ${schema}_renamed;"
	  . " CREATE SCHEMA $schema; CREATE TABLE $schema.procrastinate_jobs (id int); CREATE TABLE"
	    . " $schema.procrastinate_schema_history (id int);"
	  . " GRANT ALL ON SCHEMA $schema TO deployer; GRANT ALL ON ALL TABLES IN SCHEMA $schema TO"
	    . " deployer"
);
$holder->query('COMMIT');
(undef, $error) = $deployer->wait;
is($error, "3F000: schema \"$schema\" has been dropped or renamed by another session",
	'a script does not go on in a new schema of the same name');
is_at($node, $database, "${schema}_renamed", 29, 'the renamed schema is unchanged');
$_->close foreach $holder, $deployer, $renamer;

$node->stop;
done_testing();
