# Invalidation of the catalog caches at every access (debug_discard_caches), on servers with
# assertions.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);

plan skip_all => 'this server cannot be told to discard its caches'
  if $node->safe_psql($database,
	q{SELECT max_val FROM pg_settings WHERE name = 'debug_discard_caches'}) eq '0';

# Those that lock tables with triggers, and go by steps of each kind.
foreach my $from (23, 24, 30)
{
	my $to = $from + 1;
	foreach my $call ('SELECT procrastinate_upgrade(%s, %s)',
		'CALL procrastinate_migrate(%s, schema => %s)')
	{
		my ($how)   = $call =~ /_(\w+)/;
		my $schema  = closed_queue($node, $database, "${how}_$from", $from, 3);
		my $session = new_session($node, $database);
		$session->query('SET debug_discard_caches = 1');
		is($session->refusal(sprintf $call, lit(revision_name($to)), lit($schema)), 'no error',
			"$how to $to while caches are thrown away");
		$session->close;
		is_at($node, $database, $schema, $to, "$how has reached $to");
	}
}
done_testing();
