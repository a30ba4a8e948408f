# Drivers of other languages send texts where the functions take a schema or an interval:
# node-postgres and lib/pq of no type, JDBC as character varying. Programs in ../clients do the
# same with each.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node    = start_server(name => 'clients', conf => q{listen_addresses = '127.0.0.1'});
my $clients = "$FindBin::RealBin/../clients";
my $work    = PostgreSQL::Test::Utils::tempdir;

sub run_program
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	my $is_started = eval {
		IPC::Run::run(\@command, '>', \$out, '2>', \$err, init => sub { chdir $work });
		1;
	};
	return ($is_started ? $? >> 8 : 127, $out, $err);
}

sub is_there
{
	my (@command) = @_;
	my ($status) = run_program(@command);
	return $status == 0;
}

# As a URL, which JDBC takes, too.
sub uri
{
	my ($database) = @_;
	return sprintf 'postgresql://127.0.0.1:%d/%s?user=%s', $node->port, $database,
	  $node->safe_psql($database, 'SELECT current_user');
}

# Runs a client in a database of its own, and compares what it printed.
sub client
{
	my ($name, $database, @command) = @_;
	my ($status, $out, $err) = run_program(@command);
	same_lines(
		[ split /\n/, $out ],
		[ '0026', '0', $HEAD_NAME, q{3F000 Write the argument so: schema => 'Tenant-7'} ],
		"$name gives schemas and intervals as texts") or diag($err);
	is($status, 0, "$name ends without an error");
	is_at($node, $database, 'Tenant-7', $HEAD, "$name: the catalog is that of head");
	return;
}

sub database_for_client
{
	my $database = new_database($node);
	$node->safe_psql($database, 'CREATE SCHEMA "Tenant-7"');
	return $database;
}

foreach my $driver ('psycopg', 'psycopg2')
{
  SKIP:
	{
		skip "there is no $driver", 3 unless is_there('/usr/bin/python3', '-c', "import $driver");
		my $database = database_for_client();
		client($driver, $database, '/usr/bin/python3', "$clients/client.py",
			$node->connstr($database), $driver);
	}
}

SKIP:
{
	local @ENV{qw(NODE_PATH npm_config_cache)} =
	  ("/usr/share/nodejs:$work/node_modules", "$work/npm");
	my $is_found = is_there('node', '-e', 'require("pg")')
	  || is_there('npm', 'install', '--silent', '--no-save', '--prefix', $work, 'pg@8');
	skip 'there is no node-postgres', 3 unless $is_found;
	my $database = database_for_client();
	client('node-postgres', $database, 'node', "$clients/client.js", uri($database));
}

SKIP:
{
	my $driver = '/usr/share/java/postgresql.jar';
	skip 'there is no JDBC', 3 unless -e $driver && is_there('javac', '-version');
	my $database = database_for_client();
	client('JDBC', $database, 'java', '-cp', $driver, "$clients/Client.java",
		'jdbc:' . uri($database));
}

SKIP:
{
	my $sources = '/usr/share/gocode';
	skip 'there is no lib/pq', 3
	  unless -e "$sources/src/github.com/lib/pq" && is_there('go', 'version');
	local @ENV{qw(GO111MODULE GOPATH GOCACHE)} = ('off', $sources, "$work/go");
	my $database = database_for_client();
	client('lib/pq', $database, 'go', 'run', "$clients/client.go",
		uri($database) . '&sslmode=disable');
}

$node->stop;
done_testing();
