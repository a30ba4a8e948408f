# A schema or a history is dropped while a call waits for a lock or pauses: the call fails with an
# error that says so, or reads what has replaced it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

a_schema_that_is_dropped();
a_history_that_is_replaced();
done_testing();

# The schema is dropped while calls wait for the lock of its history.
sub a_schema_that_is_dropped
{
	my $owner = queue('dropped', 24, 10);
	my %calls = (
		q{SELECT procrastinate_current('dropped')}           => session('dropped'),
		q{SELECT procrastinate_upgrade(schema => 'dropped')} => session('dropped'),
		q{CALL procrastinate_migrate(schema => 'dropped')}   => session('dropped'));
	$owner->query('SET client_min_messages = error; BEGIN; DROP SCHEMA dropped CASCADE');
	$calls{$_}->send($_) foreach keys %calls;
	until_blocked($_) foreach values %calls;
	$owner->query('COMMIT');
	foreach my $call (sort keys %calls)
	{
		is(($calls{$call}->wait)[1],
			'3F000: schema "dropped" has been dropped or renamed by another session',
			"said: $call");
		$calls{$call}->close;
	}
	$owner->close;

	# In a pause between two tries.
	foreach my $name (map { "dropped_$_" } 1 .. 4)
	{
		$owner = queue($name, 24, 1);
		my $caller = session($name);
		$owner->query("SET client_min_messages = error; BEGIN; DROP SCHEMA $name CASCADE");
		$caller->send("CALL procrastinate_migrate(schema => '$name', lock_timeout => '1 ms')");
		wait_for($node, $database, $caller->pauses, 'it pauses');
		$owner->query('COMMIT');
		is(($caller->wait)[1],
			qq{3F000: schema "$name" has been dropped or renamed by another session},
			'said in a pause, too');
		$_->close foreach $owner, $caller;
	}
	return;
}

# As a restore in one transaction does.
sub a_history_that_is_replaced
{
	my %calls = (
		q{SELECT revision FROM procrastinate_current()} => '0023',
		q{SELECT count(*) FROM procrastinate_log()}     => '22',
		q{SELECT procrastinate_upgrade('0023')}         => '0023');
	my %ends = (dropped => 'DROP TABLE procrastinate_schema_history',
		renamed => 'ALTER TABLE procrastinate_schema_history RENAME TO before');
	foreach my $end (sort keys %ends)
	{
		my $owner    = queue("history_$end", 23, 1);
		my %sessions = map { $_ => session("history_$end") } keys %calls;
		$owner->query(<<"SQL");
BEGIN;
CREATE TABLE restored (LIKE procrastinate_schema_history INCLUDING ALL);
INSERT INTO restored OVERRIDING SYSTEM VALUE SELECT * FROM procrastinate_schema_history
  WHERE id <> 1;
$ends{$end};
ALTER TABLE restored RENAME TO procrastinate_schema_history;
SQL
		$sessions{$_}->send($_) foreach keys %calls;
		until_blocked($_) foreach values %sessions;
		$owner->query('COMMIT');
		foreach my $call (sort keys %calls)
		{
			my ($result, $error) = $sessions{$call}->wait;
			is("$result$error", $calls{$call}, "$end, it is read where it is now: $call");
			$sessions{$call}->close;
		}
		$owner->close;
	}
	return;
}
