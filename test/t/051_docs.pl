# Runs the SQL, the shell lines and the commands in YAML of the pages in docs/, in their order, and
# follows the links of all documents.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Database;
use Test::More;

my $node   = start_server();
my $folder = PostgreSQL::Test::Utils::tempdir();

# The hosts, the ports and the passwords of the pages, and those of the test.
sub of_the_test
{
	my ($block) = @_;
	my ($host, $port) = ($node->host, $node->port);
	$block =~ s/host '\w+\.example\.com'/host '$host', port '$port'/g;
	$block =~ s/user 'app', password '\w+'/user 'postgres'/g;
	return $block;
}

sub write_file
{
	my ($name, $text) = @_;
	open(my $file, '>', "$folder/$name") or die "cannot write $name: $!";
	print $file $text;
	close $file;
	return;
}

# Files that the shell lines read.
sub write_files
{
	my ($database) = @_;
	my $schemas = $node->safe_psql($database,
		'SELECT DISTINCT schema FROM procrastinate_installations WHERE may_change');
	write_file('databases.txt', "dbname='app'\ndbname=$database\n");
	write_file('schemas.txt',   "$schemas\n");
	write_file('online.sql',
		$node->safe_psql($database, q{SELECT procrastinate_sql('current:head', online => true)}));
	write_file('procrastinate-online.sql', slurp("$folder/online.sql"));
	return;
}

sub runs
{
	my ($database, $language, $block) = @_;
	my ($name) = $block =~ /\A(.*)/;
	return if $language eq 'ini';    # 060 runs it
	if ($language eq 'yaml')
	{
		my ($commands, $error) = ('', '');
		ok( IPC::Run::run(
				[ repository() . '/test/docs/commands_of_yaml' ],
				'<', \$block, '>', \$commands, '2>', \$error),
			"the YAML has commands: $name") || diag($error);
		runs($database, 'console', $_) foreach split /\n/, $commands;
		return;
	}
	if ($language eq 'sql')
	{
		my ($status, undef, $err) =
		  $node->psql($database, of_the_test($block), on_error_die => 0);
		is($status, 0, $name) || diag($err);
		return;
	}
	local %ENV =
	  (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => $database,
		PGUSER => 'postgres');
	my $output = '';
	ok(
		IPC::Run::run(
			[ 'sh', '-ec', $block ],
			'<', '/dev/null', '>', \$output, '2>', \$output,
			init => sub { chdir $folder or die "cannot enter $folder: $!" }),
		$name) || diag($output);
	return;
}

# The first loop of xargs of many-installations.md, where one database is not there.
sub xargs_tells_of_a_failure
{
	my ($loop) =
	  slurp(repository() . '/docs/many-installations.md') =~ /^```console\n(xargs .*?)^```$/ms;
	my $database = new_database($node);
	upgrade($node, $database, 26);
	write_file('databases.txt', "dbname=not_there\ndbname=$database\n");
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'postgres');
	my $output = '';
	IPC::Run::run(
		[ 'sh', '-c', $loop ],
		'<', '/dev/null', '>', \$output, '2>', \$output,
		init => sub { chdir $folder or die "cannot enter $folder: $!" });
	is($? >> 8, 123, 'xargs ends with 123 if one database fails') || diag($output);
	is($node->safe_psql($database, 'SELECT is_head FROM procrastinate_current()'),
		't', 'and goes on with the others');
	return;
}

# The statements in the table of from-alembic.md, each on a new installation at 0030.
sub the_table_of_alembic
{
	my ($table) = slurp(repository() . '/docs/from-alembic.md') =~ /^(\| Alembic .*?)\n\n/ms;
	my @statements = $table =~ /^\|[^|]*\| `([^`]+;)` \|$/mg;
	cmp_ok(scalar @statements, '>=', 12, 'the table has statements');
	my $database = new_database($node);
	foreach my $statement (@statements)
	{
		$node->safe_psql($database, 'DROP SCHEMA IF EXISTS queue CASCADE; CREATE SCHEMA queue');
		upgrade($node, $database, 30, 'queue');
		my ($status, undef, $err) =
		  $node->psql($database, "SET search_path = queue, public; $statement");
		# At 0030, head is pending, and the catalog is not that of 0031.
		if ($statement =~ /require|stamp/)
		{
			like($err, qr/ERROR:  schema "queue" is not at (?:$HEAD_NAME|0031)/,
				"$statement refuses");
			next;
		}
		is($status, 0, $statement) || diag($err);
	}
	return;
}

# Files and headings that documents refer to.
sub links
{
	my $root = repository();
	my @pages = map { s{^\Q$root\E/}{}r } glob "$root/docs/*.md";
	foreach my $page (qw(README.md CONTRIBUTING.md SECURITY.md), @pages)
	{
		my ($folder) = $page =~ m{^(.*/)};
		my $text = slurp("$root/$page");
		while ($text =~ /\]\(([^)#:]*)(?:#([\w-]+))?\)/g)
		{
			my ($file, $heading) = ($1, $2);
			my $path = $file eq '' ? $page : ($folder // '') . $file;
			ok(-e "$root/$path", "$page: $path is there");
			next if !defined $heading || !-e "$root/$path";
			my @headings = slurp("$root/$path") =~ /^#+ (.*)$/mg;
			my %has      = map { (lc =~ s/[^\w -]//gr =~ s/ /-/gr) => 1 } @headings;
			ok($has{$heading}, "$page: $path has $heading");
		}
	}
	return;
}

$node->safe_psql('postgres', <<'SQL');
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres') THEN
        CREATE ROLE postgres SUPERUSER LOGIN;
    END IF;
END
$$
SQL
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE EXTENSION procrastinate_migrate');
upgrade($node, 'app', 26);
foreach my $page (glob repository() . '/docs/*.md')
{
	my ($title) = $page =~ m{([^/]+)$};
	my @blocks;
	my $text = slurp($page);
	push @blocks, [ $1, $2 ] while $text =~ /^```(\w+)\n(.*?)^```$/msg;
	next unless @blocks;
	note($title);
	my $database = new_database($node);
	upgrade($node, $database, $_->[0], $_->[1])
	  foreach [ $HEAD, 'public' ], [ 26, 'tenant_1' ], [ 26, 'tenant_2' ];
	$node->safe_psql($database, 'CREATE SCHEMA tenant_empty');
	write_files($database);
	foreach my $block (@blocks)
	{
		my ($language, $lines) = @$block;
		like($language, qr/^(?:sql|console|yaml|ini)$/, "$title: a language that this test runs");
		runs($database, $language, $lines);
	}
	is($node->safe_psql($database, q{SELECT is_head FROM procrastinate_current('tenant_empty')}),
		't', 'there is an installation in each schema of the pattern')
	  if $title eq 'many-installations.md';
}
xargs_tells_of_a_failure();
the_table_of_alembic();
links();
done_testing();
