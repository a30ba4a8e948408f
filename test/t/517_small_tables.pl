# Indexes of small tables are built without a background worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node = start_server(conf => <<'CONF');
max_worker_processes = 0
procrastinate_migrate.min_concurrent_build_size = 1MB
CONF
my $database = new_database($node);
use_database($node, $database);

my $session = queue('small', 26, 100);
is(migrated($session), 'no error', 'a table of a few kB: no worker is needed');
is_at($node, $database, 'small', $HEAD, 'its catalog is that of head');

my $blocker = session('small');
$session = queue('locked', 26, 100);
$blocker->query('BEGIN; LOCK TABLE locked.procrastinate_jobs IN ACCESS EXCLUSIVE MODE');
like(
	$session->refusal(q{CALL procrastinate_migrate('head', retry_for => '200 ms')}),
	qr/^55P03: /, 'it does not wait behind a lock for longer than retry_for');
$blocker->query('ROLLBACK');
is(migrated($session), 'no error', 'and later succeeds');

$session = queue('big', 26, 20_000);
like(migrated($session), qr/^53400: there is no background worker/,
	'a table of more than 1 MB: a concurrent build needs one');
$session->query('SET procrastinate_migrate.min_concurrent_build_size = \'100MB\'');
is(migrated($session), 'no error', 'unless the setting says that it is small');
is_at($node, $database, 'big', $HEAD, 'its catalog is that of head');

$session = queue('always', 26, 0);
$session->query('SET procrastinate_migrate.min_concurrent_build_size = 0');
like(migrated($session), qr/^53400: /, '0: an empty table, too');
$_->close foreach $session, $blocker;
done_testing();

sub migrated
{
	my ($in) = @_;
	return $in->refusal(q{CALL procrastinate_migrate('head')});
}
