# No setting of the session changes the result of an upgrade, and an upgrade leaves the settings as
# they were.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);
my $quiet    = 'SET client_min_messages = error;';

sub query { return $node->safe_psql($database, $quiet . shift) }

my @settings = (
	'standard_conforming_strings = off',
	'transform_null_equals = on',
	'quote_all_identifiers = on',
	"DateStyle = 'SQL, DMY'",
	"IntervalStyle = 'sql_standard'",
	"TimeZone = 'Asia/Kathmandu'",
	'plpgsql.variable_conflict = use_column',
	'plpgsql.variable_conflict = use_variable',
	'check_function_bodies = off',
	'row_security = off',
	"default_table_access_method = 'heap'",
	"default_tablespace = 'slow'",
	"bytea_output = 'escape'",
	"xmloption = 'document'",
	'escape_string_warning = off',
	"default_transaction_isolation = 'read committed'",
	'default_transaction_deferrable = on',
	"client_encoding = 'LATIN1'",
	'array_nulls = off',
	'backslash_quote = off',
	"plpgsql.extra_errors = 'all'",
	"plpgsql.check_asserts = off",
	"session_replication_role = 'replica'",
	"default_toast_compression = 'pglz'",
	"backslash_quote = 'off'",
	'lo_compat_privileges = on',
	'max_parallel_workers_per_gather = 0',
	"default_statistics_target = 1",
	'statement_timeout = 60000',
	'enable_seqscan = off',
	"lc_messages = 'C'",
	'exit_on_error = off');
my $folder = "$PostgreSQL::Test::Utils::tmp_check/slow";
mkdir $folder or die "cannot create $folder: $!";
$node->safe_psql($database, "CREATE TABLESPACE slow LOCATION '$folder'");
query('CREATE SCHEMA place');
# One transaction goes from there to head.
my $start = revision_name((37, commit_points(37, $HEAD))[-1]);
foreach my $setting (accepted_settings($node, @settings))
{
	my ($status, $out, $err) = $node->psql(
		$database,
		"$quiet SET $setting; SELECT"
		  . q{ procrastinate_upgrade('0028', 'place');}
		  . " CALL procrastinate_migrate('$start', 'place');"
		  . q{ SELECT procrastinate_upgrade('head', 'place');}
		  . q{ SELECT procrastinate_stamp('head', schema => 'place')});
	is("$out$err", "0028\n$HEAD_NAME\n$HEAD_NAME", "$setting: each call reaches its target");
	my $different = differences($node, $database, 'place', $HEAD);
	is($different, '', "$setting: the catalog is that of head");
	query('DROP SCHEMA place CASCADE; CREATE SCHEMA place');
	($status, $out, $err) = $node->psql(
		$database,
		"$quiet SET $setting; SELECT procrastinate_upgrade('head', 'place')");
	is("$out$err" . differences($node, $database, 'place', $HEAD),
		$HEAD_NAME, "$setting: so is it after one upgrade");
	my $after = (
		$node->psql(
			$database,
			"$quiet SET $setting; SELECT count(*) FROM"
			  . " procrastinate_history(schema => 'place'), procrastinate_log('place')")
	)[1];
	is($after, $HEAD, "$setting: the history can be read");
	query('DROP SCHEMA place CASCADE; CREATE SCHEMA place');
}
my @changed =
  accepted_settings(
	$node, 'standard_conforming_strings = off', 'transform_null_equals = on',
	'check_function_bodies = off', 'row_security = on');
my $shown = join ', ', map { "current_setting('$_')" } 'search_path', map { /^(\w+)/ } @changed;
is( query(
		'SET search_path = public, evil;'
		  . join('', map { "SET $_;" } @changed)
		  . q{ SELECT procrastinate_upgrade('head', 'place');}
		  . " SELECT concat_ws(' ', $shown)"
	),
	"$HEAD_NAME\npublic, evil " . join(' ', map { /(\w+)$/ } @changed),
	'an upgrade restores the caller\'s settings');

$node->stop;
done_testing();
