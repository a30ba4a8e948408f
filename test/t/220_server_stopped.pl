# Stops the server (pg_ctl -m immediate) at random moments, while sessions upgrade schemas and
# clients add jobs. After the restart each schema is at a revision, acknowledged rows are there, and
# a second run reaches head.
#
# The moments are drawn from a seed that the log shows; SEED=n prove ... draws the same ones again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test;

my $rounds    = 10;
my $deployers = 4;
my $schemas   = 40;    # more than a deployer gets done in a round
my $seed      = $ENV{SEED} // int rand 2**31;
srand $seed;
note "seed $seed";

my $node = start_server(conf => 'synchronous_commit = on');
my $database = new_database($node);
my $scripts = 0;
my %cut_short;
foreach my $round (1 .. $rounds)
{
	round($round);
}
note join ', ', map { "$cut_short{$_} at $_" } sort keys %cut_short;
my @between = grep { $_ ne 'base' and $_ ne revision_name($HEAD) } keys %cut_short;
cmp_ok(scalar @between, '>', 0, 'some schemas were found between base and head');
cmp_ok($cut_short{base} // 0, '>', 0, 'some schemas were found empty');
done_testing();

# A psql that runs a script and is left alone. Files stand between it and us: it never waits for us.
sub background
{
	my ($script) = @_;
	my $path = $node->basedir . '/script_' . ++$scripts;
	open(my $file, '>', "$path.sql") or die "cannot write $path.sql: $!";
	print $file $script;
	close $file;
	my $run = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr($database),
			'-f', "$path.sql" ],
		'<', \undef, '>', "$path.out", '2>', "$path.err",
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return { run => $run, out => "$path.out" };
}

# A script that makes schemas and upgrades each in one of the ways there are.
sub deployer
{
	my ($prefix) = @_;
	my $script = '';
	foreach my $n (1 .. $schemas)
	{
		my $schema = "${prefix}_$n";
		my $first = 27 + int rand 11;
		my @targets = map { revision_name($_) } $first, commit_points($first, $HEAD), $HEAD;
		$script .= "CREATE SCHEMA $schema;\n" . (
			"CALL procrastinate_migrate('head', '$schema');\n",
			"SELECT procrastinate_upgrade('head', '$schema');\n",
			join('', map { "SELECT procrastinate_upgrade('$_', '$schema');\n" } @targets),
			"SELECT procrastinate_upgrade('0001', '$schema');\n"
			  . "CALL procrastinate_migrate('head', '$schema');\n")[ rand 4 ];
	}
	return $script;
}

sub round
{
	my ($round) = @_;
	my $live = "live_$round";
	upgrade($node, $database, 1, $live);

	# One more deployer takes a schema on that has clients, which add jobs all the while.
	my @deployers = map { background(deployer("round_${round}_$_")) } 1 .. $deployers;
	push @deployers, background("CALL procrastinate_migrate('head', '$live');\n");
	my $add = "INSERT INTO $live.procrastinate_jobs (queue_name, task_name, lock)"
	  . ' VALUES (%s) RETURNING id;';
	my @clients = map {
		my $client = $_;
		background("SET search_path = $live;\n" . join "\n",
			map { sprintf $add, "'queue', 'task $client', 'lock $client of job $_'" } 1 .. 4000)
	} 1 .. 2;
	my $moment = 100 + int rand 700;
	usleep(1000 * $moment);
	$node->stop('immediate');
	$_->{run}->finish foreach @deployers, @clients;
	$node->start;

	my @done = split /\n/, $node->safe_psql($database,
		"SELECT nspname FROM pg_namespace WHERE nspname ~ '^round_${round}_' ORDER BY oid");
	my $label = "round $round, stopped after $moment ms";
	cmp_ok(scalar @done, '>', 0, "$label: there are schemas to compare");
	my @unfinished = grep { examine($_, $label) < $HEAD } @done, $live;
	same_jobs($live, $label, @clients);

	my $second_run = join "\n", map { "CALL procrastinate_migrate('head', '$_');" } @unfinished;
	my $refused = '';
	$node->psql($database, "SET client_min_messages = warning;\n$second_run",
		stderr => \$refused, on_error_stop => 0);
	is($refused, '', "$label: a second run has no error");
	is_at($node, $database, $_, $HEAD, "$label: a second run of $_ ends at head")
	  foreach @unfinished;
	same_jobs($live, "$label, second run", @clients);
	return;
}

# Asserts that a schema is what its history says, and that the history has no gap. Returns the
# revision.
sub examine
{
	my ($schema, $label) = @_;
	my ($current, $gaps) = split /\|/, $node->safe_psql($database, <<"SQL");
SELECT c.revision, count(*) FILTER (WHERE l.from_revision <> l.before)
  FROM procrastinate_current('$schema') AS c,
       (SELECT *, lag(to_revision, 1, 'base') OVER (ORDER BY id) AS before
          FROM procrastinate_log('$schema')) AS l
 GROUP BY 1
SQL
	$cut_short{ $current // 'base' }++;
	my $revision = int($current // 0);
	is_as_recorded($node, $database, $schema, "$label: $schema");
	if ($revision)
	{
		is($gaps, '0', "$label: the history of $schema has no gap");
	}
	else
	{
		is($node->safe_psql($database,
				"SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass"
				  . " AND refobjid = '$schema'::regnamespace"),
			'0', "$label: $schema at base holds nothing, and no history");
	}
	return $revision;
}

# Asserts that every job is there whose client was told its id.
sub same_jobs
{
	my ($schema, $label, @clients) = @_;
	my @told = map { slurp($_->{out}) =~ /^(\d+)\n/mg } @clients;
	my $there = $node->safe_psql($database, "SELECT id FROM $schema.procrastinate_jobs");
	my %there = map { $_ => 1 } split /\n/, $there;
	my @lost = grep { !$there{$_} } @told;
	cmp_ok(scalar @told, '>', 0, "$label: clients have added jobs");
	is("@lost", '', "$label: no job is lost");
	return;
}
