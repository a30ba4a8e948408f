# Calls of procrastinate_migrate() that wait, and what procrastinate_progress shows of them, in the
# database of Procrastinate::Test::Database.

package Procrastinate::Test::Progress;

use strict;
use warnings;

use Exporter 'import';

use Procrastinate::Test;
use Procrastinate::Test::Database;

our @EXPORT = qw(call seen);

# Sends a call and returns its session, which gets the NOTICEs.
sub call
{
	my ($schema, $target) = @_;
	my $caller = session($schema);
	$caller->query('SET client_min_messages = notice');
	$caller->send("CALL procrastinate_migrate('$target')");
	return $caller;
}

# Returns all rows of procrastinate_progress that 20 queries saw, after a try has failed. Some
# queries run in pauses of the call.
sub seen
{
	my ($columns, $onlooker) = @_;
	wait_until(
		qq{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND classid =}
		  . qq{ $LOCK_KEY{blocker}},
		'a try has failed');
	local $ENV{PGUSER} = $onlooker if $onlooker;
	my %seen;
	# Schemas that the onlooker may not look into are rows without a revision.
	$seen{ run_sql("SELECT $columns FROM procrastinate_progress WHERE revision IS NOT NULL") }++
	  foreach 1 .. 20;
	return join('; ', sort keys %seen);
}

1;
