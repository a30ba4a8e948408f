# Changes by other sessions while an upgrade waits: a hostile role adds code to the tables, the
# schema is renamed, a reader's transaction goes on. Nothing runs that was not checked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(conf => 'restart_after_crash = on');
my $database = new_database($node);
my $schemas  = 0;

# A psql script run by \i, with the offline script of a range; and the calls.
sub script
{
	my ($schema, $range) = @_;
	my $path = "$PostgreSQL::Test::Utils::tmp_check/script_$schema.sql";
	open(my $file, '>', $path) or die "cannot write $path: $!";
	print $file $node->safe_psql($database, "SELECT procrastinate_sql('$range', '$schema')");
	close $file;
	return "\\set ON_ERROR_STOP 0\n\\i $path\nROLLBACK";
}

sub new_schema
{
	my ($revision) = @_;
	my $schema = 'waits_' . ++$schemas;
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	return $schema if !$revision;
	upgrade($node, $database, $revision, $schema);
	$node->safe_psql(
		$database, "SET search_path = $schema;"
		  . ' INSERT INTO procrastinate_jobs (queue_name, task_name, lock)'
		  . q{ SELECT 'queue', 'task', 'lock ' || n FROM generate_series(1, 9) AS n});
	return $schema;
}

sub await
{
	my ($condition) = @_;
	$node->poll_query_until($database, $condition) or die "never: $condition";
	return;
}

sub revision_of
{
	my ($schema) = @_;
	return $node->safe_psql($database, "SELECT revision FROM procrastinate_current('$schema')");
}

# ---- A hostile role adds code --------------------------------------------------------------------

$node->safe_psql($database, <<'SQL');
CREATE ROLE mallory;
CREATE TABLE public.traps (ran_as text, trap text);
CREATE SEQUENCE public.sprung; -- which tells of it though the row is rolled back
GRANT ALL ON public.sprung TO PUBLIC;
GRANT ALL ON public.traps TO PUBLIC;
GRANT CREATE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('public.sprung');
	INSERT INTO public.traps VALUES (current_user, TG_NAME || ' on ' || TG_RELNAME);
	RETURN NEW;
END $$;
CREATE FUNCTION public.spring(trap text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('public.sprung');
	INSERT INTO public.traps VALUES (current_user, trap);
	RETURN true;
END $$;
CREATE DOMAIN public.checked AS text CHECK (public.spring(value));
CREATE TYPE public.holder AS (checked public.checked);
CREATE OPERATOR public.<~> (FUNCTION = ts_rewrite, LEFTARG = tsquery, RIGHTARG = text);
CREATE FUNCTION public.fold(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.spring('fold');
	RETURN $1;
END $$;
CREATE TABLE public.folded (a int) PARTITION BY HASH ((a + public.fold(1)));
TRUNCATE public.traps;
SELECT setval('public.sprung', 1, false);
RESET ROLE;
CREATE FUNCTION public.run(query text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN true;
END $$;
REVOKE ALL ON FUNCTION public.run FROM PUBLIC;
SQL

# Mallory's code is the trigger's function, or is called by its condition, or checks a value that
# the condition makes.
my $calling = 'CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON %s EXECUTE FUNCTION public.spring()';
my %conditions = (
	'its condition'        => q{public.spring('condition')},
	'a domain'             => q{'domain'::public.checked = 'domain'},
	'an array of a domain' => q{('{array}' || left(NEW::text, 0))::public.checked[] IS NOT NULL},
	'a row with a domain'  => q{('(row)' || left(NEW::text, 0))::public.holder IS NOT NULL},
	'a query in a text'    =>
	  q{query_to_xml('SELECT public.spring(''query'')', true, false, '') IS NOT NULL},
	'a value that is read' =>
	  q{domain_in(('read' || left(NEW::text, 0))::cstring, 'public.checked'::regtype, -1) IS NOT}
	    . q{ NULL},
	'a key of partitions' => q{satisfies_hash_partition('public.folded'::regclass, 2, 0, 1)},
	'a function of the caller\'s'      => q{public.run('SELECT public.spring(''run'')')},
	'an element of an array'           => q{(ARRAY[]::public.holder[])[1] IS NOT NULL},
	'an operator on a query in a text' =>
	  q{(tsquery 'a' OPERATOR(public.<~>) 'SELECT tsquery ''a'', tsquery ''b'' WHERE}
	    . q{ public.spring(''operator'')') IS NOT NULL},
	'a row that is made of a constant' =>
	  q{jsonb_populate_record(NULL::public.holder, '{"checked": "constant"}') IS NOT NULL});
$conditions{'a type that JSON is read into'} =
  q{JSON_VALUE(to_jsonb(NEW), '$.status' RETURNING public.checked) IS NOT NULL}
  if $node->safe_psql($database, 'SHOW server_version_num') >= 170000;
$conditions{'a value that is tried'} = q{pg_input_is_valid('tried', 'public.checked')}
  if $node->safe_psql($database, 'SHOW server_version_num') >= 160000;

sub condition
{
	my ($what) = @_;
	return 'CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON %s FOR EACH ROW'
	  . " WHEN ($conditions{$what}) EXECUTE FUNCTION suppress_redundant_updates_trigger()";
}

# Plants a trigger while the call waits for a worker, whose transaction holds the jobs; the trigger
# is there once the worker is done, before or behind the call in the queue for the table.
foreach my $case (
	[ 29, 'procrastinate_jobs',           q{SELECT procrastinate_upgrade('0030', '%s')} ],
	[ 29, 'procrastinate_jobs',           q{CALL procrastinate_migrate('head', '%s')} ],
	[ 29, 'procrastinate_jobs',           '0029:0030' ],
	[ 30, 'procrastinate_jobs',           q{SELECT procrastinate_upgrade('head', '%s')} ],
	[ 23, 'procrastinate_schema_history', q{SELECT procrastinate_upgrade('0024', '%s')} ],
	[ 23, 'procrastinate_schema_history', q{CALL procrastinate_migrate('0024', '%s')} ],
	[ 23, 'procrastinate_schema_history', q{SELECT procrastinate_stamp('0023', schema => '%s')} ],
	[ 23, 'procrastinate_schema_history', '0023:0024' ],
	[ 0,  'procrastinate_schema_history', q{SELECT procrastinate_upgrade('head', '%s')} ],
	[ 0,  'procrastinate_schema_history', 'base:head' ],
	(   map { [ 29, 'procrastinate_jobs', q{SELECT procrastinate_upgrade('0030', '%s')}, $_ ] }
		sort keys %conditions),
	[ 29, 'procrastinate_jobs', '0029:0030', 'its condition' ],
	[ 29, 'procrastinate_jobs', '0029:0030', 'a row with a domain' ],
	[   23, 'procrastinate_schema_history', q{CALL procrastinate_migrate('0024', '%s')},
		'its condition' ],
	[ 23, 'procrastinate_schema_history', '0023:0024', 'its condition' ])
{
	my ($revision, $table, $call, $by) = @$case;
	my $trigger = $by ? condition($by) : $calling;
	my $label   = "$call, a trigger on $table" . ($by ? " by $by" : '');
	foreach my $planted_before (1, 0)
	{
		my $schema = new_schema($revision);
		$node->safe_psql($database, "SELECT procrastinate_stamp('base', schema => '$schema')")
		  if !$revision;
		$node->safe_psql(
			$database, "SET search_path = $schema; SET session_replication_role = replica;"
			  . q{ UPDATE procrastinate_jobs SET status = 'aborting' WHERE id < 4}
		) if $revision == 29;
		$node->safe_psql(
			$database,
			"GRANT ALL ON SCHEMA $schema TO mallory; GRANT TRIGGER ON $schema.$table TO mallory");
		my ($worker, $mallory, $deployer) = map { new_session($node, $database) } 1 .. 3;
		$worker->query("BEGIN; LOCK TABLE $schema.$table IN ROW EXCLUSIVE MODE");
		$mallory->query('SET ROLE mallory');
		my $change = $call =~ /^\w+:\w+$/ ? script($schema, $call) : sprintf $call, $schema;
		my @turns =
		  ([ $deployer, $change ], [ $mallory, sprintf $trigger, "$schema.$table" ]);
		foreach my $turn ($planted_before ? reverse @turns : @turns)
		{
			$turn->[0]->send($turn->[1]);

			# procrastinate_migrate() waits a moment at a time.
			await(
					 $turn->[0] == $deployer
				  && $call =~ /^CALL/
				? "SELECT wait_event IN ('Extension', 'relation') FROM pg_stat_activity WHERE pid ="
				  . " $deployer->{pid}"
				: $turn->[0]->waits_for_lock);
		}
		$worker->query('COMMIT');
		my (undef, $error)   = $deployer->wait;
		my (undef, $planted) = $mallory->wait;
		my $when = $planted_before ? 'before it' : 'behind it';
		if ($call =~ /^CALL/)
		{
			# Who is first once the worker is done is not for us to say.
			like(
				$error, $planted_before ? qr/^(?:PM010|42501): / : qr/^(?:PM010|42501): |^$/,
				"$label, $when: refused" . ($planted_before ? '' : ' or done'));
			$node->safe_psql($database, "DROP TRIGGER trap ON $schema.$table");
			is_as_recorded($node, $database, $schema, "$label, $when: the catalog is as recorded");
		}
		elsif ($planted_before)
		{
			like($error, qr/^(?:PM010|42501): /, "$label, $when: refused");
			is( revision_of($schema), $revision ? revision_name($revision) : '',
				"$label, $when: nothing is done");
			$node->safe_psql($database, "DROP TRIGGER trap ON $schema.$table");
			is_at($node, $database, $schema, $revision, "$label, $when: the catalog is as it was");
		}
		else
		{
			is($error, '', "$label, $when: done");
		}
		is($planted, '', "$label, $when: the trigger was planted");
		is( $node->safe_psql($database, 'SELECT is_called FROM public.sprung'),
			'f', "$label, $when: no code of mallory's has run")
		  or diag($node->safe_psql($database, 'SELECT DISTINCT * FROM public.traps'));
		$node->safe_psql($database,
			q{TRUNCATE public.traps; SELECT setval('public.sprung', 1, false)});
		$_->close foreach $worker, $mallory, $deployer;
	}
}

# A statement goes to the tables that inherit from ours, too.
{
	my $schema = new_schema(30);
	$node->safe_psql(
		$database, "SET search_path = $schema; CREATE TABLE kid () INHERITS (procrastinate_jobs);"
		  . q{ SET session_replication_role = replica; INSERT INTO kid (queue_name, task_name,}
		    . q{ status) VALUES ('queue', 'task', 'aborting');}
		  . " GRANT ALL ON SCHEMA $schema TO mallory; GRANT TRIGGER ON kid TO mallory");
	my ($worker, $mallory, $deployer) = map { new_session($node, $database) } 1 .. 3;
	$worker->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs IN ROW EXCLUSIVE MODE");
	$mallory->query('SET ROLE mallory');
	foreach my $turn ([ $mallory, sprintf $calling, "$schema.kid" ],
		[ $deployer, "SELECT procrastinate_upgrade('0031', '$schema')" ])
	{
		$turn->[0]->send($turn->[1]);
		await($turn->[0]->waits_for_lock);
	}
	$worker->query('COMMIT');
	is(($mallory->wait)[1], '', 'a trigger is planted on a table that inherits from ours');
	like(($deployer->wait)[1], qr/^PM010: /, 'and refused');
	$node->safe_psql($database, "DROP TABLE $schema.kid");
	is_at($node, $database, $schema, 30, 'with nothing done');
	is($node->safe_psql($database, 'SELECT is_called FROM public.sprung'), 'f', 'it has not run');
	$_->close foreach $worker, $mallory, $deployer;
}

# A function that is missing may be somebody's when it is made again.
{
	my $schema   = new_schema($HEAD);
	my $function = "$schema.procrastinate_notify_queue_job_inserted_v1";
	$node->safe_psql($database,
		"GRANT ALL ON SCHEMA $schema TO mallory; SET client_min_messages = warning; DROP FUNCTION"
		  . " $function CASCADE"
	);
	my ($worker, $deployer) = map { new_session($node, $database) } 1 .. 2;
	$worker->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs IN ROW EXCLUSIVE MODE");
	$deployer->send("SELECT count(*) FROM procrastinate_repair('$schema', dry_run => false)");
	await($deployer->waits_for_lock);
	$node->safe_psql($database,
		"SET ROLE mallory; CREATE FUNCTION $function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
		  . " RETURN NULL; END'"
	);
	$worker->query('COMMIT');
	like(($deployer->wait)[1], qr/^PM010: /,
		'a repair does not hang a trigger on another role\'s function');
	is( $node->safe_psql(
			$database, "SELECT count(*) FROM pg_trigger WHERE tgfoid = '$function'::regproc"),
		'0',
		'there is none');
	$node->safe_psql($database,
		"DROP FUNCTION $function; SELECT procrastinate_repair('$schema', dry_run => false)");
	is_at($node, $database, $schema, $HEAD, 'once it is gone the repair is made');
	$_->close foreach $worker, $deployer;
}

# ---- The schema gets another name ----------------------------------------------------------------

foreach my $call (
	q{SELECT procrastinate_upgrade('0022', '%s')},
	q{CALL procrastinate_migrate('0022', '%s')},
	q{SELECT procrastinate_stamp('0021', verify => false, schema => '%s')},
	'0020:0022')
{
	my $schema = new_schema(20);
	my ($first, $second) = map { new_session($node, $database) } 1 .. 2;
	my $change = $call =~ /^\w+:\w+$/ ? script($schema, $call) : sprintf $call, $schema;
	$first->query("BEGIN; SELECT procrastinate_upgrade('0021', '$schema')");
	$second->send($change);
	await($second->waits_for_lock);
	$first->query(
		"ALTER SCHEMA $schema RENAME TO ${schema}_renamed; CREATE SCHEMA $schema;"
		  . " SELECT procrastinate_upgrade('0020', '$schema'); COMMIT");
	my (undef, $error) = $second->wait;
	is( $error, "3F000: schema \"$schema\" has been dropped or renamed by another session",
		"$call: a schema that was renamed meanwhile is refused");
	is(revision_of($schema), '0020', "$call: the one that has its name now is left alone");
	is_at($node, $database, $schema, 20, "$call: so is its catalog");
	is(revision_of("${schema}_renamed"), '0021', "$call: and so is the one that was meant");
	$_->close foreach $first, $second;
}

# In the middle of a step, which stands at a table that a reader holds: the new name waits, too, and
# nothing that is looked up by the old one is ever another's.
my $schema = new_schema(23);
my ($reader, $deployer, $renamer) = map { new_session($node, $database) } 1 .. 3;
$reader->query("BEGIN; SELECT count(*) FROM $schema.procrastinate_events");
$deployer->send("SELECT procrastinate_upgrade('0024', '$schema')");
await($deployer->waits_for_lock);
$renamer->send("ALTER SCHEMA $schema RENAME TO ${schema}_renamed");
await($renamer->waits_for_lock);
$reader->query('COMMIT');
my (undef, $error) = $deployer->wait;
is($error, '', 'a schema keeps its name to the end of a step');
(undef, $error) = $renamer->wait;
is($error,                           '',     'and gets its new one then');
is(revision_of("${schema}_renamed"), '0024', 'the step is done');
is_at($node, $database, "${schema}_renamed", 24, 'in the schema that was meant');
$_->close foreach $reader, $deployer, $renamer;

# Before the first step, while rows are looked ahead at: a hostile owner of the schema cannot put
# another one in its place.
$node->safe_psql($database, "GRANT CREATE ON DATABASE $database TO mallory");
my $holder;
foreach my $call (q{SELECT procrastinate_upgrade('head', '%s')}, '0029:head')
{
	$schema = new_schema(29);
	$node->safe_psql($database, "ALTER SCHEMA $schema OWNER TO mallory");
	my $oid = $node->safe_psql($database, "SELECT '$schema'::regnamespace::oid");
	($holder, $deployer, $renamer) = map { new_session($node, $database) } 1 .. 3;
	$renamer->query('SET ROLE mallory');
	$holder->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs");
	my $is_script = $call =~ /^\w+:\w+$/;
	$deployer->send($is_script ? script($schema, $call) : sprintf $call, $schema);
	await($deployer->waits_for_lock);
	$renamer->send("ALTER SCHEMA $schema RENAME TO ${schema}_renamed");
	await($renamer->waits_for_lock);

	# Where the server locks a schema to rename it, a script, which can hold the row only, may wait
	# for that in turn.
	my $may_lose = $is_script
	  && $node->safe_psql($database,
		"SELECT count(*) FROM pg_locks WHERE pid = $renamer->{pid} AND classid ="
		  . " 'pg_namespace'::regclass AND objid = $oid"
	  ) ne '0';
	$holder->query('COMMIT');
	(undef, $error) = $deployer->wait;
	like($error, $may_lose ? qr/^(?:|40P01: .*)$/ : qr/^$/,
		"$call: a schema keeps its name while it is looked ahead at");
	$renamer->wait;
	is_at(
		$node, $database,
		$node->safe_psql($database, "SELECT nspname FROM pg_namespace WHERE oid = $oid"),
		$error ? 29 : $HEAD,
		'and the change is made in it');
	$_->close foreach $holder, $deployer, $renamer;
}

# A script of somebody who is no superuser cannot keep the name, but looks at it again.
$schema = new_schema(0);
$node->safe_psql($database, <<"SQL");
CREATE ROLE deployer;
GRANT ALL ON SCHEMA $schema TO deployer;
SET client_min_messages = warning;
SET ROLE deployer;
SELECT procrastinate_upgrade('0029', '$schema');
RESET ROLE;
ALTER SCHEMA $schema OWNER TO mallory;
SQL
($holder, $deployer, $renamer) = map { new_session($node, $database) } 1 .. 3;
$holder->query("BEGIN; LOCK TABLE $schema.procrastinate_jobs");
$deployer->query('SET ROLE deployer');
$deployer->send(script($schema, '0029:head'));
await($deployer->waits_for_lock);
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
	'a script goes on in no other schema');
is_at($node, $database, "${schema}_renamed", 29, 'and not in its own');
$_->close foreach $holder, $deployer, $renamer;

# ---- A schema is seen as it was before a change, or as it is after ------------------------------

$schema = new_schema(30);
my $watcher;
($deployer, $watcher) = map { new_session($node, $database) } 1 .. 2;
foreach my $call (
	[ "SELECT revision, exact FROM procrastinate_detect('$schema')", '0031', '0031|t' ],
	[ "SELECT count(*) FROM procrastinate_check('0033', '$schema')", '0033', '0' ])
{
	my ($sql, $target, $expected) = @$call;
	$deployer->query("BEGIN; SELECT procrastinate_upgrade('$target', '$schema')");
	$watcher->send($sql);
	await($watcher->waits_for_lock);
	$deployer->query('COMMIT');
	my ($seen) = $watcher->wait;
	is($seen, $expected, "who looks while a change is under way sees all of it: $sql");
}
$_->close foreach $deployer, $watcher;

# ---- Isolation levels that see the rows of the beginning only ------------------------------------

foreach my $target ('0001', 'head')
{
	$schema = new_schema(0);
	my $session = new_session($node, $database);
	$session->query(q{SET default_transaction_isolation = 'repeatable read'});
	like(
		$session->refusal("CALL procrastinate_migrate('$target', '$schema')"),
		qr/^25001: /, "repeatable read: the procedure refuses from base to $target");
	is(revision_of($schema), '', 'before anything is done');
	$session->close;
}
$schema = new_schema(0);
$node->safe_psql($database, "SELECT procrastinate_stamp('base', schema => '$schema')");
my $session = new_session($node, $database);
$session->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$node->safe_psql($database, "SELECT procrastinate_stamp('base', schema => '$schema')");
like(
	$session->refusal("SELECT procrastinate_upgrade('head', '$schema')"),
	qr/^25001: /, 'repeatable read: nor does an upgrade where a history has begun');
$session->close;

# ---- What the labels of 0027 allow in one transaction --------------------------------------------

foreach my $steps ([ 26, 27, 29 ], [ 26, 28, $HEAD ], [ 27, 29 ], [ 27, $HEAD ], [ 29, $HEAD ])
{
	$schema  = new_schema(0);
	$session = new_session($node, $database);
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
		"one transaction over @$steps: it goes, or is refused before anything is touched");
	$session->query($errors eq 'no error' ? 'COMMIT' : 'ROLLBACK TO s; COMMIT');
	my $reached = revision_of($schema);
	is_at($node, $database, $schema, int $reached, "one transaction over @$steps: at $reached");
	$session->close;
}
$schema  = new_schema(26);
$session = new_session($node, $database);
$session->query(
	"BEGIN; SELECT procrastinate_upgrade('0027', '$schema');"
	  . " GRANT USAGE ON TYPE $schema.procrastinate_job_status TO public");
like(
	$session->refusal("SELECT procrastinate_upgrade('0029', '$schema')"),
	qr/^PM007: /, 'a type that is older than the transaction, and was changed in it');
$session->close;

$node->stop;
done_testing();
