# The scripts that `make scripts` writes to dist/, on a server without the extension: as a role that
# owns the schema and has CREATE on the database, for a schema of any name.

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Script;

my $root = repository();
my $node = start_server();
my $maker = new_database($node);

{
	local $ENV{PATH} = dirname($node->installed_command('psql')) . ":$ENV{PATH}";
	my ($out, $err) = ('', '');
	ok(IPC::Run::run([ "$root/scripts/scripts", $node->connstr($maker) ], '>', \$out, '2>', \$err),
		'make scripts ends without an error') || diag($err);
}
my %script = map { $_ => "$root/dist/procrastinate-$_.sql" } qw(online at-once check);
ok(-s $script{$_}, "it has written the script $_") foreach sort keys %script;

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE managed');
$node->safe_psql('postgres', 'REVOKE TEMPORARY ON DATABASE managed FROM PUBLIC');
$node->safe_psql('postgres', 'GRANT CREATE ON DATABASE managed TO app');

sub run_it
{
	my ($script, $schema) = @_;
	return run_script($node, 'managed', $script{$script}, '-At', '-U', 'app', '-v',
		"schema=$schema");
}

foreach my $schema ('queue', $ODD_SCHEMA, 'T 1')
{
	foreach my $script (qw(online at-once))
	{
		$node->safe_psql('managed',
			'SET client_min_messages = warning; DROP SCHEMA IF EXISTS '
			  . name($schema)
			  . ' CASCADE; CREATE SCHEMA '
			  . name($schema)
			  . ' AUTHORIZATION app');
		my ($status, $err, $out) = run_it($script, $schema);
		is($status, 0,  "$schema: the script $script installs") || diag($err);
		is($out,    '', "$schema: and prints notices only");
		(undef, undef, $out) = run_it('check', $schema);
		is($out, "$HEAD_NAME|t|||||\n", "$schema: the script check finds head");
		($status, $err) = run_it($_, $schema) foreach qw(at-once online);
		is($status, 0, "$schema: $script once more is no error");
		like($err, qr/nothing to do/, "$schema: and there is nothing to do");
	}
}

# From where another tool has brought it.
$node->safe_psql('managed', 'CREATE SCHEMA old AUTHORIZATION app');
my ($status, $err) = run_script(
	$node, 'managed',
	script_file(do {
		$node->safe_psql($maker, 'CREATE SCHEMA old');
		script_text($node, $maker, 'base:0026', 'old');
	}),
	'-U', 'app');
is($status, 0, 'a schema at 0026') || diag($err);
$node->safe_psql('managed', 'DROP TABLE old.procrastinate_schema_history');
($status, $err) = run_it('online', 'old');
is($status, 0, 'the script online goes on from there') || diag($err);
is((run_it('check', 'old'))[2], "$HEAD_NAME|t|||||\n", 'to head');

done_testing();
