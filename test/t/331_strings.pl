# 250,000 random and hostile strings as target, range, release and schema: each gives the expected
# SQLSTATE or the revision that the grammar says. The server survives, and nothing changes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'strings');
my $database = new_database($node);
upgrade($node, $database, '0030');
my $each = 50_000;

$node->safe_psql($database, <<'SQL');
CREATE SCHEMA strings;
CREATE TABLE strings.outcomes (what text, sqlstate text, sample text, count bigint);

-- Words of the grammar, halves of them, and what people type who mean no good.
CREATE FUNCTION strings.random_string(kind int) RETURNS text LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
	words CONSTANT text[] := ARRAY['head', 'heads', 'base', 'current', 'pre', '@pre', '+', '-',
		'+1', '-1', '+99', '-99', ':', '::', '0025', '25', '0', '00', '38', '9999', '0038', '3.1.0',
		'v3.1.0', '3.1', 'v', '.', '_', '%', '\', '''', '"', ';', '--', '/*', '*/', '$$', '$1',
		'%s', '%n', '%d', E'\n', E'\r', E'\t', ' ', E'\x01', E'\x7f', 'procrastinate_', '0031',
		'.sql', '03.01.00_01_pre_add_heartbeat', '03.01.00_', '00.05.00_0', '2147483648',
		'-2147483649',
		'9223372036854775808', '99999999999999999999999', U&'\00E9', U&'\8C61', U&'\+01F418',
		U&'\0663', U&'\FF13', 'NULL', '', 'pg_catalog', 'pg_temp', 'public', '"public"',
		'information_schema', ' OR 1=1', '); DROP TABLE procrastinate_jobs; --', '0x1F', '1e9',
		'inf', 'nan', '+-', '-+', repeat('9', 40), repeat('x', 130), '~', '^', '@', '#', '1_000'];
	result text := '';
BEGIN
	IF kind < 6 THEN -- some words
		FOR i IN 0 .. (random() * 3)::int LOOP
			result := result || words[1 + floor(random() * array_length(words, 1))];
		END LOOP;
	ELSIF kind < 8 THEN -- some characters of ASCII
		FOR i IN 1 .. (random() * 12)::int LOOP
			result := result || chr(1 + (random() * 126)::int);
		END LOOP;
	ELSIF kind = 8 THEN -- some of all characters, often enough to be cut in the middle
		FOR i IN 1 .. (random() * 60)::int LOOP
			result := result || chr(CASE WHEN random() < 0.3 THEN 128 + (random() * 1900)::int
				WHEN random() < 0.5 THEN 8000 + (random() * 40000)::int
				ELSE 65536 + (random() * 100000)::int END);
		END LOOP;
	ELSIF random() < 0.05 THEN -- long ones
		result := repeat(chr(33 + (random() * 90)::int), (random() * 100000)::int);
	ELSE
		result := repeat(chr(33 + (random() * 90)::int), 60 + (random() * 80)::int);
	END IF;
	RETURN result;
END $body$;

-- What the grammar admits, in the words of a regular expression.
CREATE FUNCTION strings.is_target(target text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT octet_length(target) BETWEEN 1 AND 128 AND target COLLATE "C" ~ (
		'\A(?:heads?|base|current|pre|[0-9]+|v?[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:@pre)?'
		|| '|procrastinate_[0-9]{4}|[0-9]{2}\.[0-9.]*_[0-9a-z_]*(?:\.s?q?l?)?|)(?:[+-][0-9]+)?\Z')
$$;
CREATE FUNCTION strings.is_range(range text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT octet_length(range) <= 128 AND length(range) - length(replace(range, ':', '')) = 1
		AND (split_part(range, ':', 1) = '' OR strings.is_target(split_part(range, ':', 1)))
		AND (split_part(range, ':', 2) = '' OR strings.is_target(split_part(range, ':', 2)))
$$;
SQL

sub state_of
{
	return $node->safe_psql($database, <<'SQL');
SELECT c.oid, c.relname, c.xmin FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE nspname NOT IN ('pg_catalog', 'pg_toast', 'strings') ORDER BY 1;
SELECT * FROM procrastinate_log();
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1;
SQL
}

# Tries the calls, with `string` in them, and asserts that their outcomes are among the expected.
# What succeeds must be right by the verdict, and is rolled back. Returns how many were right.
sub try
{
	my ($what, $string, $calls, $verdict, @expected) = @_;
	my $seed     = length($what) / 100;
	my $number   = @$calls;
	my $branches = join '', map { "\t\t\tWHEN $_ THEN PERFORM $calls->[$_];\n" } 0 .. $#$calls;
	my $started  = time;
	$node->safe_psql($database, <<"SQL");
SET client_min_messages = error;
CREATE FUNCTION pg_temp.try() RETURNS void LANGUAGE plpgsql AS \$try\$
DECLARE
	string text;
	state text;
	found jsonb := '{}';
	samples jsonb := '{}';
BEGIN
	PERFORM setseed($seed);
	FOR i IN 1 .. $each LOOP
		string := $string;
		BEGIN
			CASE i % $number
$branches			END CASE;
			RAISE 'succeeded' USING ERRCODE = 'ZZ000';
		EXCEPTION WHEN OTHERS THEN
			state := sqlstate;
		END;
		IF state = 'ZZ000' THEN
			state := CASE WHEN $verdict THEN 'right' ELSE 'wrong' END;
		END IF;
		IF NOT found ? state THEN
			samples := samples || jsonb_build_object(state, left(string, 60));
		END IF;
		found := found || jsonb_build_object(state, coalesce((found ->> state)::bigint, 0) + 1);
	END LOOP;
	INSERT INTO strings.outcomes
	SELECT @{[ lit($what) ]}, key, samples ->> key, value::bigint FROM jsonb_each_text(found);
END \$try\$;
SELECT pg_temp.try();
SQL
	my %found = map { /^(\w+)\|(\d+)$/ } split /\n/,
	  $node->safe_psql(
		$database,
		'SELECT sqlstate, count FROM strings.outcomes WHERE what = ' . lit($what));
	my %expected = map { $_ => 1 } @expected;
	is_deeply(
		[ grep { !$expected{$_} } sort keys %found ],
		[], "$each strings as $what: every outcome is a known one")
	  or diag(
		$node->safe_psql(
			$database, 'SELECT sqlstate, count, sample FROM strings.outcomes ORDER BY 1'));
	note(
		"$what, in ", time - $started, ' s: ', join ', ',
		map { "$_ $found{$_}" } sort keys %found);
	return $found{right};
}

my $before  = state_of();
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $one     = 'strings.random_string(i % 10)';

cmp_ok(
	try('a target',
		$one,
		[   'procrastinate_upgrade(string)',
			'count(*) FROM procrastinate_pending(string)',
			'count(*) FROM procrastinate_show(string)',
			'count(*) FROM procrastinate_check(string)',
			'procrastinate_migration_sql(string)',
			'procrastinate_stamp(string)' ],
		'strings.is_target(string)',
		qw(right PM001 PM002 PM007 PM009)),
	'>', 500,
	'some of the strings are valid');
cmp_ok(
	try('a range',
		"CASE i % 3 WHEN 0 THEN $one WHEN 1 THEN $one || ':' || strings.random_string(i % 6)"
		  . " ELSE (ARRAY['head', '', '0025', '-3', '3.1.0', 'x'])[1 + i / 3 % 6]"
		  . " || ':' || strings.random_string(i % 6) END",
		[ 'count(*) FROM procrastinate_history(string)', 'procrastinate_sql(string)' ],
		'strings.is_range(string)',
		qw(right PM001 PM003)),
	'>', 500,
	'some of the strings are valid');

try('a release',
	$one,
	[   'count(*) FROM procrastinate_supports(string)',
		q{count(*) FROM procrastinate_route(string, '3.9.0')},
		q{count(*) FROM procrastinate_route('2.15.1', string)} ],
	q{string ~ '^v?3\.1(?:\.[0-9]+)?$'},
	qw(right PM001 PM011));

# A name that is none of a schema is refused by the server before we see it; a number is an OID, and
# may be that of any schema or of none.
try('a schema',
	$one,
	[   'count(*) FROM procrastinate_current(string::regnamespace)',
		q{procrastinate_upgrade('0030', string::regnamespace)},
		'count(*) FROM procrastinate_log(string::regnamespace)',
		'count(*) FROM procrastinate_detect(string::regnamespace)' ],
	q{btrim(string, E' \n\r\t') IN ('public', '"public"', 'information_schema', 'pg_catalog')}
	  . q{ OR string ~ '^-?\d*$'},
	qw(right 3F000 42602 22023 22P02 22003 0A000 42501));
try('anything and the OID of a schema or of none',
	$one,
	[   'count(*) FROM procrastinate_history(range => string,'
		  . ' schema => (random() * 4294967295)::bigint::oid::regnamespace)',
		'procrastinate_upgrade(string, (random() * 70000)::int::oid::regnamespace)',
		'procrastinate_downgrade(string, (random() * 70000)::int::oid::regnamespace)' ],
	'strings.is_target(string)',
	qw(right 3F000 0A000 PM001 PM002 PM003 PM007));

is(state_of(), $before, 'none of the calls has changed anything');
is( $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'),
	$started, 'no process was restarted');
is_at($node, $database, 'public', 30, 'the schema is at the same revision');

$node->stop;
done_testing();
