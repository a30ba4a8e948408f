# Blockers of the pre-check, of version tables and of the history: the caller's NOTICE and
# procrastinate_progress name them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Progress;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

a_look_at_jobs_that_are_locked();
a_look_at_a_schema_that_is_renamed();
a_look_at_workers_that_are_locked();
a_look_at_a_table_of_another_tool();
a_table_that_inherits();
a_table_of_another_tool();
a_history_that_is_locked();
done_testing();

# The version table is locked before the jobs, and its blocker is named.
sub a_table_of_another_tool
{
	my $schema = filled_schema('kept', 24, 10);
	my ($reader, $holder, $caller) = map { session($schema) } 1 .. 3;
	$holder->query(
		q{CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version}
		  . q{ VALUES ('0024')}
	);
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->query(q{SET procrastinate_migrate.alembic_version = 'kept.alembic_version'});
	$caller->send(q{CALL procrastinate_migrate('0025')});
	wait_for_step($node, $database, $schema, '0025.1');
	$holder->query('BEGIN; LOCK TABLE alembic_version IN ROW EXCLUSIVE MODE');
	$reader->query('COMMIT');
	wait_for_step($node, $database, $schema, '0025.2');
	wait_for($node, $database,
		"SELECT waiting_for = '{$holder->{pid}}' FROM procrastinate_progress",
		'it is seen to wait for the table');
	is(seen('step, waiting_for'), "3|{$holder->{pid}}", 'in pauses, too');
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	is(($caller->wait)[1] =~ s/:.*//r, '57014', 'it has no end');
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	my (undef, undef, $error) = $node->psql(
		$database, qq{
SET procrastinate_migrate.alembic_version = 'kept.alembic_version';
CALL procrastinate_migrate('0025', retry_for => '0', schema => '$schema')});
	$reader->query('COMMIT');
	like($error, qr/ERROR: .*, step 3 \(.*\) could not get its locks$/m,
		'the last step needs the table');
	unlike($error, qr/^Session $reader->{pid}/m, 'who only reads is not named');
	like($error, qr/^Session $holder->{pid} of role .*: RowExclusiveLock on alembic_version;/m,
		'and the next call names who has it');
	$holder->query('COMMIT');
	is($caller->refusal(q{CALL procrastinate_migrate('0025')}), 'no error',
		'once it is free the call goes on');
	$holder->query('DROP TABLE alembic_version');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $reader, $holder, $caller;
	return;
}

# A version table of another role, or one that is being dropped.
sub a_history_that_is_locked
{
	my $schema = filled_schema('locked', 24, 1);
	my $holder = session($schema);
	$holder->query('BEGIN; LOCK TABLE procrastinate_schema_history IN ACCESS EXCLUSIVE MODE');
	my ($status) = $node->psql($database,
		q{SET statement_timeout = '10 s'; SELECT count(*) FROM procrastinate_progress});
	is($status, 0, 'who looks what is under way does not wait for it');
	$holder->query('COMMIT');
	$holder->close;
	return;
}

# The pre-check takes its locks with lock retries, too.
sub a_look_at_jobs_that_are_locked
{
	my $schema = filled_schema('looked_at', 24, 10);
	my $holder = session($schema);
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE');
	my (undef, undef, $error) = $node->psql($database,
		q{CALL procrastinate_migrate('+1', schema => 'looked_at', retry_for => '0')});
	like($error, qr/ERROR:  could not lock the tables to read the current revision$/m,
		'a call that may not look at the jobs is given up');
	like($error,
		qr/^Session\ $holder->{pid}\ of\ role\ .*:\ AccessExclusiveLock\ on
			\ procrastinate_jobs;\ LOCK\ TABLE/mx,
		'and names who has them');
	unlike($error, qr/^No session/m, 'and no other session');
	like($error,
		qr/^HINT:\ \ .*:\ CALL\ public\.procrastinate_migrate\('\+1',\ schema\ =>\ 'looked_at',
			\ retry_for\ =>\ '1\ hour'\);$/mx,
		'and what to do');
	my $caller = call('looked_at', '0025');
	is($caller->notice(qr/waiting/) =~ s/tried (?:once|\d+ times)/tried n times/r,
		'pre-check: waiting for locks, tried n times, for session ' . $holder->{pid},
		'a NOTICE says that the pre-check waits');
	is(seen('schema, pid, waiting_for'), "looked_at|$caller->{pid}|{$holder->{pid}}",
		'and is seen to wait');
	$holder->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $holder, $caller;
	return;
}

# The pre-check locks the schema's name, too.
sub a_look_at_a_schema_that_is_renamed
{
	my $schema  = filled_schema('renamed', 24, 10);
	my $renamer = session($schema);
	$renamer->query('BEGIN; ALTER SCHEMA renamed RENAME TO another');
	my (undef, undef, $error) = $node->psql(
		$database,
		q{CALL procrastinate_migrate('+1', schema => 'renamed', retry_for => '0', concurrently =>}
		  . q{ false, force => true, lock_timeout => '20 ms')}
	);
	like($error, qr/ERROR:  could not lock the tables to read the current revision/,
		'a call that may not hold the name of the schema is given up');
	like($error,
		qr/^Session\ $renamer->{pid}\ of\ role\ .*:\ (?:\w+\ on\ the\ schema,\ )?\w+\ on\ the
			\ schema;\ ALTER\ SCHEMA\ renamed\ RENAME\ TO\ another/mx,
		'and names who changes it');
	like($error, qr/retry_for => '1 hour', concurrently => false, force => true\);$/m,
		'and what to do, as it was called');
	my $caller = call('renamed', '0025');
	$caller->notice(qr/waiting/);
	is(seen('pid, waiting_for'), "$caller->{pid}|{$renamer->{pid}}",
		'a call that goes on trying shows its blocker, in pauses, too');
	$renamer->query('ROLLBACK');
	is(($caller->wait)[1], '', 'once it is free the call goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $renamer, $caller;
	return;
}

# The workers' table is looked at last before each migration.
sub a_look_at_workers_that_are_locked
{
	my $schema = filled_schema('workers', 33, 10);
	my ($holder, $caller) = map { session($schema) } 1 .. 2;
	$holder->query('BEGIN; LOCK TABLE procrastinate_workers IN ACCESS EXCLUSIVE MODE');
	$caller->query(q{SET procrastinate_migrate.verify = 'off'});
	is( $caller->refusal(q{CALL procrastinate_migrate('0034', retry_for => '500 ms')}),
		'55P03: could not lock the tables to look for old workers',
		'a call that may not look at the workers is given up in the end');
	$holder->query('COMMIT');
	is($caller->refusal(q{CALL procrastinate_migrate('0034')}), 'no error',
		'once they are free the call goes on');
	is_at($node, $database, $schema, 34, 'to 0034');
	$_->close foreach $holder, $caller;
	return;
}

sub a_look_at_a_table_of_another_tool
{
	my $schema = filled_schema('kept_too', 24, 10);
	my ($holder, $caller) = map { session($schema) } 1 .. 2;
	$holder->query(
		q{CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version}
		  . q{ VALUES ('0024')}
	);
	$holder->query('BEGIN; UPDATE alembic_version SET version_num = version_num');
	$caller->query(q{SET procrastinate_migrate.alembic_version = 'kept_too.alembic_version'});
	my $call = q{CALL procrastinate_migrate('0025', retry_for => '0')};
	is($caller->refusal($call),
		'55P03: could not lock the tables to read the current revision',
		'a call that may not look at the table of another tool is given up');
	$holder->query('COMMIT');
	is($caller->refusal($call), 'no error', 'once it is free the call goes on');
	$holder->query('DROP TABLE alembic_version');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $holder, $caller;
	return;
}

# A step changes an inheriting table with its parent.
sub a_table_that_inherits
{
	my $schema = filled_schema('inherited', 24, 10);
	my ($reader, $other) = map { session($schema) } 1 .. 2;
	$reader->query(
		'CREATE TABLE kid () INHERITS (procrastinate_jobs); CREATE TABLE grandkid () INHERITS (kid)'
	);
	$reader->query('BEGIN; SELECT count(*) FROM grandkid');
	$other->query('BEGIN; SELECT count(*) FROM procrastinate_periodic_defers');
	my (undef, undef, $error) = $node->psql($database,
		q{CALL procrastinate_migrate('0025', schema => 'inherited', retry_for => '0')});
	like($error,
		qr/^(?:DETAIL:  )?Session $reader->{pid} of role .*: AccessShareLock on grandkid; /m,
		'the reader of an inheriting table is named');
	unlike($error, qr/ $other->{pid} /, 'and no other session');
	my $caller = call('inherited', '0025');
	is(seen('step, waiting_for'), "2|{$reader->{pid}}", 'and seen, in pauses, too');
	$_->query('COMMIT') foreach $reader, $other;
	is(($caller->wait)[1], '', 'it goes on');
	$caller->close;
	is( $reader->query(
			q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'grandkid'::regclass AND attname =}
			  . q{ 'priority'}
		),
		'1',
		'then it is changed, too');
	$_->close foreach $reader, $other;
	return;
}
