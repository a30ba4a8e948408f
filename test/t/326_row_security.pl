# Row-level security that somebody has switched on, by hand or by an event trigger. No policy
# applies to the owner of a table, unless it is forced.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'row_security');
my $database = new_database($node);
look_as_roles($node, $database);
query('CREATE ROLE owner LOGIN');

# The owner upgrades.
sub reaches
{
	my ($revision, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return allowed('owner',
		"SET client_min_messages = error; SELECT procrastinate_upgrade('$revision', 'jobs')",
		$revision, $name);
}

sub is_at_head
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(query(q{SELECT revision FROM procrastinate_current('jobs')}), $HEAD_NAME, $name);
	query('DROP SCHEMA jobs CASCADE');
	return;
}

# Every new table, from an empty database on.
query(<<'SQL');
CREATE FUNCTION secure() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog AS $$
DECLARE
	made record;
BEGIN
	FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made.object_identity);
	END LOOP;
END $$;
CREATE EVENT TRIGGER secure ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
	EXECUTE FUNCTION secure();
SQL
my %ways = (
	'the steps'   => q{CALL procrastinate_migrate('head', 'jobs')},
	'one call'    => q{SELECT procrastinate_upgrade('head', 'jobs')},
	'two calls'   => q{SELECT procrastinate_upgrade('0028', 'jobs')},
	'the scripts' => join("\n",
		query(q{CREATE SCHEMA jobs; SELECT procrastinate_sql('base:0028', 'jobs')}),
		query(q{SELECT procrastinate_sql('0028:head', 'jobs')})),);
query('DROP SCHEMA jobs');
foreach my $way (sort keys %ways)
{
	query('CREATE SCHEMA jobs AUTHORIZATION owner');
	{
		local $ENV{PGUSER} = 'owner';
		my (undef, undef, $error) =
		  $node->psql($database, "SET client_min_messages = warning;\n$ways{$way}");
		is($error, '', "an installation by the owner: $way");
	}
	reaches($HEAD_NAME, 'goes on') if $way eq 'two calls';
	is( query(
			q{SELECT count(*) FROM pg_class WHERE relnamespace = 'jobs'::regnamespace}
			  . q{ AND relkind = 'r' AND NOT relrowsecurity}
		),
		'0',
		'each table has row-level security');
	is_at_head("$way: the schema is at head");
}
query('DROP EVENT TRIGGER secure');

# By hand, with a policy that would hide everything.
query('CREATE SCHEMA jobs AUTHORIZATION owner');
allowed('owner', q{SELECT procrastinate_upgrade('0028', 'jobs')}, '0028', 'at 0028');
my @tables = split /\n/,
  query(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'jobs'::regnamespace}
	  . q{ AND relkind = 'r'});
query("ALTER TABLE $_ ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON $_ USING (false)")
  foreach @tables;
reaches('0030', 'the owner goes on where policies hide all rows from others');
my $history = 'jobs.procrastinate_schema_history';
query("ALTER TABLE $history FORCE ROW LEVEL SECURITY");
my $call  = q{SELECT procrastinate_upgrade('0031', 'jobs')};
my $error = refused(
	'owner', $call,
	qr/PM010: row-level security is forced on table jobs\.procrastinate_schema_history/,
	'a forced policy is refused');
my ($hint) = $error =~ /^HINT:  (.*)/m;
is($hint, "ALTER TABLE $history NO FORCE ROW LEVEL SECURITY;", 'the HINT does not throw it away');
refused(
	'postgres', $call,
	qr/PM010: row-level security is forced/,
	'a superuser acts as the owner');
is(query(q{SELECT revision FROM procrastinate_current('jobs')}), '0030', 'reading works');
{
	local $ENV{PGUSER} = 'owner';
	my $script = query(q{SELECT procrastinate_sql('0030:0031', 'jobs')});
	my (undef, undef, $refused) = $node->psql($database, $script, on_error_stop => 1);
	like(
		$refused,
		qr/ERROR:  row-level security is forced on .*\nDETAIL: .*\n\QHINT:  $hint\E/,
		'a script is refused with the same HINT');
}
query($hint);
reaches($HEAD_NAME, 'which is enough');
is_at_head('the schema is at head');
# Tables without a history are adopted.
query('CREATE SCHEMA jobs AUTHORIZATION owner');
reaches('0030', 'a schema at 0030');
query('ALTER TABLE jobs.procrastinate_jobs ENABLE ROW LEVEL SECURITY;'
	  . ' DROP TABLE jobs.procrastinate_schema_history');
reaches('0031', 'is adopted and upgraded without its history');
query('DROP SCHEMA jobs CASCADE');

# Other tables than the history, at revisions whose migrations read or write rows. Nothing may have
# been done before the refusal.
sub script_error
{
	my ($range) = @_;
	local $ENV{PGUSER} = 'owner';
	my $script = query(qq{SELECT procrastinate_sql('$range', 'Jobs')});
	my (undef, undef, $err) = $node->psql($database, $script, on_error_stop => 1);
	return $err;
}

foreach my $case (
	[ '0023', '0024', 'procrastinate_events' ],
	[ '0023', '0024', 'procrastinate_jobs' ],
	[ '0029', '0031', 'procrastinate_jobs', 'procrastinate_events' ],
	[ '0036', '0037', 'procrastinate_workers', 'procrastinate_schema_history' ])
{
	my ($start, $target, @forced) = @$case;
	my $label = "@forced at $start";
	my @names = map { qq{"Jobs".$_} } sort @forced;
	query('CREATE SCHEMA "Jobs" AUTHORIZATION owner');
	as_role('owner', qq{SELECT procrastinate_upgrade('$_', 'Jobs')})
	  foreach grep { $_ lt $start } '0028';
	allowed('owner', qq{SELECT procrastinate_upgrade('$start', 'Jobs')}, $start,
		"$label: installed");
	query("ALTER TABLE $_ ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY") foreach @names;
	foreach my $call (
		"CALL procrastinate_migrate('$target', 'Jobs')",
		"SELECT procrastinate_upgrade('$target', 'Jobs')",
		"SELECT procrastinate_upgrade('$target', 'Jobs', dry_run => true)",
		"SET procrastinate_migrate.verify = off; SELECT procrastinate_upgrade('$target', 'Jobs')",
		"SELECT count(*) FROM procrastinate_repair(schema => 'Jobs', dry_run => false)")
	{
		foreach my $role (qw(owner postgres))
		{
			my $err = refused(
				$role, $call,
				qr/PM010: row-level security is forced on tables? [^\n]*\Q$names[-1]\E/,
				"$label: refused for $role: $call");
			is_deeply(
				[ sort $err =~ /(ALTER TABLE .*;)$/mg ],
				[ map { "ALTER TABLE $_ NO FORCE ROW LEVEL SECURITY;" } @names ],
				'the HINT switches it off');
		}
	}
	my $script_error = script_error("$start:$target");
	like(
		$script_error,
		qr/row-level security is forced on tables? [^\n]*\Q$names[-1]\E/,
		"$label: a script is refused");
	my @statements = $script_error =~ /(ALTER TABLE .*;)$/mg;
	is_deeply(
		\@statements,
		[ map { "ALTER TABLE $_ NO FORCE ROW LEVEL SECURITY;" } @names ],
		'with the same HINT');
	my $read = query(q{SELECT revision, source FROM procrastinate_current('Jobs')});
	is($read, "$start|upgrade", "$label: nothing was done");
	if ("@forced" !~ /history/)
	{
		allowed(
			'owner', qq{SELECT procrastinate_upgrade('$start', 'Jobs')},
			$start, "$label: a call without work succeeds");
		is(script_error("0001:$start") =~ /^ERROR/m ? 'error' : '',
			'', "$label: and so does a script");
		allowed('owner', qq{SELECT procrastinate_stamp('$start', false, 'Jobs')},
			$start, "$label: and stamp, which reads the catalog only");
	}
	query('ALTER ROLE owner BYPASSRLS');
	allowed(
		'owner',
		'SET client_min_messages = error;'
		  . " SELECT procrastinate_upgrade('$target', 'Jobs', dry_run => true)",
		$target,
		"$label: BYPASSRLS is not hindered") if $start ne '0029';
	query('ALTER ROLE owner NOBYPASSRLS');
	query("@statements");
	my ($out, $err) = as_role('postgres',
		"\\c - owner\nSET client_min_messages = error;\nCALL procrastinate_migrate('$target', 'Jobs')");
	is($err, '', "$label: the HINT is enough");
	is(query(q{SELECT revision FROM procrastinate_current('Jobs')}), $target, 'at the target');
	query('DROP SCHEMA "Jobs" CASCADE');
}
done_testing();
