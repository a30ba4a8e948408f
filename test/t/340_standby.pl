# On a hot standby and in a read-only transaction all reading functions work, and all changing
# functions fail with 25006.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $primary = start_server(name => 'primary', init => [ allows_streaming => 1 ]);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $database = new_database($primary);
upgrade($primary, $database, '0030');

# Another installation, whose migration is under way.
upgrade($primary, $database, 23, 'midway');
my ($reader, $caller) = map { user_session($primary, $database, 'midway') } 1 .. 2;
$reader->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
$caller->send(q{CALL procrastinate_migrate('0024')});
cancelled_after($primary, $database, $caller, 'midway', '0024.5');
$_->close foreach $reader, $caller;

sub catch_up
{
	return $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
}

# The first value of a query, or SQLSTATE and message of its error.
sub outcome
{
	my ($node, $sql) = @_;
	my ($status, $out, $err) =
	  $node->psql($database, "\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$sql");
	return $out if $status == 0;
	my ($error) = $err =~ /(?:ERROR|FATAL):  (.*)/;
	return $error;
}

my %reads = (
	'SELECT revision, is_head, source FROM procrastinate_current()'   => '0030|f|upgrade',
	'SELECT count(*), count(applied_at) FROM procrastinate_history()' => "$HEAD|30",
	'SELECT count(*), min(revision) FROM procrastinate_pending()'     => ($HEAD - 30) . '|0031',
	'SELECT revision, is_applied FROM procrastinate_heads()'          => "$HEAD_NAME|f",
	q{SELECT revision, is_current, length(sha256) = 64 FROM procrastinate_show('0030')}
	  => '0030|t|t',
	q{SELECT length(procrastinate_migration_sql('3.1.0')) > 0}  => 't',
	q{SELECT procrastinate_sql('current:head') ~ 'COMMIT;\n.endif\s*$'} => 't',
	q{SELECT count(*), max(to_revision) FROM procrastinate_log() WHERE from_revision <> 'base'} =>
	  '29|0030',
	'SELECT * FROM procrastinate_detect()'                   => '0030|t|0|0|0',
	'SELECT count(*) FROM procrastinate_check()'             => '0',
	q{SELECT count(*) > 20 FROM procrastinate_check('head')} => 't',
	'SELECT count(*) FROM procrastinate_repair()'            => '0',
	'SELECT min(revision), max(revision), count(DISTINCT revision) FROM procrastinate_plan()' =>
	  "0031|$HEAD_NAME|" . ($HEAD - 30),
	q{SELECT string_agg(revision || '.' || step, ' ') FROM procrastinate_plan('0024', 'midway')} =>
	  '0024.6 0024.7 0024.8 0024.9',
	q{SELECT count(*) FROM procrastinate_plan('0029')} => '0',
	q{SELECT procrastinate_require('0030')} => '0030',
	q{SELECT supported FROM procrastinate_supports('3.0.0')} => 't',
	q{SELECT count(*) > 1 FROM procrastinate_route('2.15.1', '3.1.0')} => 't',
	q{SELECT revision FROM procrastinate_releases() WHERE release = '3.0.0'} => '0031',
	q{SELECT length(procrastinate_check_sql()) > 0} => 't',
	q{SELECT count(*) FROM procrastinate_history_details()} => "$HEAD",
	q{SELECT count(*) FROM procrastinate_plan_details('0029')} => '0',
	q{SELECT revision FROM procrastinate_installations WHERE schema = 'public'::regnamespace} =>
	  '0030',
	q{SELECT procrastinate_require_all('0024', schemas => '{nothing}')} =>
	  'PM015: no installation that you may change fits the argument "schemas"',
	'SELECT schema, revision, step, steps, kind, title, since IS NOT NULL, done, total FROM'
	  . ' procrastinate_under_way()'
	  =>
	  'midway|0024|6|9|brief|add the foreign key|t||',
	'SELECT schema, revision, step, steps, kind, title, pid, since IS NOT NULL, phase, done,'
	  . ' "left", waiting_for FROM procrastinate_progress'
	  =>
	  'midway|0024|6|9|brief|add the foreign key||t||||',
	q{SELECT count(*) FROM procrastinate_current('pg_catalog')}      => '0',
	q{SELECT count(*) FROM procrastinate_check(schema => 'pg_catalog')} =>
	  '0A000: schema "pg_catalog" cannot hold an installation of Procrastinate',
	q{SELECT * FROM procrastinate_show('nowhere')} =>
	  q{PM001: Can't locate revision identified by 'nowhere'},);
my %changes = (
	'SELECT procrastinate_upgrade()'                       => 'procrastinate_upgrade()',
	q{SELECT procrastinate_upgrade('current')}             => 'procrastinate_upgrade()',
	'CALL procrastinate_migrate()'                         => 'procrastinate_migrate()',
	'CALL procrastinate_migrate_all()'                     => 'procrastinate_migrate_all()',
	q{SELECT procrastinate_stamp('0031', verify => false)} => 'procrastinate_stamp()',
	'SELECT procrastinate_adopt()'                         => 'procrastinate_adopt()',
	'SELECT procrastinate_repair(dry_run => false)'        => 'procrastinate_repair()',);

my @places = (
	[ $standby, '',        '',         'on a standby' ],
	[ $standby, 'BEGIN; ', '; COMMIT', 'in a transaction on a standby' ],
	[   $standby,   'BEGIN ISOLATION LEVEL REPEATABLE READ; ',
		'; COMMIT', 'in a repeatable read on a standby' ],
	[ $primary, 'BEGIN READ ONLY; ', '; COMMIT', 'in a read-only transaction' ],
	[   $primary,   'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; ',
		'; COMMIT', 'in a serializable one' ],
	[   $primary, 'SET default_transaction_read_only = on; ', '',
		'where transactions are read-only' ],);

catch_up();
foreach my $place (@places)
{
	my ($node, $before, $after, $where) = @$place;
	is(outcome($node, "$before$_$after"), $reads{$_}, "works $where: $_") foreach sort keys %reads;
	foreach my $call (sort keys %changes)
	{
		my $expected =
		  qr/^25006: cannot execute \Q$changes{$call}\E in a read-only transaction$/;
		next if $call =~ /^CALL/ and $before =~ /BEGIN/;
		like(outcome($node, "$before$call$after"), $expected, "is refused $where: $call");
	}
	is( outcome($node, "${before}SELECT procrastinate_downgrade('base')$after"),
		'0A000: downgrade is not supported',
		"there is no downgrade $where");
}
is( outcome($standby, 'BEGIN; CALL procrastinate_migrate(); COMMIT'),
	'25001: procrastinate_migrate() cannot run inside a transaction block',
	'the procedure is refused for the transaction block first');
is( outcome($primary, 'SELECT revision FROM procrastinate_current()'),
	'0030', 'nothing has changed');

# A standby has no rows of an unlogged table.
$primary->safe_psql($database, <<"SQL");
CREATE SCHEMA unlogged;
CREATE UNLOGGED TABLE unlogged.procrastinate_schema_history ($HISTORY_COLUMNS, $HISTORY_KEY);
SQL
catch_up();
is( outcome($standby, 'SELECT string_agg(schema::text, \' \') FROM procrastinate_under_way()'),
	'midway', 'an unlogged table of the history\'s name hides no installation');
like(outcome($standby, q{SELECT * FROM procrastinate_current('unlogged')}),
	qr/^PM010: /, 'and is no history there');

# What the primary does, the standby sees: also a session that has looked before.
my $session = $standby->background_psql($database);
is( $session->query_safe('SELECT revision FROM procrastinate_current()'),
	'0030', 'a session on the standby');
upgrade($primary, $database, 'head');
catch_up();
is( $session->query_safe('SELECT revision, is_head FROM procrastinate_current()'),
	"$HEAD_NAME|t", 'a session on the standby sees that the primary is at head');
is( $session->query_safe('SELECT count(*) FROM procrastinate_pending()'),
	'0', 'a session on the standby sees that nothing is pending');
is_at($standby, $database, 'public', $HEAD, 'the catalog on the standby is that of head');
$primary->safe_psql($database, 'CREATE SCHEMA other');
upgrade($primary, $database, '0003', 'other');
catch_up();
is( $session->query_safe(q{SELECT revision FROM procrastinate_current('other')}),
	'0003', 'the standby has the second installation');
$session->quit;

# A standby that takes over goes on from there.
$primary->stop;
$standby->promote;
is( outcome($standby, q{SELECT procrastinate_upgrade('0005', 'other')}),
	'0005', 'a promoted standby can be upgraded');
is_at($standby, $database, 'other', 5, 'the catalog of the promoted standby is that of head');

$standby->stop;
done_testing();
