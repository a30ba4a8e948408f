# Ends procrastinate_migrate(), or the worker that builds an index for it, at every fault point of
# every step from 0001 to head. Afterwards no row is missing, the schema is as its history says, a
# worker's calls succeed, and the next call continues from there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test::Faults;

walk_all('terminate');
done_testing();
