# The functions do the same over the simple and the extended protocol, prepared or not; and the
# notices that a client gets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'drivers');
my $database = new_database($node);
my $files    = 0;

sub written
{
	my ($text) = @_;
	my $path = "$PostgreSQL::Test::Utils::tmp_check/driver_" . ++$files;
	open(my $file, '>', $path) or die "cannot write $path: $!";
	print $file $text;
	close $file;
	return $path;
}

sub run_program
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(\@command, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub revision
{
	my ($schema) = @_;
	return $node->safe_psql(
		$database,
		'SELECT revision FROM procrastinate_current(' . lit($schema) . ')');
}

# ---- What a client is told ----------------------------------------------------------------------

sub told
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql($database, $sql);
	$err =~ s/^psql:<stdin>:\d+: //mg;
	return [ split /\n/, $err =~ s/took [0-9]+(?:\.[0-9]+)? ms$/took N ms/mgr ];
}

$node->safe_psql($database, 'CREATE SCHEMA told; CREATE SCHEMA told_at_once');
same_lines(
	told(q{SELECT procrastinate_upgrade('0002', 'told')}),
	[   'NOTICE:  Running upgrade -> 0001, Migration: Initial',
		'NOTICE:  0001 took N ms',
		'NOTICE:  Running upgrade 0001 -> 0002, Migration: Drop Started At Column',
		'NOTICE:  0002 took N ms', ],
	'a NOTICE names each migration and its duration');
same_lines(
	told(q{SELECT procrastinate_upgrade('0002', 'told')}),
	['NOTICE:  schema "told" is at 0002 already: nothing to do'],
	'one NOTICE says that there is nothing to do');
same_lines(
	told(q{CALL procrastinate_migrate('0003', 'told')}),
	[   'NOTICE:  Running upgrade 0002 -> 0003, Migration: Drop Started At Column',
		'NOTICE:  step 0003.1 of 3: install the fetch barrier',
		'NOTICE:  step 0003.2 of 3: drop the column',
		'NOTICE:  step 0003.3 of 3: remove the fetch barrier',
		'NOTICE:  0003 took N ms', ],
	'the NOTICEs of the procedure include its steps');
same_lines(
	told(q{SELECT procrastinate_upgrade(schema => 'told_at_once')}),
	[   "NOTICE:  Installing $HEAD_NAME (head) directly, instead of $HEAD migrations",
		"NOTICE:  $HEAD_NAME took N ms", ],
	'an installation at head has NOTICEs of its own');
same_lines(
	told(q{CALL procrastinate_migrate(schema => 'told_at_once')}),
	[qq{NOTICE:  schema "told_at_once" is at $HEAD_NAME (head) already: nothing to do}],
	'one NOTICE says that the schema is at head');
$node->safe_psql($database, q{CALL procrastinate_migrate('0030', 'told')});
my $told = told(q{CALL procrastinate_migrate('0031', 'told')});
is( $told->[0],
	'NOTICE:  Running upgrade 0030 -> 0031, Migration: Post Cancel Notification',
	'a NOTICE shows the title of a migration');
is($told->[-1], 'NOTICE:  0031 took N ms', 'a NOTICE shows the duration of a migration');
$node->safe_psql($database, 'CREATE SCHEMA chain');
$told = told(q{SELECT procrastinate_upgrade('0037', 'chain')});
is_deeply(
	[ grep { $_ !~ /^NOTICE:  (?:Running upgrade .*|\d{4} took N ms)$/ } @$told ],
	[], 'a run of the whole chain has NOTICEs of its migrations and no others');
is(scalar(@$told), 74, 'two notices for each of 37');

# ---- pgbench: simple, extended and prepared -----------------------------------------------------

foreach my $mode (qw(simple extended prepared))
{
	my $schema = "bench_$mode";
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	my $script = written(<<"SQL");
\\set target 10
SELECT procrastinate_upgrade((:target)::text, '$schema');
CALL procrastinate_migrate('12', '$schema');
SELECT procrastinate_upgrade('0028', '$schema');
CALL procrastinate_migrate('head', '$schema');
SELECT * FROM procrastinate_history(schema => '$schema');
SELECT * FROM procrastinate_pending('head', '$schema');
SELECT * FROM procrastinate_log('$schema');
SELECT * FROM procrastinate_current('$schema');
SELECT procrastinate_sql('0001:', '$schema');
SELECT * FROM procrastinate_detect('$schema');
SELECT * FROM procrastinate_check('head', '$schema');
SELECT procrastinate_stamp('head', schema => '$schema');
SELECT procrastinate_adopt('$schema');
SELECT * FROM procrastinate_repair(schema => '$schema', dry_run => false);
SQL
	my @pgbench = (
		$node->installed_command('pgbench'),
		'-n', '-t', '1', '-M', $mode, '-f', $script, $node->connstr($database));
	my ($status, $out, $err) = run_program(@pgbench);
	is($status,           0,          "pgbench -M $mode runs an upgrade") or diag($err);
	is(revision($schema), $HEAD_NAME, 'the schema is at head');
	is_at($node, $database, $schema, $HEAD, 'the catalog is that of head');
	my $calm = written(
		"SELECT procrastinate_upgrade('head', '$schema');\nSELECT * FROM procrastinate_history();\n"
	);
	($status, $out, $err) = run_program(
		$node->installed_command('pgbench'),
		'-n', '-t', '50', '-c', '2', '-M', $mode, '-f', $calm, $node->connstr($database));
	is($status, 0, 'two clients call the functions repeatedly');
	my $refused = written("SELECT procrastinate_upgrade('nowhere', 'public');\n");
	($status, $out, $err) = run_program(
		$node->installed_command('pgbench'),
		'-n', '-t', '1', '-M', $mode, '-f', $refused, $node->connstr($database));
	like($err, qr/Can't locate revision identified by 'nowhere'/, 'pgbench gets the error');
}

# ---- psql: the extended protocol with parameters, several statements in one string --------------

SKIP:
{
	my ($status, $out) = run_program($node->installed_command('psql'), '--version');
	my ($major) = $out =~ /(\d+)/;
	skip "psql $major has no \\bind", 3 if $major < 16;
	$node->safe_psql($database, 'CREATE SCHEMA bound');
	is( $node->safe_psql(
			$database,
			qq{SELECT procrastinate_upgrade(\$1, \$2) \\bind 0025+1 bound \\g\n}
			  . qq{CALL procrastinate_migrate(\$1, \$2) \\bind head bound \\g}),
		'0026',
		'parameters reach the functions');
	is(revision('bound'), $HEAD_NAME, 'and the procedure');
	($status, $out, my $err) =
	  $node->psql($database, qq{SELECT procrastinate_upgrade(\$1, 'bound') \\bind 'no''where' \\g});
	like($err, qr/identified by 'no'where'/, 'parameters may contain quotes');
}

$node->safe_psql($database, 'CREATE SCHEMA strings');
my ($status, $out, $err) = run_program(
	$node->installed_command('psql'),
	'-XAtq',
	'-d',
	$node->connstr($database),
	'-c',
	q{SET client_min_messages = error; SELECT procrastinate_upgrade('0010', 'strings');}
	  . q{ SELECT procrastinate_upgrade('+2', 'strings');}
	  . q{ SELECT revision FROM procrastinate_current('strings')}
);
is( "$status$out$err", "00010\n0012\n0012\n",
	'several statements of one string are one transaction');
$node->safe_psql($database, 'DROP SCHEMA strings CASCADE; CREATE SCHEMA strings');
($status, $out, $err) = run_program(
	$node->installed_command('psql'),
	'-XAtq',
	'-v',
	'VERBOSITY=sqlstate',
	'-d',
	$node->connstr($database),
	'-c',
	q{SET client_min_messages = error; SELECT procrastinate_upgrade('0028', 'strings');}
	  . q{ SELECT procrastinate_upgrade('head', 'strings')});
like(
	"$out$err",
	qr/^0028\n(?:$HEAD_NAME|ERROR:  PM007)$/,
	'labels that the same transaction has added are no surprise: it works, or is refused beforehand'
);
($status, $out, $err) = run_program(
	$node->installed_command('psql'),
	'-XAtq', '-d', $node->connstr($database),
	'-c',    q{SELECT 1; CALL procrastinate_migrate('head', 'strings')});
like(
	$err,
	qr/procrastinate_migrate\(\) cannot run inside a transaction block/,
	'the procedure is refused in a string of several statements');
($status, $out, $err) = run_program(
	$node->installed_command('psql'),
	'-XAtq', '-d', $node->connstr($database),
	'-c',    q{CALL procrastinate_migrate('head', 'strings')});
is($status, 0, 'the procedure is not refused alone in its string');

# Values that a driver prepares once and reuses, also after the schema changed under them.
$node->safe_psql($database, 'CREATE SCHEMA prepared');
is( $node->safe_psql(
		$database,
		<<'SQL'), "0001\n0002|f\n0003\n0003|f\n$HEAD_NAME|t", 'prepared statements are reused');
SET client_min_messages = error;
PREPARE up(text) AS SELECT procrastinate_upgrade($1, 'prepared');
PREPARE now AS SELECT revision, is_head FROM procrastinate_current('prepared');
EXECUTE up('0001');
\o /dev/null
EXECUTE up('0002');
\o
EXECUTE now;
EXECUTE up('+1');
EXECUTE now;
CALL procrastinate_migrate(schema => 'prepared');
EXECUTE now;
SQL
is( $node->safe_psql(
		$database,
		q{BEGIN; DECLARE c CURSOR FOR SELECT revision FROM procrastinate_history('0001:0003');}
		  . q{ FETCH 1 FROM c;}
		  . q{ FETCH ALL FROM c; COMMIT}),
	"0003\n0002\n0001",
	'rows are fetched through a cursor');

# ---- Encodings of the server --------------------------------------------------------------------

foreach my $encoding ('LATIN1', 'SQL_ASCII', 'EUC_JP')
{
	my $coded = lc "coded_$encoding";
	$node->safe_psql(
		'postgres',
		"CREATE DATABASE $coded TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'");
	$node->safe_psql($coded, 'CREATE EXTENSION procrastinate_migrate');
	is( $node->safe_psql(
			$coded, q{SET client_min_messages = warning; CREATE SCHEMA s;}
			  . q{ SELECT procrastinate_upgrade('0026', 's'); CALL procrastinate_migrate('head',}
			    . q{ 's');}
			  . q{ SELECT procrastinate_upgrade('head', 'public')}),
		"0026\n$HEAD_NAME",
		"a database in $encoding reaches head");
	is_at($node, $coded, $_, $HEAD, "the schema in $_ has the catalog of head")
	  foreach 's', 'public';
	is( $node->safe_psql($coded, "SELECT * FROM procrastinate_detect('$_')"),
		"$HEAD_NAME|t|0|0|0", "the schema in $_ is recorded at head") foreach 's', 'public';
	my ($status, undef, $err) = $node->psql(
		$coded,
		q{SET client_encoding = 'UTF8'; SELECT procrastinate_upgrade(repeat('}
		  . ($encoding eq 'EUC_JP' ? "\xe6\x97\xa5" : "\xc3\xa9") . q{', 100))});
	like(
		$err, qr/ERROR:  Can't locate revision identified by '/,
		"an over-long name of other letters is refused with a message");
}

$node->stop;
done_testing();
