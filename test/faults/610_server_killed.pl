# The server dies, at every point of every step from 0001 to head, and of steps that are others on a
# shorter way: afterwards no row is missing, the schema is as its history says, workers can work,
# and the next call goes on from there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test::Faults;

walk_all('kill');
done_testing();
