# pg_regress as `make installcheck` runs it for a role that owns the database and is no superuser.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node = start_server();
$node->safe_psql('postgres', 'CREATE ROLE packager LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE packager OWNER packager');

# install creates the extension that the other tests use.
my @tests = sort { ($b eq 'install') <=> ($a eq 'install') || $a cmp $b }
  map { basename($_, '.sql') } glob repository() . '/sql/*.sql';
my $output = PostgreSQL::Test::Utils::tempdir();
my $shown  = '';
my $passed = IPC::Run::run(
	[
		# An empty bindir stands for PATH.
		$ENV{PG_REGRESS}, qw(--bindir= --use-existing), '--inputdir=' . repository(),
		"--outputdir=$output", '--host=' . $node->host, '--port=' . $node->port,
		qw(--user=packager --dbname=packager), @tests ],
	'>', \$shown, '2>', \$shown);
ok($passed, 'all tests pass, or end at once because they need a superuser')
  || diag($shown, slurp("$output/regression.diffs"));
like($shown, qr/^(?:# )?\s*All \d+ tests passed/m, 'and they have run');
# A test that ends at once shows its first lines only.
my @complete = grep { slurp("$output/results/$_.out") !~ /^\\quit\n\z/m } @tests;
cmp_ok(scalar @complete, '>=', 8, 'some need no superuser');
is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'packager'"),
	'f', 'the role is none');
done_testing();
