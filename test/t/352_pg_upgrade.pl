# pg_upgrade keeps installations and their histories. The new cluster has another system identifier,
# so the catalog decides until the next change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

# With arguments for initdb they are no copies of one template, with its system identifier.
my ($old, $new) =
  map { start_server(name => $_, init => [ extra => ['--no-sync'] ]) } qw(old new);
my $database = new_database($old);
upgrade($old, $database, 30, 'queue');
upgrade($old, $database, 'head', $ODD_SCHEMA);
$old->safe_psql($database, <<'SQL');
SET search_path = queue;
INSERT INTO procrastinate_jobs (queue_name, task_name)
	SELECT 'q', 'task ' || i FROM generate_series(1, 100) i;
SQL
my $jobs = 'SELECT md5(string_agg(j::text, \'|\' ORDER BY id)) FROM queue.procrastinate_jobs j';
my $own = q{SELECT max(to_revision) FROM procrastinate_log('queue') WHERE is_own};
my $before = $old->safe_psql($database, $jobs);
is($old->safe_psql($database, $own), '0030', 'the rows of the history are of this database');

$_->stop foreach $old, $new;
chdir $PostgreSQL::Test::Utils::tmp_check or die $!;    # pg_upgrade writes to the current folder
my ($bin) = run_command([ 'pg_config', '--bindir' ]);
command_ok(
	[
		"$bin/pg_upgrade", '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $bin, '-B', $bin, '-p', $old->port, '-P', $new->port, '-s', $old->host
	],
	'pg_upgrade goes through');
$new->start;
is($new->safe_psql($database, $jobs), $before, 'the jobs are the same');
is($new->safe_psql($database, $own), '', 'the rows of the history are of another database');
my ($status, $out, $notice) = $new->psql($database, 'SET search_path = queue, public;'
	  . 'SELECT revision FROM procrastinate_current()');
is($out, '0030', 'the catalog says the revision');
like($notice, qr/NOTICE:  schema "queue" has the history of another database only/,
	'and a NOTICE why');
foreach my $schema ('queue', $ODD_SCHEMA)
{
	upgrade($new, $database, 'head', $schema);
	is_at($new, $database, $schema, $HEAD, "$schema goes on to head");
}
is($new->safe_psql($database, $own), $HEAD_NAME, 'which is recorded in this database');
done_testing();
