# One script at each start of a container, whatever the database is: nothing, an installation, or
# Procrastinate's tables without a history. Run ten times at once, and ten times in a row.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'container');
my $database = new_database($node);
my $times    = 10;

# What another tool has made: the tables of a revision, and no history.
sub tables_without_history
{
	my ($revision, $schema) = @_;
	upgrade($node, $database, $revision, $schema);
	$node->safe_psql($database, "DROP TABLE $schema.procrastinate_schema_history");
	return;
}

my %starts = (
	nothing          => sub { $node->safe_psql($database, "CREATE SCHEMA $_[0]") },
	an_installation  => sub { upgrade($node, $database, 26, $_[0]) },
	head             => sub { upgrade($node, $database, $HEAD, $_[0]) },
	foreign_0026     => sub { tables_without_history(26, $_[0]) },
	foreign_head     => sub { tables_without_history($HEAD, $_[0]) },);
my %calls = (
	upgrade => q{CALL procrastinate_migrate('0028'); SELECT procrastinate_upgrade('head');},
	migrate => q{CALL procrastinate_migrate('head', retry_for => '1 h');});

foreach my $start (sort keys %starts)
{
	foreach my $call (sort keys %calls)
	{
		foreach my $way (qw(at_once in_a_row))
		{
			my $schema = "${start}_${call}_$way";
			$starts{$start}->($schema);
			my @errors = $way eq 'at_once' ? at_once($schema, $calls{$call}) :
			  map { at_once($schema, $calls{$call}, 1) } 1 .. $times;
			is(join('', @errors), '', "$start, $call, $way: no call fails");
			is(is_as_recorded($node, $database, $schema, "$start, $call, $way: the catalog"),
				$HEAD, 'is that of head');
			is( $node->safe_psql(
					$database, "SELECT count(*) - count(DISTINCT to_revision) FROM"
					  . " $schema.procrastinate_schema_history WHERE event !~ '^step '"
				),
				'0',
				'each revision is recorded once');
			$node->safe_psql($database, "DROP SCHEMA $schema CASCADE");
		}
	}
}
adopts_by_itself();
readers();
refuses_what_is_not_exact();
done_testing();

# Runs the calls in several sessions at once; the errors.
sub at_once
{
	my ($schema, $calls, $number) = @_;
	my @runs = map {
		my ($out, $err) = ('', '');
		my $run = IPC::Run::start(
			[   $node->installed_command('psql'), '-XqAt',
				'-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ],
			'<', \"SET client_min_messages = error; SET search_path = $schema, public; $calls",
			'>', \$out, '2>', \$err);
		[ $run, \$err ];
	} 1 .. $number // $times;
	return map { $_->[0]->finish; ${ $_->[1] } } @runs;
}

sub adopts_by_itself
{
	tables_without_history(26, 'adopted');
	my ($out, $err);
	$node->psql($database, q{SELECT procrastinate_upgrade('0027', 'adopted')},
		stdout => \$out, stderr => \$err);
	is($out, '0027', 'an upgrade of tables without a history');
	like(
		$err,
		qr/NOTICE:\ \ schema\ "adopted"\ has\ no\ history;\ its\ catalog\ is\ that\ of\ 0026,
			\ which\ is\ recorded\ now\n.*0026\ ->\ 0027/sx,
		'says how it knows the revision');
	is( $node->safe_psql(
			$database, q{SELECT string_agg(event || ' ' || to_revision, ', ' ORDER BY id)}
			  . q{ FROM procrastinate_log('adopted')}
		),
		'adopt 0026, upgrade 0027',
		'and records it');
	tables_without_history(26, 'tried');
	$node->safe_psql($database, q{SELECT procrastinate_upgrade('0027', 'tried', dry_run => true)});
	is($node->safe_psql($database, q{SELECT to_regclass('tried.procrastinate_schema_history')}),
		'', 'a dry run records nothing');
	$node->safe_psql($database, 'CREATE SCHEMA empty');
	is($node->safe_psql($database, q{SELECT procrastinate_adopt('empty')}),
		'base', 'nothing is adopted as base');
	is( $node->safe_psql(
			$database, q{SELECT count(*) FROM pg_class WHERE relnamespace = 'empty'::regnamespace}),
		'0',
		'which is not recorded');
	$node->safe_psql($database, 'DROP SCHEMA adopted, tried, empty CASCADE');
	return;
}

# What only reads tells the catalog's revision, too.
sub readers
{
	tables_without_history(30, 'found');
	my $notice = qr/NOTICE:  schema "found" has no history; its catalog is that of 0030/;
	my %results = (
		q{SELECT revision, source FROM procrastinate_current('found')}         => '0030|catalog',
		q{SELECT min(revision) FROM procrastinate_pending(schema => 'found')}  => '0031',
		q{SELECT min(revision) FROM procrastinate_plan(schema => 'found')}     => '0031',
		q{SELECT revision, supported FROM procrastinate_supports('2.15.1', 'found')} => '0030|t',
		q{SELECT min(revision) FROM procrastinate_route('2.15.1', '3.0.0', 'found')} => '0030',
		q{SELECT count(*) FROM procrastinate_history(schema => 'found') WHERE is_applied} => '30',);
	foreach my $query (sort keys %results)
	{
		my ($out, $err);
		$node->psql($database, $query, stdout => \$out, stderr => \$err);
		is($out, $results{$query}, $query);
		like($err, $notice, 'says how it knows the revision');
	}
	is($node->psql($database, q{CALL procrastinate_wait('0030', '10 s', 'found')}),
		0, 'a wait for it ends');
	is( $node->safe_psql(
			$database, q{BEGIN; SELECT revision FROM procrastinate_current('found');}
			  . q{ SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation}
			  . q{ WHERE relname ~ '^procrastinate_jobs'; COMMIT}
		),
		"0030\n0",
		'no lock is kept');
	$node->safe_psql($database, 'DROP SCHEMA found CASCADE');
	return;
}

sub refuses_what_is_not_exact
{
	tables_without_history(30, 'inexact');
	$node->safe_psql($database, 'DROP INDEX inexact.procrastinate_jobs_id_lock_idx');
	foreach my $call (q{SELECT procrastinate_upgrade('head', 'inexact')},
		q{CALL procrastinate_migrate('head', 'inexact')})
	{
		my ($out, $err);
		$node->psql($database, $call, stdout => \$out, stderr => \$err);
		like(
			$err,
			qr/ERROR:\ \ schema\ "inexact"\ matches\ no\ revision\ exactly\n
				DETAIL:\ \ The\ nearest\ is\ 0030,\ with\ 1\ difference:\n
				Index\ procrastinate_jobs_id_lock_idx\ is\ missing\./x,
			"refused with the differences: $call");
	}
	is($node->safe_psql($database, q{SELECT to_regclass('inexact.procrastinate_schema_history')}),
		'', 'nothing is recorded');
	return;
}
