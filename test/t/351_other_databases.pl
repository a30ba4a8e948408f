# Rows of the history that another database has written, by replication or a restore of the data,
# and a schema that another tool has moved on: the catalog decides.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

# initdb gives each a system identifier of its own.
my @init = (allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--locale=C' ]);
my %node = map { $_ => start_server(name => $_, init => \@init) } qw(publisher subscriber);
my $database = 'app';
foreach my $node (values %node)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database,  'CREATE EXTENSION procrastinate_migrate');
}
my $publisher = $node{publisher}->connstr($database);
my $before    = revision_name($HEAD - 2);

replication();
replication_without_own_rows();
restored_data();
moved_on_by_hand();
moved_on_and_altered();
lost_tables();
locked_tables();
copy_with_a_difference();
copy_in_the_middle();
copy_with_other_rows();
$_->stop foreach values %node;
done_testing();

# The rows and the messages of a query.
sub answer
{
	my ($name, $sql) = @_;
	my (undef, $out, $err) = $node{$name}->psql($database, $sql);
	$err =~ s/^psql:<stdin>:\d+: //mg;
	return ($out, $err);
}

sub rows_are
{
	my ($name, $sql, $expected, $label) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = answer($name, $sql);
	return is($out, $expected, $label) || diag($err);
}

# Publishes all tables, and waits until the subscriber has copied them.
sub subscribe
{
	$node{publisher}->safe_psql($database, 'CREATE PUBLICATION everything FOR ALL TABLES');
	$node{subscriber}->safe_psql($database,
		"CREATE SUBSCRIPTION everything CONNECTION ${\lit($publisher)} PUBLICATION everything");
	$node{subscriber}->wait_for_subscription_sync($node{publisher}, 'everything', $database);
	return;
}

sub catch_up { return $node{publisher}->wait_for_catchup('everything'); }

sub unsubscribe
{
	$node{subscriber}->safe_psql($database, 'DROP SUBSCRIPTION everything');
	$node{publisher}->safe_psql($database, 'DROP PUBLICATION everything');
	$_->safe_psql($database,
		'SET client_min_messages = error; DROP SCHEMA IF EXISTS queue CASCADE')
	  foreach values %node;
	return;
}

sub defer_job
{
	return $node{publisher}->safe_psql($database,
		q{SET search_path = queue; INSERT INTO procrastinate_jobs (queue_name, task_name)}
		  . q{ VALUES ('q', 't')});
}

sub job_is_replicated
{
	my ($label) = @_;
	defer_job();
	return ok(
		$node{subscriber}
		  ->poll_query_until($database, 'SELECT count(*) = 1 FROM queue.procrastinate_jobs'),
		$label);
}

# Both have an installation, and each upgrades at its own time.
sub replication
{
	foreach my $first (qw(publisher subscriber))
	{
		upgrade($_, $database, $HEAD - 2, 'queue') foreach values %node;
		subscribe();
		my ($second) = grep { $_ ne $first } keys %node;
		my $state = q{SELECT c.revision, (SELECT count(*) FROM procrastinate_pending(schema =>}
		  . q{ 'queue')) FROM procrastinate_current('queue') c};
		upgrade($node{$first}, $database, 'head', 'queue');
		catch_up();
		rows_are($first,  $state, "$HEAD_NAME|0", "$first first: it is at head");
		rows_are($second, $state, "$before|2",    "$first first: the other is where it was");
		upgrade($node{$second}, $database, 'head', 'queue');
		rows_are($second, $state, "$HEAD_NAME|0", "$first first: and comes to head");
		job_is_replicated("$first first: jobs are replicated");
		rows_are(
			'subscriber',
			q{SELECT is_own, count(*) > 0, count(DISTINCT id) = count(*)}
			  . q{ FROM procrastinate_log('queue') GROUP BY is_own ORDER BY is_own},
			"f|t|t\nt|t|t",
			"$first first: the log tells the rows apart");
		unsubscribe();
	}
	return;
}

# The subscriber has the tables from a dump of the structure.
sub replication_without_own_rows
{
	upgrade($node{publisher}, $database, $HEAD - 2, 'queue');
	my $structure = "$PostgreSQL::Test::Utils::tmp_check/structure.sql";
	IPC::Run::run([ $node{publisher}->installed_command('pg_dump'),
			'-d', $publisher, '--schema-only', '--schema=queue', '-f', $structure ])
	  or die 'pg_dump';
	$node{subscriber}->safe_psql($database, slurp_file($structure));
	subscribe();
	upgrade($node{publisher}, $database, 'head', 'queue');
	catch_up();
	my ($out, $err) = answer('subscriber', q{SELECT revision FROM procrastinate_current('queue')});
	is($out, $before, 'rows of another database do not count');
	is( $err,
		qq{NOTICE:  schema "queue" has the history of another database only; its catalog is that}
		  . " of $before",
		'and the NOTICE says so');
	($out, $err) = answer('subscriber', q{SELECT procrastinate_upgrade('head', 'queue')});
	is($out, $HEAD_NAME, 'an upgrade goes on from there');
	like(
		$err,
		qr/^NOTICE:  schema "queue" has .* only; its catalog is that of $before, which is recorded/m,
		'after it has adopted it');
	job_is_replicated('jobs are replicated');
	unsubscribe();
	return;
}

sub restored_data
{
	upgrade($node{publisher},  $database, 'head',    'queue');
	upgrade($node{subscriber}, $database, $HEAD - 2, 'queue');
	defer_job();
	my $data = "$PostgreSQL::Test::Utils::tmp_check/data.sql";
	IPC::Run::run([ $node{publisher}->installed_command('pg_dump'),
			'-d', $publisher, '--data-only', '--disable-triggers', '--schema=queue', '-f', $data ])
	  or die 'pg_dump';
	my (undef, $err) = answer('subscriber', "\\set ON_ERROR_STOP 1\n" . slurp_file($data));
	unlike($err, qr/ERROR/, 'the data of another database can be restored');
	rows_are(
		'subscriber', q{SELECT revision FROM procrastinate_current('queue')},
		$before,      'and the revision is that of before');
	$_->safe_psql($database, 'SET client_min_messages = error; DROP SCHEMA queue CASCADE')
	  foreach values %node;
	return;
}

# Another tool has run migrations: all that read speak of the catalog's revision, and a change
# records it.
sub moved_on_by_hand
{
	my $node = $node{publisher};
	upgrade($node, $database, $HEAD - 2, 'queue');
	move_on_by_hand('queue');

	# What users add tells nothing of the revision.
	$node->safe_psql($database, <<'SQL');
CREATE INDEX own_idx ON queue.procrastinate_jobs (task_name);
ALTER TABLE queue.procrastinate_jobs ADD own text;
ALTER TABLE queue.procrastinate_events ENABLE ROW LEVEL SECURITY;
ALTER FUNCTION queue.procrastinate_unlink_periodic_defers_v1() SET work_mem = '8MB';
ALTER FUNCTION queue.procrastinate_prune_stalled_workers_v1(double precision)
	SET search_path = "$user", queue, public;
SQL
	my $notice =
	  qq{NOTICE:  the history of schema "queue" says $before, but its catalog is that of $HEAD_NAME};
	my %reads = (
		q{SELECT revision, source FROM procrastinate_current('queue')} => "$HEAD_NAME|catalog",
		q{SELECT count(*) FROM procrastinate_pending(schema => 'queue')}         => '0',
		q{SELECT count(*) FROM procrastinate_plan(schema => 'queue')}            => '0',
		q{SELECT max(revision) FROM procrastinate_history(schema => 'queue') WHERE is_applied} =>
		  $HEAD_NAME,
		q{SELECT revision FROM procrastinate_supports('3.9.0', 'queue')}         => $HEAD_NAME,
		q{SELECT count(*) FROM procrastinate_check(schema => 'queue') WHERE severity <> 'info'} =>
		  '0',
		qq{SELECT procrastinate_require('$HEAD_NAME', schema => 'queue')}        => $HEAD_NAME,);
	foreach my $read (sort keys %reads)
	{
		my ($out, $err) = answer('publisher', $read);
		is($out, $reads{$read}, $read);
		is($err, $notice,       'with a NOTICE');
	}
	my ($out, $err) = answer('publisher',
		qq{CALL procrastinate_wait('$HEAD_NAME', timeout => '1 min', schema => 'queue')});
	is($err, $notice, 'a wait for it returns, with the NOTICE');
	($out, $err) = answer('publisher', q{SELECT procrastinate_upgrade('head', 'queue')});
	is($out, $HEAD_NAME, 'an upgrade has nothing to do');
	like($err, qr/^\Q$notice\E, which is recorded now$/m, 'says why');
	rows_are(
		'publisher',
		q{SELECT event, from_revision, to_revision FROM procrastinate_log('queue')}
		  . q{ ORDER BY id DESC LIMIT 1},
		"adopt|$before|$HEAD_NAME",
		'and records it');
	($out, $err) = answer('publisher', q{SELECT revision FROM procrastinate_current('queue')});
	is("$out$err", $HEAD_NAME, 'once');
	$node->safe_psql($database, <<'SQL');
DROP INDEX queue.own_idx;
ALTER TABLE queue.procrastinate_jobs DROP own;
ALTER TABLE queue.procrastinate_events DISABLE ROW LEVEL SECURITY;
ALTER FUNCTION queue.procrastinate_unlink_periodic_defers_v1() RESET ALL;
ALTER FUNCTION queue.procrastinate_prune_stalled_workers_v1(double precision) RESET ALL;
SQL
	return;
}

# The last two migrations, as another tool runs them.
sub move_on_by_hand
{
	my ($schema) = @_;
	foreach my $revision ($HEAD - 1, $HEAD)
	{
		my $sql = $node{publisher}->safe_psql($database,
			"SELECT procrastinate_migration_sql('" . revision_name($revision) . "')");
		$node{publisher}->safe_psql($database, "SET search_path = $schema;\n$sql");
	}
	return;
}

# No call and no HINT puts the recorded revision's objects in the place of later ones.
sub moved_on_and_altered
{
	my $node = $node{publisher};
	$node->safe_psql($database, 'CREATE SCHEMA altered');
	upgrade($node, $database, $HEAD - 2, 'altered');
	move_on_by_hand('altered');
	$node->safe_psql($database, 'DROP INDEX altered.procrastinate_jobs_queue_name_idx_v1');
	my $complete =
	  qr/^HINT:  Objects of later migrations are there\. \N+ complete $HEAD_NAME: (\N+)\);$/m;
	my $migrate = q{CALL procrastinate_migrate(schema => 'altered')};
	my (undef, $error) = answer('publisher', $migrate);
	like($error, $complete, 'a change names the later revision');
	unlike($error, qr/Move|procrastinate_stamp/, 'and nothing else');
	my $repair = q{SELECT * FROM procrastinate_repair(schema => 'altered', dry_run => false)};
	(undef, $error) = answer('publisher', $repair);
	like(
		$error,
		qr/^ERROR:  the catalog of schema "altered" is nearer to $HEAD_NAME than to $before$/m,
		'a repair asks');
	my ($call) = $error =~ $complete;
	like($call, qr/procrastinate_repair\('$HEAD_NAME'/, 'and leads to the later one');
	$node->safe_psql($database, "$call, dry_run => false)");
	is( $node->safe_psql($database,
			q{SELECT revision || exact FROM procrastinate_detect('altered')}),
		"${HEAD_NAME}true", 'what the HINT calls repairs it');
	is( $node->safe_psql($database, q{SELECT revision FROM procrastinate_current('altered')}),
		$HEAD_NAME, 'and records it');
	$node->safe_psql($database, 'DROP SCHEMA altered CASCADE');
	return;
}

sub lost_tables
{
	my $node = $node{publisher};
	$node->safe_psql($database, <<'SQL');
SET client_min_messages = error;
CREATE SCHEMA kept;
CREATE TABLE kept.procrastinate_schema_history
	(LIKE queue.procrastinate_schema_history INCLUDING ALL);
INSERT INTO kept.procrastinate_schema_history SELECT * FROM queue.procrastinate_schema_history;
SQL
	my $gone = qr/^ERROR:  schema "kept" has no table procrastinate_jobs, but its history says/m;
	foreach my $read (
		q{procrastinate_supports('3.9.0', 'kept')}, q{procrastinate_plan(schema => 'kept')},
		q{procrastinate_require('head', schema => 'kept')})
	{
		my (undef, $err) = answer('publisher', "SELECT * FROM $read");
		like($err, $gone, "a history without its tables is told: $read");
	}
	rows_are(
		'publisher',
		q{SELECT revision, source FROM procrastinate_current('kept')},
		"$HEAD_NAME|there is a history, but no table procrastinate_jobs",
		'by procrastinate_current(), too');
	my (undef, $err) = answer('publisher', q{SELECT procrastinate_upgrade('head', 'kept')});
	like($err, $gone, 'an upgrade is refused');
	return;
}

# While another session changes the tables, the history counts: nobody waits to read it.
sub locked_tables
{
	my $node   = $node{publisher};
	my $holder = user_session($node, $database, 'queue');
	$holder->query("SELECT procrastinate_stamp('$before', verify => false)");
	$holder->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE');
	rows_are(
		'publisher',
		q{SET statement_timeout = '1 min'; SELECT revision FROM procrastinate_current('queue')},
		$before, 'while the tables are locked, the history tells the current revision');
	$holder->query('COMMIT');
	rows_are(
		'publisher', q{SELECT revision FROM procrastinate_current('queue')},
		$HEAD_NAME,  'then the catalog');
	$holder->query('SELECT procrastinate_adopt()');
	$holder->close;
	return;
}

# The call that the HINT of a copy names.
sub hinted_adoption
{
	my ($error) = @_;
	my ($call) = $error =~ /^HINT:  If this database is a copy .*?: (SELECT .*, copy => true\);)$/m;
	return $call // BAIL_OUT("no call in: $error");
}

# A copy whose catalog matches no revision exactly.
sub copy_with_a_difference
{
	my $node = $node{publisher};
	$node->safe_psql('postgres', "CREATE DATABASE differs TEMPLATE $database");
	$node->safe_psql('differs', 'DROP INDEX queue.procrastinate_jobs_queue_name_idx_v1');
	my (undef, undef, $err) = $node->psql('differs',
		q{SELECT procrastinate_require('head', drift => 'ignore', schema => 'queue')});
	like(
		$err,
		qr/ has the history of another database only\nDETAIL:  Its rows do not count here/,
		'its revision is not known');
	my $only = 'has the history of another database only';
	is( $node->safe_psql('differs', q{SELECT source FROM procrastinate_current('queue')}),
		"the schema $only", 'procrastinate_current() says why');
	my (undef, undef, $notice) =
	  $node->psql('differs', q{SELECT count(*) FROM procrastinate_check(schema => 'queue')});
	like(
		$notice,
		qr/NOTICE:  schema "queue" $only; by its catalog it is nearest to $HEAD_NAME/,
		'procrastinate_check() names the nearest revision');
	(undef, undef, my $late) = $node->psql('differs',
		q{CALL procrastinate_wait('head', timeout => '1 ms', schema => 'queue')});
	like($late, qr/DETAIL:  The schema $only\.$/m, 'a wait says why');
	is(hinted_adoption($late), hinted_adoption($err), 'with the same call in its HINT');
	(undef, undef, my $no_script) =
	  $node->psql('differs', q{SELECT procrastinate_sql('current:head', schema => 'queue')});
	like($no_script, qr/DETAIL:  .* and the schema $only\.$/m, 'a script does, too');
	$node->safe_psql('differs',
		q{CREATE FUNCTION queue.procrastinate_x() RETURNS void LANGUAGE sql AS ''});
	(undef, undef, my $unknown) = $node->psql('differs', hinted_adoption($err));
	like(
		$unknown,
		qr/ERROR:  schema "queue" holds objects of Procrastinate's names that no known revision/,
		'an object that no known revision has is refused');
	$node->safe_psql('differs', 'DROP FUNCTION queue.procrastinate_x()');
	is( $node->safe_psql(
			'differs',
			hinted_adoption($err)
			  . q{SELECT procrastinate_require('head', drift => 'ignore', schema => 'queue')}),
		"$HEAD_NAME\n$HEAD_NAME",
		'until the call in the HINT records it');
	(undef, my $revision, my $again) = $node->psql('differs', hinted_adoption($err));
	is($revision, $HEAD_NAME, 'a second call returns it');
	like($again, qr/^\S*\s?NOTICE:  schema "queue" is at $HEAD_NAME .*: nothing to do$/m,
		'and has nothing to do');
	is( $node->safe_psql('differs',
			q{SELECT count(*) FROM procrastinate_log('queue') WHERE is_own}),
		'1', 'nor does it record a row');
	return;
}

# A copy of a database whose migration is under way: its catalog does not tell what is left. After
# 0030.1 it is that of 0030, and the jobs have not been changed yet.
sub copy_in_the_middle
{
	my $node = $node{publisher};
	foreach my $case ([ 23, '0024.5' ], [ 29, '0030.2' ])
	{
		my ($before, $step) = @$case;
		my $schema = "midway_$before";
		my $next   = revision_name($before + 1);
		upgrade($node, $database, $before, $schema);
		my ($reader, $caller) = map { user_session($node, $database, $schema) } 1 .. 2;
		if ($before == 23)
		{
			$reader->query('BEGIN; LOCK TABLE procrastinate_jobs IN ROW EXCLUSIVE MODE');
			$caller->send("CALL procrastinate_migrate('$next')");
			cancelled_after($node, $database, $caller, $schema, $step);
		}
		else
		{
			# As if the call had been ended after the step: the rest changes no object.
			$caller->query("CALL procrastinate_migrate('$next')");
			$caller->query('DELETE FROM procrastinate_schema_history WHERE id > (SELECT id FROM'
				  . " procrastinate_schema_history WHERE event = 'step $step')");
		}
		$_->close foreach $reader, $caller;
		$node->safe_psql('postgres', "CREATE DATABASE copy_$before TEMPLATE $database");
		my $migrate = "CALL procrastinate_migrate('$next', '$schema');";
		my (undef, undef, $err) = $node->psql("copy_$before", $migrate);
		like(
			$err,
			qr/ERROR:  schema "$schema" has the history of another database only/,
			"a copy after $step is refused");
		# A row of a third database, with the id of another row.
		$node->safe_psql("copy_$before",
			"INSERT INTO $schema.procrastinate_schema_history (id, event, from_revision,"
			  . ' to_revision, applied_at, duration, version, system_identifier, database_oid)'
			  . q{ VALUES (1, 'upgrade', '0001', '0002', '2001-01-01', '0', 'x', 1, 1)});
		my $adopt = hinted_adoption($err);
		is( $node->safe_psql("copy_$before", "SET client_min_messages = error; $adopt"),
			revision_name($before), 'the call in the HINT records it');
		is( $node->safe_psql(
				"copy_$before",
				qq{SELECT event, from_revision, to_revision FROM procrastinate_log('$schema')}
				  . ' WHERE is_own'),
			"step $step|" . join('|', (revision_name($before)) x 2),
			'with the step');
		$node->safe_psql("copy_$before", "SET client_min_messages = error; $migrate");
		is_at($node, "copy_$before", $schema, $before + 1, 'it goes on as the HINT says');
	}
	return;
}

# What a row of another database says counts only if the catalog does not say otherwise.
sub copy_with_other_rows
{
	my $node    = $node{publisher};
	my $present = revision_name($HEAD - 1);
	my $insert  = 'INSERT INTO told.procrastinate_schema_history (id, event, from_revision,'
	  . ' to_revision, applied_at, duration, version, system_identifier, database_oid) VALUES';
	$node->safe_psql($database, 'CREATE SCHEMA told');
	upgrade($node, $database, $HEAD - 1, 'told');
	foreach my $row (
		q{1, 'upgrade', '0004', '0005', now()},
		q{1, 'upgrade', '0004', '0005', 'infinity'},
		q{1, 'step 0031.4', '0030', '0030', now()})
	{
		$node->safe_psql($database, "DELETE FROM told.procrastinate_schema_history; $insert ($row,"
			  . q{ '0', 'x', 1, 1)});
		my ($out) = answer('publisher', q{SELECT procrastinate_adopt('told', copy => true)});
		is($out, $present, "an exact match of the catalog counts more than the row $row");
		rows_are(
			'publisher',
			q{SELECT event, from_revision, to_revision FROM procrastinate_log('told')}
			  . ' WHERE is_own',
			"adopt|base|$present",
			'and is recorded');
	}
	$node->safe_psql($database, <<"SQL");
DELETE FROM told.procrastinate_schema_history;
DROP INDEX told.procrastinate_jobs_queue_name_idx_v1;
$insert (1, 'upgrade', '$present', '$present', now(), '0', 'x', 1, 1),
	(2, 'upgrade', '0004', '0005', 'infinity', '0', 'x', 1, 1);
SQL
	my ($out) = answer('publisher', q{SELECT procrastinate_adopt('told', copy => true)});
	is($out, $present, 'a row that was written at no time does not count');
	$node->safe_psql($database, 'SET client_min_messages = error; DROP SCHEMA told CASCADE');
	return;
}
