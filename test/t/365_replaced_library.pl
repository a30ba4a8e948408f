# A session keeps the library that it has loaded. A worker that builds an index for it loads the
# current library, and does nothing that it does not understand.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $prefix  = installation_of_its_own();
my $node    = start_server(new => [ install_path => $prefix ]);
my $library = $node->config_data('--pkglibdir') . '/procrastinate_migrate.so';
is(index($library, $prefix), 0, 'the server has a library of its own');

my $database = new_database($node);
my $session  = new_queue($node, $database, 'queue', 19, 10);
my $call     = q{CALL procrastinate_migrate('0020')};
$session->query('SELECT * FROM procrastinate_current()');

# One that knows of no worker of this kind: any other library of the server.
my $log = -s $node->logfile;
rename $library, "$library.old" or die "cannot rename $library: $!";
system_or_bail('cp', $node->config_data('--pkglibdir') . '/dict_snowball.so', $library);
is($session->refusal($call), '57000: the background worker that built an index was ended',
	'a worker of another library refuses');
ok($node->log_contains(qr/could not find function "procrastinate_run_statement_v\d+"/, $log),
	"the server's log gives the reason");

rename "$library.old", $library or die "cannot rename $library.old: $!";
is_as_recorded($node, $database, 'queue', 'the schema is as recorded');
is($session->refusal($call), 'no error', 'the call succeeds with the library of the session');
is_at($node, $database, 'queue', 20, 'to 0020');
$session->close;
$node->stop;
done_testing();
