# Drift of functions, at each revision: all bodies with CR LF and another indentation are the same
# bodies. A search_path that finds the schema is the user's matter, one that does not is an error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);
my $schema   = lit($ODD_SCHEMA);

my $path = name($ODD_SCHEMA) . ', pg_temp';

$node->safe_psql($database, <<"SQL");
CREATE SCHEMA ${\name($ODD_SCHEMA)};
CREATE SCHEMA empty;

CREATE VIEW our_function AS
    SELECT p.oid, p.oid::regprocedure AS name, p.prosrc AS body
      FROM pg_proc p
     WHERE p.pronamespace = quote_ident($schema)::regnamespace AND p.proname ~ '^procrastinate_';

-- What detect, check and supports say of the schema at a revision, in one line. A repair shows by
-- its first words, and by the last ones of ALTER FUNCTION.
CREATE FUNCTION verdict(at text) RETURNS text LANGUAGE sql VOLATILE AS \$\$
    SELECT concat_ws(', ', CASE WHEN d.exact THEN d.revision ELSE 'inexact' END,
                     (SELECT string_agg(line, ', ' ORDER BY line)
                        FROM (SELECT concat_ws(' ', count(*), severity, problem, repair) AS line
                                FROM (SELECT severity, problem, CASE
                                             WHEN repair ~ '^ALTER' THEN
                                                  regexp_replace(repair, 'FUNCTION .*\\) ', '')
                                             ELSE substr(repair, 1, 26) END AS repair
                                        FROM procrastinate_check(at, $schema)) c
                               GROUP BY severity, problem, repair) l),
                     'supported: ' || s.supported::text, s.advice)
      FROM (SELECT * FROM procrastinate_detect($schema) LIMIT 1) d
      LEFT JOIN (SELECT release FROM procrastinate_releases()
                  WHERE at BETWEEN works_from AND works_to LIMIT 1) r ON true
      LEFT JOIN procrastinate_supports(r.release, $schema) s ON true
\$\$;

CREATE PROCEDURE for_each(action text) LANGUAGE plpgsql AS \$\$
DECLARE
    function text;
BEGIN
    FOR function IN SELECT name FROM our_function LOOP
        EXECUTE format('ALTER FUNCTION %s %s', function, action);
    END LOOP;
END \$\$;
SQL

my $reformat =
  q{UPDATE pg_proc p SET prosrc = E'\r\n \r\n\t' || replace(o.body, E'\n', E' \t\r\n   ')}
  . q{ || E'\r\n\r\n' FROM our_function o WHERE o.oid = p.oid;};
my $change = q{UPDATE pg_proc p SET prosrc = o.body || E'\n-- mine' FROM our_function o}
  . q{ WHERE o.oid = p.oid;};
my $bodies = q{SELECT md5(string_agg(name || body, ' ' ORDER BY name::text)) FROM our_function;};
my $repair = "SELECT count(*) FROM procrastinate_repair(schema => $schema, dry_run => false);";

my $count = 0;
foreach my $revision (1 .. $HEAD)
{
	my $at = revision_name($revision);
	upgrade($node, $database, $revision, $ODD_SCHEMA);
	my $verdict = "SELECT verdict('$at');";
	my ($functions, $is_supported) = split /\|/,
	  $node->safe_psql($database, <<"SQL");
SELECT (SELECT count(*) FROM our_function),
       EXISTS (SELECT FROM procrastinate_releases() WHERE '$at' BETWEEN works_from AND works_to)
SQL
	$count += $functions;
	my ($yes, $no) = map { $is_supported eq 't' ? ", supported: $_" : '' } qw(true false);
	$no .=
	  ", $functions differences break Procrastinate."
	  . ' To repair: SELECT * FROM public.procrastinate_repair('
	  . "schema => $schema, dry_run => false);"
	  if $no;

	# Runs statements and returns their results. Nothing stays.
	my $results = sub {
		return [ split /\n/, $node->safe_psql($database, join ' ', 'BEGIN;', @_, 'ROLLBACK;') ];
	};
	my ($original) = @{ $results->($bodies) };

	is_deeply($results->($reformat, $verdict), ["$at$yes"], "$at: white space makes no other body");
	is_deeply(
		$results->($reformat, $change, $verdict, $repair, $verdict, $bodies),
		[
			"inexact, $functions error altered CREATE OR REPLACE FUNCTION$no", $functions,
			"$at$yes", $original
		],
		'a change in it is found and repaired');
	is_deeply(
		$results->(
			"DROP TABLE ${\name($ODD_SCHEMA)}.procrastinate_schema_history;",
			$reformat, "CALL for_each(${\lit(qq{SET search_path = empty, $path})});",
			$verdict, "SELECT procrastinate_adopt($schema);"),
		[ "$at, $functions info altered$yes", $at ],
		'a search_path that finds the schema is info, and can be adopted');

	is_deeply(
		$results->("CALL for_each('SET search_path = ''''');", $verdict, $repair, $verdict),
		[ "inexact, $functions error altered ALTER RESET search_path;$no", $functions, "$at$yes" ],
		'a search_path that does not is an error, and is repaired');
}
cmp_ok($count, '>', 400, 'functions were changed');

$node->stop;
done_testing();
