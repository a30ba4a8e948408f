# Online scripts of procrastinate_sql() through pgbouncer in session mode, as a role that is no
# superuser: its session goes back to the pool between two runs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Script;

my ($pgbouncer) = grep { -x } '/usr/sbin/pgbouncer', map { "$_/pgbouncer" } split /:/, $ENV{PATH};
plan skip_all => 'pgbouncer is not installed' if !$pgbouncer;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
run_sql('CREATE ROLE app LOGIN');

my $folder = PostgreSQL::Test::Utils::tempdir();
my $port   = PostgreSQL::Test::Cluster::get_free_port();
append_to_file("$folder/users.txt", qq{"app" ""\n});
# One connection to the server: the second run gets the session of the first.
append_to_file("$folder/pgbouncer.ini", <<"INI");
[databases]
$database = host=${\$node->host} port=${\$node->port} dbname=$database
[pgbouncer]
listen_port = $port
unix_socket_dir = $folder
auth_type = trust
auth_file = $folder/users.txt
pool_mode = session
default_pool_size = 1
server_reset_query = DISCARD ALL
logfile = $folder/log
INI
my $pooler = IPC::Run::start([ $pgbouncer, '-q', "$folder/pgbouncer.ini" ],
	'<', '/dev/null', '>', \my $out, '2>', \my $err);
until_it_answers();
migrates_through_it(26);
migrates_through_it(0);
$pooler->kill_kill;
done_testing();

sub until_it_answers
{
	my $tries = 0;
	until (-S "$folder/.s.PGSQL.$port")
	{
		$pooler->pump_nb;
		die 'pgbouncer does not start: ' . ($err // '') . "\n"
		  if !$pooler->pumpable || ++$tries > 10 * $PostgreSQL::Test::Utils::timeout_default;
		select(undef, undef, undef, 0.1);
	}
	return;
}

# run_through($schema, $sql or path of a script): the exit status, standard error and output
sub run_through
{
	my (@options) = @_;
	my ($output, $error) = ('', '');
	IPC::Run::run(
		[
			$node->installed_command('psql'), qw(-X -At -v ON_ERROR_STOP=1 -U app), @options,
			'-d', "host=$folder port=$port dbname=$database" ],
		'>', \$output, '2>', \$error,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $error, $output);
}

sub migrates_through_it
{
	my ($revision) = @_;
	my $schema = "from_$revision";
	run_sql("CREATE SCHEMA $schema AUTHORIZATION app");
	upgrade($node, $database, $revision, $schema) if $revision;
	my $path = script_file(script_text($node, $database, 'base:head', $schema, 'online => true'));
	my ($status, $error) = run_through('-f', $path);
	is($status, 0, "$schema: the script ends without an error") || diag($error);
	is_at($node, $database, $schema, $HEAD, "$schema: the catalog is that of head");
	is(revision_of($schema), $HEAD_NAME, "$schema: the history says head");
	($status, $error) = run_through('-f', $path);
	is($status, 0, "$schema: once more it ends without an error") || diag($error);
	like($error, qr/nothing to do/, "$schema: and there is nothing to do");
	my $settings = q{SELECT count(*) FROM pg_settings WHERE source = 'session'}
	  . q{ AND name IN ('search_path', 'row_security', 'jit')};
	is((run_through('-c', $settings))[2],
		"0\n", "$schema: the next client of the session has its own settings");
	return;
}
