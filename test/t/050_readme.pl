# Checks the README: the example session prints what it shows, every SQL block and command runs. And
# the tables of docs/upgrade.md and docs/troubleshooting.md.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $readme = slurp(repository() . '/README.md');
my $node   = start_server();

# The fenced blocks of a language.
sub blocks
{
	my ($language) = @_;
	return $readme =~ /^```\Q$language\E\n(.*?)^```$/msg;
}

# What psql prints for statements that a user types, without what differs from run to run.
sub typed
{
	my ($database, @statements) = @_;
	my $shown = '';
	foreach my $statement (@statements)
	{
		my ($out, $err) = ('', '');
		my $run = IPC::Run::run(
			[
				'psql', '-X', '-U', 'postgres', '-d', $node->connstr($database),
				'-v',   'ON_ERROR_STOP=1', '-c', $statement
			],
			'>'  => \$out,
			'2>' => \$err);
		ok($run, "the README's statement runs: $statement") or diag $err;
		$shown .= "=> $statement\n$err$out";
	}
	return masked($shown);
}

# Times and the blanks at the ends of psql's lines.
sub masked
{
	my ($text) = @_;
	$text =~ s/[0-9.]+ ms$/N ms/mg;
	$text =~ s/[ \t]+$//mg;
	return $text;
}

# The session's user.
$node->safe_psql('postgres', <<'SQL');
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres') THEN
        CREATE ROLE postgres SUPERUSER LOGIN;
    END IF;
END
$$
SQL

my ($session) = blocks('psql');
ok($session, 'the README opens with a session');
$node->safe_psql('postgres', 'CREATE DATABASE session');
my $typed    = typed('session', $session =~ /^=> (.*)$/mg);
my $expected = quotemeta masked($session);
$expected =~ s/\\\.\\\.\\\.\\\n/(?:.*\\n)*?/g;    # three dots stand for any lines
like($typed, qr/\A$expected\z/, 'the session prints what the README shows');

my @statements = blocks('sql');
push @statements, $readme =~ /^\| `((?:SELECT|CALL) [^`]+)` \|/mg;
cmp_ok(scalar @statements, '>=', 6, 'the README has statements to paste');
$node->safe_psql('postgres', 'CREATE DATABASE pasted');
foreach my $block (@statements)
{
	my ($status, undef, $err) = $node->psql('pasted', $block, on_error_die => 0);
	is($status, 0, "the README's statements run: " . (split /\n/, $block)[0]) or diag $err;
}

# Targets and ranges that stand in the text.
my $upgrade       = slurp(repository() . '/docs/upgrade.md');
my @zero_downtime = $upgrade =~ /`CALL procrastinate_migrate\('([^']+)'\);`/g;
is(scalar @zero_downtime, 5, 'the way without downtime has five steps');
my @steps = map {
	$node->safe_psql(
		'pasted',
		"SELECT procrastinate_show.revision FROM procrastinate_show('$_')")
} @zero_downtime;
is_deeply(
	\@steps, [ '0030', '0032', '0034', '0037', '0038' ],
	'and its bridges are 0030, 0032, 0034 and 0037');
my %works = map { (split /\t/)[0] => [ (split /\t/)[ 2, 3 ] ] } split /\n/,
  slurp(data_file('releases.tsv'));
my @deployed = $upgrade =~ /migrate\('[^']+'\);` \| ([0-9.]+) everywhere/g;
is(scalar @deployed, 4, 'four releases are deployed on the way');
foreach my $i (0 .. $#deployed)
{
	my ($from, $to) = @{ $works{ $deployed[$i] } };
	cmp_ok($from, 'le', $steps[$i],       "$deployed[$i] works on $steps[$i]");
	cmp_ok($to,   'ge', $steps[ $i + 1 ], "$deployed[$i] works until $steps[$i + 1] is applied");
}

my $refusals  = slurp(repository() . '/src/common/refusal.hpp');
my @sqlstates = $refusals =~ /"(PM\d{3})"/g;
cmp_ok(scalar @sqlstates, '>=', 10, 'there are SQLSTATEs of ours');
my $troubleshooting = slurp(repository() . '/docs/troubleshooting.md');
like($troubleshooting, qr/^\| $_ \| [a-z]/m, "troubleshooting.md explains SQLSTATE $_")
  foreach @sqlstates;
cmp_ok(scalar(() = $readme =~ /\n/g), '<=', 120, 'the README is short');

done_testing();
