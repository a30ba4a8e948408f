# The transaction around a change: a reader waits for its end, isolation levels above READ COMMITTED
# are refused, and so is a second upgrade that uses enum labels which the first one added.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server(conf => 'max_prepared_transactions = 1');
my $database = new_database($node);
use_database($node, $database);

# ---- A reader waits for a change that is under way ----------------------------------------------

my $schema = numbered_schema(30);
my ($deployer, $watcher) = map { session() } 1 .. 2;
foreach my $call (
	[ "SELECT revision, exact FROM procrastinate_detect('$schema')", '0031', '0031|t' ],
	[ "SELECT count(*) FROM procrastinate_check('0033', '$schema')", '0033', '0' ])
{
	my ($sql, $target, $expected) = @$call;
	$deployer->query("BEGIN; SELECT procrastinate_upgrade('$target', '$schema')");
	$watcher->send($sql);
	until_blocked($watcher);
	$deployer->query('COMMIT');
	my ($seen) = $watcher->wait;
	is($seen, $expected, "the reader sees the whole change: $sql");
}
$_->close foreach $deployer, $watcher;

# ---- Isolation levels whose snapshot is as old as the transaction --------------------------------

foreach my $target ('0001', 'head')
{
	$schema = numbered_schema(0);
	my $session = session();
	$session->query(q{SET default_transaction_isolation = 'repeatable read'});
	like(
		$session->refusal("CALL procrastinate_migrate('$target', '$schema')"),
		qr/^25001: /, "repeatable read: the procedure refuses from base to $target");
	is(revision_of($schema), '', 'nothing is recorded');
	$session->close;
}
$schema = numbered_schema(0);
run_sql("SELECT procrastinate_stamp('base', schema => '$schema')");
my $session = session();
$session->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
run_sql("SELECT procrastinate_stamp('base', schema => '$schema')");
like(
	$session->refusal("SELECT procrastinate_upgrade('head', '$schema')"),
	qr/^25001: /, 'repeatable read: an upgrade is refused if a history exists');
$session->close;

# ---- Enum labels of 0027 in one transaction ------------------------------------------------------

foreach my $steps ([ 26, 27, 29 ], [ 26, 28, $HEAD ], [ 27, 29 ], [ 27, $HEAD ], [ 29, $HEAD ])
{
	$schema  = numbered_schema(0);
	$session = session();
	$session->query('BEGIN');
	my $errors = '';
	foreach my $step (@$steps)
	{
		last if $errors !~ /^(?:no error)?$/;
		$errors = $session->refusal(
			"SAVEPOINT s; SELECT procrastinate_upgrade('"
			  . revision_name($step)
			  . "', '$schema')");
	}
	like(
		$errors, qr/^(?:no error|PM007: .*)$/,
		"one transaction over @$steps: succeeds, or is refused before it changes anything");
	$session->query($errors eq 'no error' ? 'COMMIT' : 'ROLLBACK TO s; COMMIT');
	my $reached = revision_of($schema);
	is_at($node, $database, $schema, int $reached, "one transaction over @$steps: at $reached");
	$session->close;
}
$schema  = numbered_schema(26);
$session = session();
$session->query(
	"BEGIN; SELECT procrastinate_upgrade('0027', '$schema');"
	  . " GRANT USAGE ON TYPE $schema.procrastinate_job_status TO public");
like(
	$session->refusal("SELECT procrastinate_upgrade('0029', '$schema')"),
	qr/^PM007: /, 'labels of an older type that the transaction has changed are refused');
$session->close;

# ---- A transaction that has changed the schema cannot be prepared --------------------------------

{
	my $prepared = numbered_schema(30);
	my $session  = session($prepared);
	$session->query(q{BEGIN; SELECT procrastinate_upgrade('0031')});
	is($session->refusal(q{PREPARE TRANSACTION 'change'}),
		'0A000: cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY',
		'PREPARE TRANSACTION fails after a change');
	is(revision_of($prepared), '0030', 'and the change is rolled back');
	$session->close;
}

$node->stop;
done_testing();
