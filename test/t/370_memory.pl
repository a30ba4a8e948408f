# Calls that do nothing and calls that fail do not leak: the memory of the server process does not
# grow after the first hundred.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'memory');
my $database = new_database($node);
upgrade($node, $database, 'head');
$node->safe_psql($database, 'CREATE SCHEMA found; CREATE TABLE found.procrastinate_jobs (id int)');

my $warm_up  = 100;
my $many     = 20_000;
my $measured = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts;';

# The bytes after the first calls and after all of them, each a statement of its own in one session;
# and how many of them failed.
sub bytes
{
	my ($calls, @statements) = @_;
	my $list = join ', ', map { lit($_) } @statements;
	my $make = sub {
		my ($number) = @_;
		return
			"SELECT (ARRAY[$list])[1 + i % "
		  . @statements
		  . "] FROM generate_series(1, $number) i \\gexec\n";
	};
	my $script = <<"SQL";
\\set VERBOSITY sqlstate
SET client_min_messages = error;
\\o /dev/null
@{[ $make->($warm_up) ]}
SELECT pg_sleep(0);
\\o
$measured
\\o /dev/null
@{[ $make->($calls) ]}
\\o
$measured
SQL
	my ($out, $err) = ('', '');
	IPC::Run::run([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr($database) ],
		'<', \$script, '>', \$out, '2>', \$err);
	my ($first, $last) = split /\n/, $out;
	my $errors = () = $err =~ /ERROR:/g;
	return ($first, $last, $errors);
}

sub does_not_grow
{
	my ($calls, $failing, $name, @statements) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($first, $last, $errors) = bytes($calls, @statements);
	is( $errors,
		$failing ? $calls + $warm_up : 0,
		"$name: " . ($failing ? 'all fail' : 'none fails'));

	# A cache may take one more block when it happens to be rebuilt: no more than that.
	cmp_ok($last - $first, '<', 32_768, 'the memory does not grow')
	  or diag("from $first to $last in $calls calls");
	return;
}

does_not_grow(
	$many,
	0,
	"$many calls that do nothing",
	'SELECT procrastinate_upgrade()',
	qq{SELECT procrastinate_upgrade('$NEWEST_RELEASE', 'public')},
	'CALL procrastinate_migrate()',
	'CALL procrastinate_migrate(\'current\')');
does_not_grow(
	$many,
	1,
	"$many calls that fail",
	q{SELECT procrastinate_upgrade('nowhere')},
	q{SELECT procrastinate_upgrade('0099')},
	q{CALL procrastinate_migrate('+99')},
	q{SELECT procrastinate_upgrade(NULL)},
	q{SELECT * FROM procrastinate_history('head:base')},
	q{SELECT procrastinate_stamp('0003')},
	q{SELECT procrastinate_adopt('found')},
	q{SELECT procrastinate_require('0099')},
	q{SELECT procrastinate_upgrade(schema => 'pg_catalog')},
	q{SELECT procrastinate_downgrade('0001')},
	q{SELECT * FROM procrastinate_show(repeat('x', 100000))});
does_not_grow(
	1_000,
	0,
	'calls that read',
	'SELECT * FROM procrastinate_current()',
	'SELECT * FROM procrastinate_history()',
	'SELECT * FROM procrastinate_pending()',
	'SELECT * FROM procrastinate_log()',
	q{SELECT * FROM procrastinate_show('0031')},
	'SELECT * FROM procrastinate_detect()',
	'SELECT * FROM procrastinate_check()',
	'SELECT * FROM procrastinate_repair()',
	q{SELECT procrastinate_sql('base:head')},
	q{SELECT procrastinate_sql('0020:head')});

# Within one statement and one transaction, where nothing is freed in between by the server itself.
is( $node->safe_psql($database,
		<<'SQL'), 't', 'the memory does not grow in one statement that catches errors');
SET client_min_messages = error;
CREATE FUNCTION grown(calls int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	i int;
	bytes bigint;
	measured bigint[];
BEGIN
	FOR i IN 1 .. calls LOOP
		-- The first measurement costs memory of its own.
		IF i IN (50, 100, calls) THEN
			SELECT sum(total_bytes) INTO bytes FROM pg_backend_memory_contexts;
			measured := measured || bytes;
		END IF;
		PERFORM procrastinate_upgrade();
		PERFORM count(*) FROM procrastinate_history();
		BEGIN
			PERFORM procrastinate_upgrade('nowhere');
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
		BEGIN
			PERFORM procrastinate_upgrade('0003');
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	RETURN measured[3] - measured[2];
END $$;
SELECT grown(3000) < 32768;
SQL

# Upgrades that fail in the middle, or are cancelled, in one session.
$node->safe_psql($database, <<'SQL');
CREATE SCHEMA broken;
SET client_min_messages = error;
SELECT procrastinate_upgrade('0006', 'broken');
CREATE INDEX procrastinate_jobs_queueing_lock_idx ON broken.procrastinate_jobs (id);
CREATE SCHEMA cancelled;
SQL
does_not_grow(
	300, 1,
	'upgrades that fail in the middle',
	q{SELECT procrastinate_upgrade('0020', 'broken')});
{
	my $session = new_session($node, $database, 'public');
	my $afresh = 'DROP SCHEMA cancelled CASCADE; CREATE SCHEMA cancelled';
	# What the server itself keeps of objects that come and go is left out.
	my $in_cache =
	  $node->pg_version < 18
	  ? q{parent IS NOT DISTINCT FROM 'CacheMemoryContext'}
	  : q{path[level - 1] = (SELECT path[level] FROM context WHERE name = 'CacheMemoryContext')};
	my $kept = q{WITH context AS MATERIALIZED (SELECT * FROM pg_backend_memory_contexts)}
	  . q{ SELECT sum(total_bytes) FROM context WHERE name NOT IN ('CacheMemoryContext',}
	  . q{ 'Operator lookup cache', 'Sequence values', 'PL/pgSQL function',}
	  . qq{ 'PL/pgSQL function hash') AND ($in_cache) IS NOT TRUE;};
	# Whole ones first, which fill the server's caches.
	$session->query(qq{SELECT procrastinate_upgrade('head', 'cancelled'); $afresh}) foreach 1 .. 5;
	# Then each is cancelled at another command: an event trigger counts them.
	$session->query(<<'SQL');
CREATE SEQUENCE public.commands;
CREATE FUNCTION public.cancel() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('public.commands') = current_setting('cancel.at')::bigint THEN
		PERFORM pg_cancel_backend(pg_backend_pid());
	END IF;
END $$;
CREATE EVENT TRIGGER cancel ON ddl_command_end EXECUTE FUNCTION public.cancel();
SQL
	my %outcomes;
	my @bytes;
	foreach my $i (1 .. 150)
	{
		my $outcome = $session->refusal("SET cancel.at = @{[ 1 + $i % 30 ]};"
			  . q{ SELECT setval('public.commands', 1, false);}
			  . q{ SELECT procrastinate_upgrade('head', 'cancelled')});
		$outcomes{$outcome}++;
		push @bytes, $session->query($kept) if $i == 50 or $i == 150;
	}
	is_deeply(
		\%outcomes,
		{ '57014: canceling statement due to user request' => 150 },
		'150 upgrades are cancelled, at 30 different commands');
	cmp_ok($bytes[1] - $bytes[0], '<', 65536, 'the memory does not grow');
	$session->query(
		'DROP EVENT TRIGGER cancel; DROP FUNCTION public.cancel(); DROP SEQUENCE commands');
	is( $session->query(
			q{SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'}
		),
		'0',
		'no lock is left');
	$session->close;
}

$node->stop;
done_testing();
