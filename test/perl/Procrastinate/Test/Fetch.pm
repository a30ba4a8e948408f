# The fetch functions of each revision, their rule for locks, and assertions about the order of
# jobs.

package Procrastinate::Test::Fetch;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

use Procrastinate::Test;

our @EXPORT = qw(@fetches comes drained has_priority lock_rule);

# First and last revision, name, and the call with the queues (SQL) and the worker (SQL).
our @fetches = (
	[ 1,  30,    'procrastinate_fetch_job',    sub { "procrastinate_fetch_job($_[0])" } ],
	[ 30, 32,    'procrastinate_fetch_job_v1', sub { "procrastinate_fetch_job_v1($_[0])" } ],
	[ 32, undef, 'procrastinate_fetch_job_v2', sub { "procrastinate_fetch_job_v2($_[0], $_[1])" } ],
);

# How a revision's function decides, as one word.
sub lock_rule
{
	my ($function, $revision) = @_;
	return 'lock table'        if $revision < 8;
	return 'priority, then id' if $revision >= 36;
	return 'id, also aborting' if $function eq 'procrastinate_fetch_job' and $revision >= 27;
	return 'id';
}

sub has_priority { return $_[0] >= 25 }

# The ids that repeated fetches return, in their order.
sub drained
{
	my ($session, $fetch) = @_;
	return $session->query('SELECT pg_temp.drain(' . lit($fetch) . ')');
}

# Asserts which jobs come, one after the other, out of these; nothing is left behind.
sub comes
{
	my ($session, $revision, $fetch, $expected, $name, @jobs) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	scenario(
		$session,
		sub {
			insert_jobs($session, $revision, @jobs);
			is(drained($session, $fetch), $expected, $name);
		});
	return;
}

1;
