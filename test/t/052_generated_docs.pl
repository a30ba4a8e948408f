# docs/functions.md and docs/settings.md are what `make docs` writes, and explain each argument and
# each result column.

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $root     = repository();
my $node     = start_server();
my $database = new_database($node);
my $folder   = PostgreSQL::Test::Utils::tempdir();

{
	local $ENV{PATH} = dirname($node->installed_command('psql')) . ":$ENV{PATH}";
	my $output = '';
	ok( IPC::Run::run(
			[ "$root/scripts/docs", $node->connstr($database), $folder ],
			'>', \$output, '2>', \$output),
		'make docs ends without an error') || diag($output);
}
foreach my $page (qw(functions settings))
{
	is(slurp("$folder/$page.md"), slurp("$root/docs/$page.md"),
		"$page.md is what make docs writes");
}

my $text = slurp("$root/docs/functions.md");
my ($arguments) = $text =~ /^## Arguments\n(.*?)^## /ms;
my ($columns)   = $text =~ /^## Result columns\n(.*?)^<!--/ms;
my (%argument, %column);
foreach my $block ($text =~ /^\| argument \| type .*?\n\|[-|]+\n((?:\|.*\n)+)/mg)
{
	$argument{$_}++ foreach $block =~ /^\| `(\w+)`/mg;
}
foreach my $block ($text =~ /^\| column \| type .*?\n\|[-|]+\n((?:\|.*\n)+)/mg)
{
	$column{$_}++ foreach $block =~ /^\| `(\w+)`/mg;
}
cmp_ok(keys %argument, '>', 10, 'functions have arguments');
cmp_ok(keys %column,   '>', 20, 'and columns');
# Arguments that are also the names of columns may be explained once.
like($arguments, qr/^\|[^|]*`$_`[^|]*\|/m, "the argument $_ is explained")
  foreach sort keys %argument;
like("$columns$arguments", qr/^\|[^|]*`$_`[^|]*\|/m, "the column $_ is explained")
  foreach sort keys %column;
done_testing();
