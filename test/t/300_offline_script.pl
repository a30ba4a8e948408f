# Scripts of procrastinate_sql(), run by psql in a database without the extension: from every
# revision to head and from base to every revision. They write the same history, take the same lock,
# fail if the schema is at another revision, and leave nothing behind after a failure.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $hostile = qq{a'b"c\nd\\e \$check\$ \$recorded\$ \$\$ :var :'var' :"var" \\! false; --};
my @schemas = ('public', $ODD_SCHEMA, $hostile);
my @labels  = ('public', 'an odd schema', 'a hostile schema');
my $node    = start_server(name => 'offline');
my $maker   = new_database($node);
my $plain   = fresh_database('plain');
my $scripts = 0;

sub fresh_database
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	return $database;
}

sub fresh_schema
{
	my ($database, $schema) = @_;
	my $quoted = name($schema);
	$node->safe_psql($database,
		"SET client_min_messages = error; DROP SCHEMA IF EXISTS $quoted CASCADE;"
		  . " CREATE SCHEMA $quoted"
	);
	return;
}

# The path of a script that leads through the range.
sub script_of
{
	my ($range, $schema, $extra) = @_;
	my $text = $node->safe_psql($maker,
		'SELECT procrastinate_sql(' . lit($range) . ', ' . lit($schema) . ')');
	my $path = "$PostgreSQL::Test::Utils::tmp_check/script_" . ++$scripts . '.sql';
	open(my $file, '>', $path) or die "cannot write $path: $!";
	print $file $text, $extra // '';
	close $file;
	return $path;
}

# How a user runs it. Returns the exit status and what went to standard error.
sub command_of
{
	my ($database, $path) = @_;
	return [
		$node->installed_command('psql'),
		qw(-X -q -v ON_ERROR_STOP=1 -v var=EVIL -f),
		$path, '-d', $node->connstr($database) ];
}

sub run_script
{
	my ($database, $path) = @_;
	my ($out,      $err)  = ('', '');
	IPC::Run::run(command_of($database, $path), '>', \$out, '2>', \$err);
	return ($? >> 8, $err);
}

sub runs
{
	my ($database, $range, $schema, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $err) = run_script($database, script_of($range, $schema));
	return is($status, 0, $name) || diag($err);
}

sub history
{
	my ($database, $schema) = @_;
	return $node->safe_psql($database,
		'SELECT event, from_revision, to_revision, applied_by = current_user,'
		  . ' duration >= interval \'0\''
		  . ' FROM '
		  . name($schema)
		  . '.procrastinate_schema_history ORDER BY id');
}

# Everything in a schema, for "nothing was changed".
sub state_of
{
	my ($database, $schema) = @_;
	my $quoted = lit($schema);
	my $state  = $node->safe_psql($database,
		'SELECT c.oid, c.relname, c.xmin FROM pg_class c'
		  . ' JOIN pg_namespace n ON n.oid = c.relnamespace'
		  . " WHERE n.nspname = $quoted UNION ALL"
		  . ' SELECT p.oid, p.proname, p.xmin FROM pg_proc p'
		  . ' JOIN pg_namespace n ON n.oid = p.pronamespace'
		  . " WHERE n.nspname = $quoted UNION ALL"
		  . ' SELECT t.oid, t.typname, t.xmin FROM pg_type t'
		  . ' JOIN pg_namespace n ON n.oid = t.typnamespace'
		  . " WHERE n.nspname = $quoted ORDER BY 1, 2");
	my $table = lit(name($schema) . '.procrastinate_schema_history');
	my $known = $node->safe_psql($database, "SELECT to_regclass($table) IS NOT NULL");
	return $state . ($known eq 't' ? "\n" . history($database, $schema) : '');
}

sub dump_of
{
	my ($database, @options) = @_;
	my ($dump,     $err)     = ('', '');
	IPC::Run::run(
		[ $node->installed_command('pg_dump'), '-d', $node->connstr($database), @options ],
		'>', \$dump, '2>', \$err)
	  or die $err;
	$dump =~ s/^\\(?:un)?restrict .*\n//mg;
	return $dump;
}

$node->safe_psql($maker, 'CREATE SCHEMA ' . name($_)) foreach @schemas[ 1, 2 ];
is($node->safe_psql($plain, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'procrastinate%'"),
	'0', 'the other database does not have the extension');

# ---- From base to every revision, and from there to head ----------------------------------------

foreach my $revision (1 .. $HEAD)
{
	my $schema = $schemas[ $revision % @schemas ];
	my $label  = $labels[ $revision % @schemas ];
	my $name   = revision_name($revision);
	fresh_schema($plain, $schema);
	runs($plain, "base:$name", $schema, "the script base:$name runs in $label");
	is_at($node, $plain, $schema, $revision, "the script base:$name makes the catalog of $name");
	next if $revision == $HEAD;
	runs($plain, "$name:head", $schema, "the script $name:head runs in $label");
	is_at($node, $plain, $schema, $HEAD, "the script $name:head makes the catalog of head");
}
foreach my $i (0 .. $#schemas)
{
	my $schema = $schemas[$i];
	fresh_schema($plain, $schema);
	runs($plain, 'base:head', $schema, "the script base:head runs in $labels[$i]");
	is_at($node, $plain, $schema, $HEAD, 'the script base:head makes the catalog of head');
}
fresh_schema($plain, 'public');
foreach my $range (qw(base:0009 0009:0010 0010:0026 0026:0029 0029:0030 0030:0037))
{
	runs($plain, $range, 'public', "the script $range runs after the one before");
}
is_at($node, $plain, 'public', 37, 'these scripts make the catalog of 0037 together');

# ---- The history --------------------------------------------------------------------------------

upgrade($node, $maker, $_) foreach 9, 10, 26, 27, 29, 30, 37;
is( history($plain, 'public'),
	history($maker, 'public'),
	'scripts write the rows that the extension writes');
is( dump_of($plain, '--schema-only', '--table=public.procrastinate_schema_history'),
	dump_of($maker, '--schema-only', '--table=public.procrastinate_schema_history'),
	'scripts create the same history table');
fresh_schema($plain, $ODD_SCHEMA);
my (undef, $heard) = $node->psql($plain,
	"LISTEN procrastinate_schema;\n\\i " . script_of('base:head', $ODD_SCHEMA));
like(
	$heard,
	qr/notification "procrastinate_schema" with payload "$HEAD_NAME \Q$ODD_SCHEMA\E" received/,
	'a script notifies listeners of the revision and the schema');
fresh_schema($plain, $ODD_SCHEMA);
runs($plain, 'base:head', $ODD_SCHEMA, 'base:head is run for its history');
like(
	history($plain, $ODD_SCHEMA),
	qr/^install\|base\|$HEAD_NAME\|t\|t$/,
	'an installation at head is one row with the event install');
like(
	$node->safe_psql($plain, 'SELECT DISTINCT version FROM procrastinate_schema_history'),
	qr/^1\.\d+\.\d+ \(script\)$/,
	'the version says that a script wrote the row');

# ---- Refusals, which change nothing -------------------------------------------------------------

sub refuses
{
	my ($schema, $range, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = state_of($plain, $schema);
	my ($status, $err) = run_script($plain, script_of($range, $schema));
	is($status, 3, $name);
	like($err, $expected, "$name: the message");
	return is(state_of($plain, $schema), $before, "$name: nothing has changed");
}

refuses(
	'public', '0036:head',
	qr/schema "public" is at 0037, but this script starts at 0036/,
	'a script for an earlier revision is refused');
refuses(
	'public', 'base:head',
	qr/schema "public" is at 0037, but this script starts at base/,
	'a script from base is refused in a schema at 0037');
fresh_schema($_, 'behind') foreach $maker, $plain;
runs($plain, 'base:0030', 'behind', 'a script makes a schema at 0030');
refuses(
	'behind', '0026:head',
	qr/at\ 0030:\ nothing\ to\ do\ from\ 0026\ to\ 0028\n
		.*is\ at\ 0030,\ but\ this\ part\ of\ the\ script\ starts\ at\ 0028/sx,
	'a later part of a script');
fresh_schema($plain, $hostile);
refuses(
	$hostile, '0036:head',
	qr/is at base, but this script starts at 0036/,
	'a script from a later revision is refused in an empty schema');
my ($hint) =
  (run_script($plain, script_of('0036:head', $hostile)))[1] =~ /procrastinate_sql\((.*)\);/s;
is( $node->safe_psql($maker, "SELECT left(procrastinate_sql($hint), 35)"),
	q(-- Procrastinate's schema from base),
	'the hint of that refusal can be pasted');
$node->safe_psql($plain, 'DROP SCHEMA ' . name($hostile));
refuses(
	$hostile, 'base:head',
	qr/schema "a'b"c\n.*" does not exist/,
	'a missing schema is an error');

$node->safe_psql($plain, 'DROP TABLE procrastinate_schema_history');
refuses(
	'public', 'base:head',
	qr/schema "public" is at 0037, but this script starts at base/,
	'a script from base is refused if there are tables of 0037 without a history');
$node->safe_psql($plain, 'ALTER TABLE procrastinate_jobs ALTER attempts DROP DEFAULT');
refuses(
	'public', 'base:head',
	qr/schema "public" holds Procrastinate's objects but no history/,
	'a script from base is refused if there are tables that match no revision');
refuses(
	'public', '0037:head',
	qr/schema "public" holds Procrastinate's objects but no history/,
	'a script from 0037 is refused if there are tables that match no revision');
my ($record) =
  (run_script($plain, script_of('0037:head', 'public')))[1] =~ /^HINT:  [^\n]*:\n(.*?)^CONTEXT:/ms;
like($record, qr/^CREATE TABLE .*^INSERT INTO /ms,
	'the HINT contains the statements that record the revision');
fresh_schema($_, 'hinted') foreach $maker, $plain;
runs($plain, 'base:0037', 'hinted', 'a script makes a schema at 0037');
$node->safe_psql($plain, 'DROP TABLE hinted.procrastinate_schema_history;'
	  . ' ALTER TABLE hinted.procrastinate_jobs ALTER attempts DROP DEFAULT');
# The first line is a comment.
($record) =
  (run_script($plain, script_of('0037:head', 'hinted')))[1] =~ /^HINT:  (.*?)^CONTEXT:/ms;
$node->safe_psql($plain, $record);
is( history($plain, 'hinted'),
	'stamp|base|0037|t|t',
	'the whole HINT, pasted, records the revision as a stamp does');
$node->safe_psql($plain, 'ALTER TABLE hinted.procrastinate_jobs ALTER attempts SET DEFAULT 0');
runs($plain, '0037:head', 'hinted', 'the script runs after the revision is recorded');
is_at($node, $plain, 'hinted', $HEAD, 'to head');

fresh_schema($plain, $ODD_SCHEMA);
$node->safe_psql($plain, 'CREATE TABLE ' . name($ODD_SCHEMA) . '.procrastinate_jobs_pkey ()');
refuses(
	$ODD_SCHEMA, 'base:0003',
	qr/schema "odd "name"" holds Procrastinate's objects but no history/,
	'a taken name for which the server would choose another is refused');

# ---- Failures in the middle ---------------------------------------------------------------------

fresh_schema($plain, $ODD_SCHEMA);
runs($plain, 'base:0006', $ODD_SCHEMA, 'a script makes a schema at 0006');
$node->safe_psql($plain,
	'CREATE INDEX procrastinate_jobs_queueing_lock_idx ON '
	  . name($ODD_SCHEMA)
	  . '.procrastinate_jobs (id)'
);
refuses(
	$ODD_SCHEMA, '0006:0012',
	qr/is at 0006 by its history, but has .*There is procrastinate_jobs_queueing_lock_idx/s,
	'a name that a later migration needs is refused');
refuses(
	$ODD_SCHEMA, '0006:head',
	qr/is at 0006 by its history, but has .*There is procrastinate_jobs_queueing_lock_idx/s,
	'also in the first transaction of several');
$node->safe_psql($plain,
	"DROP INDEX @{[ name($ODD_SCHEMA) ]}.procrastinate_jobs_queueing_lock_idx");
$node->safe_psql($plain, "CREATE TABLE @{[ name($ODD_SCHEMA) ]}.procrastinate_workers (id int)");
my ($status, $err) = run_script($plain, script_of('0006:head', $ODD_SCHEMA));
is($status, 3, 'a script that fails after its first commit has the exit status 3');
like($err, qr/procrastinate_workers/, 'the error names the cause');
$node->safe_psql($plain, "DROP TABLE @{[ name($ODD_SCHEMA) ]}.procrastinate_workers");
is_at($node, $plain, $ODD_SCHEMA, 28, 'the schema is at the revision of the last commit');
like(history($plain, $ODD_SCHEMA), qr/\|0028\|t\|t\z/,
	'the history is at the revision of the last commit');
runs($plain, '0028:head', $ODD_SCHEMA, 'a script from this revision runs');
is_at($node, $plain, $ODD_SCHEMA, $HEAD, 'the catalog is that of head');

# A constraint and a trigger are not looked for. The migration fails and is rolled back.
fresh_schema($plain, $ODD_SCHEMA);
runs($plain, 'base:0006', $ODD_SCHEMA, 'a script makes a schema at 0006 again');
my $taken = name($ODD_SCHEMA);
$node->safe_psql($plain, "SET search_path = $taken;"
	  . ' CREATE TRIGGER procrastinate_trigger_delete_jobs BEFORE DELETE ON procrastinate_jobs'
	  . ' FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()');
refuses(
	$ODD_SCHEMA, '0006:0028',
	qr/trigger "procrastinate_trigger_delete_jobs" .* already exists/,
	'a script that fails in a later migration is rolled back');

# ---- Where another tool has gone on --------------------------------------------------------------

# It does not know of the history.
foreach my $case ([ 36, 37 ], [ 23, 25 ], [ 29, 31 ])
{
	my ($recorded, $reached) = map { revision_name($_) } @$case;
	my $label = "at $reached where the history says $recorded";
	fresh_schema($plain, $ODD_SCHEMA);
	runs($plain, "base:$recorded", $ODD_SCHEMA, "$label: recorded");
	$node->safe_psql($plain, "CREATE TABLE kept AS TABLE $taken.procrastinate_schema_history");
	runs($plain, "$recorded:$reached", $ODD_SCHEMA, "$label: reached");
	$node->safe_psql($plain,
		"DELETE FROM $taken.procrastinate_schema_history;"
		  . " INSERT INTO $taken.procrastinate_schema_history TABLE kept; DROP TABLE kept");
	refuses(
		$ODD_SCHEMA, "$recorded:head",
		qr/is at $reached, but this script starts at $recorded/,
		"$label: where the catalog is exactly that, a script that starts elsewhere is refused");
	my $attempts = "ALTER TABLE $taken.procrastinate_jobs ALTER COLUMN attempts";
	$node->safe_psql($plain, "$attempts DROP DEFAULT");
	refuses(
		$ODD_SCHEMA, "$recorded:head",
		qr/is at $recorded by its history, but has objects of $reached\nDETAIL:  There is /,
		"$label: a script is refused before it changes anything");
	my ($record) = (run_script($plain, script_of("$recorded:head", $ODD_SCHEMA)))[1] =~
	  /^HINT:  [^\n]*:\n(.*?)^CONTEXT:/ms;
	$node->safe_psql($plain, "$record; $attempts SET DEFAULT 0");
	runs($plain, "$recorded:$reached", $ODD_SCHEMA, "$label: the HINT records the revision");
	runs($plain, "$reached:head", $ODD_SCHEMA, "$label: a script that starts there runs")
	  if $case->[1] < $HEAD;
	is_at($node, $plain, $ODD_SCHEMA, $HEAD, "$label: the schema is at head");
}
$node->safe_psql($plain, "DROP TABLE $taken.procrastinate_schema_history");
my $leftover = (run_script($plain, script_of('base:head', $ODD_SCHEMA)))[1];
like(
	$leftover,
	qr/is at $HEAD_NAME: nothing to do from base/,
	'tables without a history that are past the script are adopted');
unlike($leftover, qr/rename|drop/, 'and nobody is told to drop them');

# ---- Settings of the database -------------------------------------------------------------------

my @settings = (
	'standard_conforming_strings = off',
	'transform_null_equals = on',
	'check_function_bodies = off',
	'search_path = nowhere',
	'default_transaction_isolation = serializable',
	'default_transaction_read_only = on',
	'quote_all_identifiers = on',
	'plpgsql.variable_conflict = use_column',
	q{plpgsql.extra_errors = 'all'},
	q{DateStyle = 'SQL, DMY'},
	q{IntervalStyle = 'sql_standard'},
	q{TimeZone = 'Asia/Kathmandu'},
	'backslash_quote = off',
	q{bytea_output = 'escape'});
foreach my $setting (accepted_settings($node, @settings))
{
	my ($parameter) = $setting =~ /^(\S+)/;
	fresh_schema($plain, $hostile);
	$node->safe_psql('postgres', "ALTER DATABASE $plain SET $setting");
	runs($plain, 'base:0028', $hostile, "a script of the chain runs with $setting");
	runs($plain, '0028:head', $hostile, "a script to head runs with $setting");
	$node->safe_psql('postgres', "ALTER DATABASE $plain RESET $parameter");
	is_at($node, $plain, $hostile, $HEAD, 'the catalog is that of head');
}

# ---- The extension and scripts in turn ----------------------------------------------------------

fresh_schema($maker, $hostile);
runs($maker, 'base:0010', $hostile, 'a script runs in a database with the extension');
upgrade($node, $maker, '0020', $hostile);
runs($maker, 'current:0027', $hostile, 'a script goes on after the extension');
$node->safe_psql($maker,
		'SET client_min_messages = warning; CALL procrastinate_migrate(schema => '
	  . lit($hostile)
	  . ')');
is_at($node, $maker, $hostile, $HEAD, 'the extension goes on after the script');
is( $node->safe_psql(
		$maker,
		"SELECT count(*), min(from_revision), max(to_revision), string_agg(DISTINCT version, ', ')"
		  . ' FROM procrastinate_log('
		  . lit($hostile) . q{) WHERE event !~ '^step '}),
	"$HEAD|0001|$HEAD_NAME|1.0.0, 1.0.0 (script)",
	'the history has one row for each revision');

# ---- Run again ----------------------------------------------------------------------------------

# A script of two transactions, run in part before, and as a whole before.
fresh_schema($plain, $hostile);
my $twice = script_of('0026:0030', $hostile);
runs($plain, 'base:0028', $hostile, 'the first transaction of a script has been run otherwise');
foreach my $time ('after its first transaction', 'after all of it')
{
	my $at = $time =~ /first/ ? '0028' : '0030';
	my @notices = ("is at $at: nothing to do from 0026 to 0028");
	push @notices, 'is at 0030: nothing to do from 0028 to 0030' if $at eq '0030';
	my ($status, $err) = run_script($plain, $twice);
	is($status, 0, "a script is run again: $time");
	is_deeply([ $err =~ /(is at \d+: nothing to do .*)/g ], \@notices, 'it says what is done');
	is_at($node, $plain, $hostile, 30, 'the schema is at the end of the script');
}
my $rows = history($plain, $hostile);
runs($plain, 'base:0003', $hostile, 'an older script is run where the schema is past it');
is(history($plain, $hostile), $rows, 'nothing is recorded');

# ---- One lock -----------------------------------------------------------------------------------

fresh_schema($maker, $ODD_SCHEMA);
my $path    = script_of('base:0003', $ODD_SCHEMA);
my $session = new_session($node, $maker, 'public');
$session->query('BEGIN; SELECT procrastinate_upgrade(\'0002\', ' . lit($ODD_SCHEMA) . ')');
my ($out, $waited) = ('', '');
my $script = IPC::Run::start(command_of($maker, $path), '>', \$out, '2>', \$waited);
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = '$maker'"
		  . " AND wait_event = 'transactionid'"
	),
	'a script waits for an upgrade that is under way');
$session->query('COMMIT');
$script->finish;
like($waited, qr/is at 0002, but this script starts at base/,
	'the script is refused after the upgrade');

fresh_schema($maker, $ODD_SCHEMA);
my ($half) = slurp($path) =~ /\A(.*)^COMMIT;\n/ms;
$session->query($half);
my $other = new_session($node, $maker, 'public');
$other->send('SELECT procrastinate_upgrade(\'0003\', ' . lit($ODD_SCHEMA) . ')');
ok($node->poll_query_until('postgres', $other->waits_for_lock),
	'an upgrade waits for a script that is under way');
$session->query('COMMIT');
is((split /:/, ($other->wait)[1])[0], '55P03', 'the upgrade is told that the script came first');
is( $other->query('SELECT procrastinate_upgrade(\'0003\', ' . lit($ODD_SCHEMA) . ')'),
	'0003', 'the second call finds nothing to do');
is( $node->safe_psql(
		$maker, 'SELECT count(*) FROM procrastinate_log(' . lit($ODD_SCHEMA) . ')'),
	'3',
	'each migration was run once');
$session->close;
$other->close;

$node->stop;
done_testing();
