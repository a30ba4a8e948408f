# A migration's file of which someone has run the first statements by hand, without a transaction:
# with a history and without one. The refusal of an upgrade names the repair that completes it, and
# then the upgrade goes on to head. Where a repair cannot complete it none is named.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Facts;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

in_part($_) foreach 32 .. 37;
rows_are_changed();
rest_by_hand();
failing_repair();
nothing_to_complete();
done_testing();

# The statements of a migration's file, without its comments.
sub statements_of
{
	my ($revision) = @_;
	my ($file) = glob repository() . '/src/migrations/' . revision_name($revision) . '_*.sql';
	my ($text, $quote, @statements) = ('', undef);
	foreach my $line (split /^/, slurp($file))
	{
		next if !defined $quote && $line =~ /^--/;
		while ($line =~ /(\$\w*\$)/g)
		{
			$quote = defined $quote ? ($quote eq $1 ? undef : $quote) : $1;
		}
		$text .= $line;
		next if defined $quote || $line !~ /;\s*$/;
		push @statements, $text;
		$text = '';
	}
	return @statements;
}

# A schema at the revision before, in which the first statements have been run.
sub run_first
{
	my ($revision, $count, $history) = @_;
	my $schema     = numbered_schema($revision - 1);
	my @statements = statements_of($revision);
	run_sql("DROP TABLE $schema.procrastinate_schema_history") if !$history;
	my $session = session($schema);
	# LOCK TABLE fails outside of a transaction, and psql goes on.
	$session->query($_) foreach grep { !/^\s*LOCK/ } @statements[ 0 .. $count - 1 ];
	$session->close;
	return $schema;
}

sub refusal_of_upgrade
{
	my ($schema, $target) = (@_, 'head');
	my ($status, undef, $error) =
	  $node->psql($database, "SELECT procrastinate_upgrade('$target', schema => '$schema')");
	return $status == 0 ? '' : $error;
}

# The first call of procrastinate_repair() in a HINT, to run; nothing if there is none.
sub repair_of
{
	my ($refusal) = @_;
	my ($call) = $refusal =~ /(SELECT \* FROM (?:\w+\.)?procrastinate_repair\([^;]*)\);/;
	return $call if !defined $call;
	return $call =~ /dry_run/ ? "$call)" : "$call, dry_run => false)";
}

sub in_part
{
	my ($revision) = @_;
	foreach my $count (1 .. statements_of($revision) - 1)
	{
		foreach my $history (1, 0)
		{
			my $schema  = run_first($revision, $count, $history);
			my $refusal = refusal_of_upgrade($schema);
			if (my $repair = repair_of($refusal))
			{
				run_sql($repair);
				$refusal = refusal_of_upgrade($schema);
			}
			my $name = revision_name($revision) . ", $count statements, "
			  . ($history ? 'with a history' : 'without a history');
			is($refusal, '', "$name: the upgrade goes on");
			is(revision_of($schema), revision_name($HEAD), "$name: to head");
			is( run_sql(
					"SELECT count(*) FROM $schema.procrastinate_jobs UNION ALL
					 SELECT count(*) FROM procrastinate_check(schema => '$schema')
					  WHERE severity = 'error'"
				),
				"9\n0",
				"$name: no job is lost and nothing differs");
		}
	}
	return;
}

# 0030 and 0031 change rows, which no repair does: they have to be completed by hand.
sub rows_are_changed
{
	foreach my $history (1, 0)
	{
		foreach my $part ([ 30, 3 ], [ 31, 33 ])
		{
			my ($revision, $count) = @$part;
			my $refusal = refusal_of_upgrade(run_first($revision, $count, $history));
			my $at      = revision_name($revision);
			my $name    = "$at in part, " . ($history ? 'with a history' : 'without a history');
			unlike($refusal, qr/procrastinate_repair\('head'/, "$name: no repair leads to head");
			like($refusal, qr/procrastinate_check\('$at'/, "$name: the HINT compares with it");
			like($refusal,
				qr/^Migration $at changes rows, too, .*procrastinate_migration_sql\('$at'\);$/m,
				"$name: and says where the UPDATE is");
		}
	}
	return;
}

# No repair completes these: the HINT has the SQL of which the rest is run.
sub rest_by_hand
{
	foreach my $part ([ 8, 2 ], [ 10, 1 ], [ 12, 1 ], [ 31, 21 ], [ 31, 24 ])
	{
		my ($revision, $count) = @$part;
		my ($at, $target) = map { revision_name($_) } $revision, $revision + 1;
		foreach my $history (1, 0)
		{
			my $schema = run_first($revision, $count, $history);
			my $name =
			  "$at, $count statements, " . ($history ? 'with' : 'without') . ' a history';
			like(
				refusal_of_upgrade($schema, $target),
				qr/^.*To see its SQL: SELECT public\.procrastinate_migration_sql\('$at'\);$/m,
				"$name: the HINT has its SQL");
			my @statements = statements_of($revision);
			my $session    = session($schema);
			$session->query($_) foreach @statements[ $count .. $#statements ];
			$session->close;
			is(refusal_of_upgrade($schema, $target),
				'', "$name: when the rest has been run, the upgrade goes on");
			is(revision_of($schema), $target, "$name: to $target");
		}
	}
	return;
}

# The history says what is there: not that it was completed if a statement failed.
sub failing_repair
{
	my $schema = run_first(34, 1, 1);
	run_sql(<<"SQL");
CREATE FUNCTION public.no_periodic_job() RETURNS event_trigger LANGUAGE plpgsql AS \$\$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands()
                WHERE object_identity LIKE '%.procrastinate_defer_periodic_job_v2(%') THEN
        RAISE 'not here';
    END IF;
END \$\$;
CREATE EVENT TRIGGER no_periodic_job ON ddl_command_end EXECUTE FUNCTION public.no_periodic_job();
SQL
	my $repair = "procrastinate_repair('0034', schema => '$schema', dry_run => false)";
	is( run_sql("SELECT count(*), count(error) FROM $repair"),
		'2|1', 'a repair that completes 0034: a statement of two fails');
	is(revision_of($schema), '0033', 'and 0034 is not recorded');
	run_sql('DROP EVENT TRIGGER no_periodic_job');
	is(run_sql("SELECT count(*), count(error) FROM $repair"), '1|0', 'again: it is completed');
	is( run_sql(
			"SELECT event, from_revision, to_revision FROM $schema.procrastinate_schema_history
			  ORDER BY id DESC LIMIT 1"
		),
		'repair|0033|0034',
		'and recorded');
	return;
}

# Where no object of a later migration is there, migrations lead to the next revision.
sub nothing_to_complete
{
	my $schema = numbered_schema(33);
	my (undef, undef, $error) =
	  $node->psql($database, "SELECT * FROM procrastinate_repair('0034', schema => '$schema')");
	like($error, qr/is at 0033, not at 0034/, 'a repair does not run a whole migration');
	like($error, qr/CALL public\.procrastinate_migrate\('0034'/, 'and the HINT does');
	return;
}
