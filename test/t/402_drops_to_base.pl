# procrastinate_check('base') lists the DROPs of an installation in an order that works, and
# procrastinate_repair() refuses to run them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server();
my $database = new_database($node);
my $schema   = $ODD_SCHEMA;
my $session  = user_session($node, $database, $schema);

sub drops
{
	return $session->query(
		q{SELECT string_agg(repair, E'\n') FROM procrastinate_check('base')});
}

sub objects
{
	return $session->query(<<"SQL");
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid)
       + (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid)
       + (SELECT count(*) FROM pg_type WHERE typnamespace = n.oid)
  FROM pg_namespace n WHERE nspname = ${\lit($schema)}
SQL
}

$session->query('CREATE SCHEMA ' . name($schema));
is(drops(), 'NULL', 'nothing is to be dropped in an empty schema');
foreach my $revision (1 .. $HEAD)
{
	upgrade($node, $database, $revision, $schema);
	my $drops = drops();
	unlike($drops, qr/CASCADE/, "$revision: no CASCADE");
	is($session->refusal("BEGIN; $drops"), 'no error', "$revision: the DROPs run in their order");
	is(objects(), '0', "$revision: and leave nothing");
	is($session->query('SELECT count(*) FROM procrastinate_current()'), '0', "$revision: at base");
	is(drops(), 'NULL', "$revision: with nothing left to drop");
	$session->query('ROLLBACK');
}

# ---- Repair -------------------------------------------------------------------------------------

my $drops = drops();
is( $session->query(
		q{SELECT string_agg(repair, E'\n') FROM procrastinate_repair(revision => 'base')}),
	$drops,
	'procrastinate_repair() lists them');
my ($status, undef, $err) = $node->psql($database,
		q{SELECT * FROM procrastinate_repair('base', dry_run => false, schema => }
	  . lit($schema) . ')');
is($status, 3, 'and runs none');
like($err, qr/ERROR:  procrastinate_repair\(\) does not drop the objects of schema "/,
	'it says so');
like($err, qr/^DETAIL:  All jobs would be lost\.$/m, 'and why');
my ($printed) = $err =~ /^HINT:  To drop them yourself:\n((?:DROP .*\n?)+)/m;
is($printed =~ s/\n\z//r, $drops, 'it prints them');
is_at($node, $database, $schema, $HEAD, 'nothing has changed');
is( $session->refusal(q{SELECT procrastinate_repair(dry_run => false, revision => '0030')})
	  =~ s/:.*//sr,
	'PM009',
	'nor does it go to another revision');
is( $session->query(q{SELECT count(*) FROM procrastinate_repair(revision => 'head')}),
	'0', 'the current revision may be named');

# ---- What is the user's -------------------------------------------------------------------------

$session->query(<<'SQL');
CREATE VIEW waiting AS SELECT id FROM procrastinate_jobs;
CREATE FUNCTION procrastinate_finish_job(mine text) RETURNS void LANGUAGE sql AS '';
SQL
is( $session->query(
		q{SELECT string_agg(kind || ' ' || object, ', ' ORDER BY kind) FROM}
		  . q{ procrastinate_check('base') WHERE repair IS NULL}
	),
	q{function procrastinate_finish_job(text), view "odd ""name""".waiting},
	'objects of the user are listed without a DROP');
is( $session->query(
		q{SELECT bool_and(place < 3) FROM procrastinate_check('base') WITH ORDINALITY AS}
		  . q{ c(kind, object, problem, expected, actual, severity, repair, place)}
		  . q{ WHERE repair IS NULL}
	),
	't',
	'before the DROPs, since they may be in the way');
like($session->refusal("BEGIN; $drops"), qr/^2BP01: /, 'a DROP does not take them along');
$session->query('ROLLBACK; DROP VIEW waiting; DROP FUNCTION procrastinate_finish_job(text)');
$session->query(drops());
is(objects(), '0', 'everything is dropped');
is($session->query('SELECT procrastinate_upgrade()'), $HEAD_NAME, 'and can be installed again');
$session->query('DROP TABLE procrastinate_schema_history');
$session->query(drops());
is($session->query('SELECT count(*) FROM procrastinate_current()'), '0',
	'without the history, too');
is(objects(), '0', 'nothing is left');
$session->query(q{SELECT procrastinate_stamp('base')});
is($session->query('SELECT count(*) FROM procrastinate_repair(dry_run => false)'),
	'0', 'a schema that is at base needs no repair');
is( drops(),
	'DROP TABLE ' . name($schema) . '.procrastinate_schema_history;',
	'only its history can be dropped');
$session->close;

done_testing();
