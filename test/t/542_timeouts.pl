# statement_timeout: a long run, also of a script, warns of it before the first step, with the SET
# to paste. An error by it names it, says how far the run has come, and its HINT runs the rest. A
# long run also warns of transaction_timeout, from PostgreSQL 17 on. The timeouts of idle sessions
# end no run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Script;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

my $error   = qr/^(?:psql:\S+ )?ERROR:  canceling statement due to statement timeout$/m;
my $warning = qr/WARNING:  (?:statement|transaction)_timeout/;

a_big_table();
a_small_table();
a_script();
transaction_timeout() if $node->pg_version >= 17;
idle_timeouts();
an_online_run_is_ended();
an_upgrade_is_ended();
a_wait_is_ended();
a_long_query_fails();
other_errors();
done_testing();

# What psql writes to stderr.
sub said
{
	my ($schema, $sql) = @_;
	my (undef, undef, $said) =
	  $node->psql($database, "SET search_path = $schema, public;\n$sql", on_error_stop => 0);
	return $said;
}

# The SQL of the error's HINT: its lines up to the CONTEXT or the end. A WARNING before it may have
# a HINT, too, if a slow machine leaves little of the timeout.
sub hint_of
{
	my ($said) = @_;
	my ($hint) = $said =~ /ERROR: .*?^HINT:  (.*?)\n?(?:^CONTEXT:|^psql:|\z)/ms;
	return $hint;
}

# A schema at a revision (0023) with 60 MB of events in one row. By the plan 0024 takes more than
# 10 s, while the run itself takes no time.
sub big_schema
{
	my ($schema, $revision) = @_;
	queue($schema, $revision // 23, 10)->close;
	run_sql(<<"SQL");
ALTER TABLE $schema.procrastinate_events ADD note text, ALTER note SET STORAGE EXTERNAL;
UPDATE $schema.procrastinate_events SET note = repeat('x', 60000000)
 WHERE id = (SELECT min(id) FROM $schema.procrastinate_events);
SQL
	return;
}

sub a_big_table
{
	big_schema('big');
	my $estimate =
	  run_sql(q{SELECT extract(epoch FROM sum(estimate)) FROM}
		  . q{ procrastinate_plan('0024', schema => 'big')});
	cmp_ok($estimate, '>', 10, 'the plan expects a long run');

	my $limit = q{SET statement_timeout = '12s';};
	my $told  = qr/^(?:psql:\S+\ )?WARNING:\ \ statement_timeout\ may\ end\ the\ upgrade\ before\ it
		\ is\ done\n
		DETAIL:\ \ statement_timeout\ is\ 12s,\ \d+(?:\.\d)?\ s\ are\ left\ of\ it,\ and\ the
		\ upgrade\ takes\ about\ \d+\ s\.\n
		HINT:\ \ SET\ statement_timeout\ =\ 0;\n.*Running\ upgrade/msx;
	my $upgrade = q{BEGIN; SELECT procrastinate_upgrade('0024'); ROLLBACK;};
	like(said('big', "$limit $upgrade"), $told, 'an upgrade warns before it starts');
	unlike(said('big', "SET statement_timeout = 0; $upgrade"),
		$warning, 'and not after the SET that it shows');
	unlike(said('big', "$limit BEGIN; SET LOCAL statement_timeout = '10min'; $upgrade"),
		$warning, 'nor if there is time enough');

	my $migrate = q{CALL procrastinate_migrate('0024');};
	my $online  = said('big', "$limit $migrate");
	like($online, $told, 'so does an online run');
	is(scalar(() = $online =~ /$warning/g), 1, 'once');
	said('big', $migrate);
	run_sql('ALTER TABLE big.procrastinate_events DROP note');
	is_at($node, $database, 'big', 24, 'the schema is at 0024');
	unlike(said('big', "$limit $migrate $upgrade"), $warning, 'with nothing to do, none warns');
	return;
}

sub a_small_table
{
	queue('small', 23, 10)->close;
	my $said = said('small', <<'SQL');
SET statement_timeout = '1min';
BEGIN; SELECT procrastinate_upgrade('0024'); ROLLBACK;
CALL procrastinate_migrate('0024');
SQL
	unlike($said, $warning, 'no upgrade of a small table warns');
	is_at($node, $database, 'small', 24, 'the schema is at 0024');
	unlike(said('small', q{SET statement_timeout = '1ms'; SELECT FROM procrastinate_plan('0024')}),
		$warning, 'a function that reads does not warn');
	$node->safe_psql($database, 'CREATE SCHEMA empty');
	unlike(said('empty', q{SET statement_timeout = '1min'; CALL procrastinate_migrate()}),
		$warning, 'nor does an installation');
	return;
}

sub a_script
{
	local $ENV{PGOPTIONS} = '-c statement_timeout=20s';
	foreach my $online ('false', 'true')
	{
		my $schema = "script_$online";
		big_schema($schema, 30);
		my $run = sub {
			my ($range) = @_;
			my $text = script_text($node, $database, $range, $schema, "online => $online");
			my ($status, $err) = run_script($node, $database, script_file($text));
			is($status, 0, "online $online: the script $range ends without an error") || diag($err);
			return $err;
		};
		my $told = qr/WARNING:\ \ statement_timeout\ may\ end\ the\ script\ before\ it\ is\ done\n
			DETAIL:\ \ statement_timeout\ is\ 20s,\ and\ the\ tables\ have\ \d\d\ MB\.\n
			HINT:\ \ Before\ the\ script,\ in\ its\ session:\ SET\ statement_timeout\ =\ 0;\n/x;
		like($run->('0030:0031'), $told, 'before big tables it warns');
		unlike($run->('0030:0031'), $warning, 'with nothing to do it does not');
		run_sql("ALTER TABLE $schema.procrastinate_events DROP note");
		run_sql("VACUUM FULL $schema.procrastinate_events");
		unlike($run->('0031:0032'), $warning, 'nor before small tables');
	}
	return;
}

# It counts for each transaction of an online run, and batches are short.
sub transaction_timeout
{
	big_schema('transactions');
	my $limit = q{SET transaction_timeout = '12s';};
	like(
		said('transactions', "$limit BEGIN; SELECT procrastinate_upgrade('0024'); ROLLBACK"),
		qr/WARNING:  transaction_timeout may.*^HINT:  SET transaction_timeout = 0;\n/ms,
		'an upgrade warns of a transaction_timeout');
	unlike(said('transactions', "$limit CALL procrastinate_migrate('0024')"),
		$warning, 'an online run does not, whose transactions are short');

	# Whether it is ended depends on the machine.
	big_schema('builds');
	like(
		said('builds', q{SET transaction_timeout = '2s'; CALL procrastinate_migrate('0024')}),
		qr/WARNING:  transaction_timeout may.*\n.*the longest step takes about 1\.\d s\.$/m,
		'unless an index build takes longer');

	queue('ended', 24, 10)->close;
	my $holder = session('ended');
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my $said = said('ended',
		q{SET transaction_timeout = '1s'; SELECT procrastinate_upgrade('0025'); SELECT 1});
	$holder->query('COMMIT');
	$holder->close;
	like(
		$said,
		qr/FATAL:  terminating connection due to transaction timeout$/m,
		'transaction_timeout ends the session, with an error that names it');
	is_at($node, $database, 'ended', 24, 'nothing has been changed');
	like(said('ended', q{SET transaction_timeout = 0; SELECT procrastinate_upgrade('0025')}),
		qr/Running upgrade 0024 -> 0025/, 'a new session runs it without the timeout');
	return;
}

# The pauses of a run are longer than the timeouts.
sub idle_timeouts
{
	queue('idle', 24, 10)->close;
	my ($holder, $caller) = map { session('idle') } 1 .. 2;
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	$caller->query('SET client_min_messages = notice; '
		  . "SET idle_in_transaction_session_timeout = '1ms'; SET idle_session_timeout = '1s'");
	$caller->send(q{CALL procrastinate_migrate('0025', lock_timeout => '1 ms')});
	$caller->notice(qr/tried \d+ times/);
	$holder->query('COMMIT');
	is(($caller->wait)[1], '', 'timeouts of idle sessions do not end a run');
	is_at($node, $database, 'idle', 25, 'to 0025');
	$_->close foreach $holder, $caller;
	return;
}

# Steps that are done before the statement_timeout stay.
sub an_online_run_is_ended
{
	queue('online', 24, 10)->close;
	my $holder = session('online');
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my $call = q{CALL procrastinate_migrate('0025', lock_timeout => '50 ms')};
	my $said = said('online', "SET statement_timeout = '5s'; $call");
	like($said, $error, 'statement_timeout ends an online run');
	my $step = qr/migration 0025 \(\S+\), step/;
	like(
		$said,
		qr/^DETAIL:\ \ statement_timeout\ is\ 5s\ for\ the\ whole\ statement\.\ The\ call\ was\ at
			\ $step\ 2\ \(.*?\)\.\ The\ last\ step\ that\ it\ has\ completed\ is\ $step\ 1
			\ \(.*?\)\.
			\ What\ it\ has\ committed\ stays,\ and\ the\ next\ call\ continues\ from\ there\.$/mx,
		'the error says how far it has come');
	is(
		hint_of($said),
		"SET statement_timeout = 0;\n"
		  . q{CALL public.procrastinate_migrate('0025', schema => 'online',}
		  . q{ lock_timeout => '50 ms');},
		'and what to run');
	my $again = said('online', "SET statement_timeout = '2s'; $call");
	like(
		$again,
		qr/^DETAIL: .* The call was at $step 2 \(.*\)\. It has completed no step\. /m,
		'the next call may complete none');
	$holder->query('COMMIT');
	unlike(said('public', hint_of($said)), qr/ERROR/, 'the HINT runs when pasted');
	is_at($node, $database, 'online', 25, 'to 0025');
	$holder->close;
	return;
}

sub an_upgrade_is_ended
{
	queue('at_once', 24, 10)->close;
	my $holder = session('at_once');
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	my $detail = qr/^DETAIL:\ \ statement_timeout\ is\ 5s\ for\ the\ whole\ statement\.\ The
		\ upgrade\ is\ one\ transaction,\ which\ has\ been\ rolled\ back\.$/mx;
	my $limit = q{SET statement_timeout = '1s';};
	my $rest  = "SET statement_timeout = 0;\n"
	  . q{SELECT public.procrastinate_upgrade('0025', schema => 'at_once'};
	my $dry = said('at_once', "$limit SELECT procrastinate_upgrade('0025', dry_run => true)");
	like($dry, $error, 'statement_timeout ends a dry run');
	is(hint_of($dry), "$rest, dry_run => true);", 'the HINT repeats it');
	# Long enough for a slow machine to come to the lock.
	my $said =
	  said('at_once', q{SET statement_timeout = '5s'; SELECT procrastinate_upgrade('0025')});
	like($said, $error,  'statement_timeout ends an upgrade');
	like($said, $detail, 'the error names it');
	is(hint_of($said), "$rest);", 'and says what to run');
	like($said, qr/^CONTEXT:  .*^migration 0025 \(\S+\), line \d+$/ms, 'the CONTEXT says where');
	my $block = said('at_once', "$limit BEGIN; SELECT procrastinate_upgrade('0025')");
	is(hint_of($block), "ROLLBACK;\n$rest);", 'in a transaction block the HINT ends that first');
	$holder->query('COMMIT');
	unlike(said('public', "BEGIN; SELECT 1 / 0;\n" . hint_of($block)),
		qr/ERROR:  (?!division)/, 'the HINT runs when pasted');
	is_at($node, $database, 'at_once', 25, 'the schema is at 0025');
	$holder->close;
	return;
}

sub a_wait_is_ended
{
	queue('waited', 24, 10)->close;
	my $limit = q{SET statement_timeout = '2s';};
	my $told  = qr/WARNING:\ \ statement_timeout\ ends\ the\ wait\ before\ its\ own\ timeout\n
		DETAIL:\ \ statement_timeout\ is\ 2s\ for\ the\ whole\ call\.\n
		HINT:\ \ SET\ statement_timeout\ =\ 0;\n.*ERROR:/msx;
	foreach my $case ([ '', '' ], [ q{, timeout => '1 h'}, q{, timeout => '1 hour'} ])
	{
		my ($given, $shown) = @$case;
		my $said = said('waited', "$limit CALL procrastinate_wait('0025'$given)");
		like($said, $told,  "a wait for '0025'$given warns");
		like($said, $error, 'and is ended');
		like($said, qr/^DETAIL: .* The schema has not reached the target meanwhile\.$/m,
			'the error says so');
		like(
			$said,
			qr/^HINT:\ \ SET\ statement_timeout\ =\ 0;\n
				CALL\ public\.procrastinate_wait\('0025'\Q$shown\E,\ schema\ =>\ 'waited'\);$/mx,
			'and how to wait longer');
	}
	my $short = said('waited',
		q{SET statement_timeout = '1min'; CALL procrastinate_wait('0025', timeout => '1 ms')});
	like($short, qr/ERROR:  schema "waited" is not at 0025/, 'a wait that ends before');
	unlike($short, $warning, 'does not warn');
	unlike(said('waited', "$limit CALL procrastinate_wait('0024')"),
		$warning, 'nor does one that has nothing to wait for');
	return;
}

# An error in one of the library's own queries does not show all of the query.
sub a_long_query_fails
{
	queue('long_query', 24, 10)->close;
	my $holder = session('long_query');
	$holder->query('BEGIN; LOCK TABLE pg_catalog.pg_sequence IN ACCESS EXCLUSIVE MODE');
	my $said =
	  said('long_query', q{SET lock_timeout = '50ms'; SELECT * FROM procrastinate_detect()});
	like($said, qr/^CONTEXT: .*^?SQL statement ".{20,220}\.\.\."$/m,
		'the CONTEXT has the beginning of a long query');
	cmp_ok($said =~ tr/\n//, '<', 8, 'and nothing more');
	$holder->query('COMMIT');
	$holder->close;
	return;
}

# Errors by lock_timeout and by a cancel are left as they are.
sub other_errors
{
	queue('others', 24, 10)->close;
	my $holder = session('others');
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
	unlike(said('others', q{SET lock_timeout = '50ms'; SELECT procrastinate_upgrade('0025')}),
		qr/statement_timeout/, 'an error by lock_timeout does not name statement_timeout');
	my $caller = session('others');
	$caller->send(q{SET statement_timeout = '1h'; SELECT procrastinate_upgrade('0025')});
	until_blocked($caller);
	run_sql("SELECT pg_cancel_backend($caller->{pid})");
	$caller->{run}->pump until $caller->{err} =~ /is done/;
	like($caller->{err}, qr/ERROR:  57014: canceling statement due to user request/, 'a cancel');
	unlike($caller->{err}, qr/SET statement_timeout/, 'nor does it');
	$caller->wait;
	$holder->query('COMMIT');
	$_->close foreach $holder, $caller;
	return;
}
