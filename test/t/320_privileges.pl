# Who can install, change and read. A change is made as the role that owns the installation,
# not as the caller. Missing privileges are reported before anything is changed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'privileges');
my $database = new_database($node);
my $super    = $node->safe_psql($database, 'SELECT current_user');
look_as_roles($node, $database);
$node->safe_psql($database, <<'SQL');
CREATE ROLE creator;
CREATE ROLE owners;
CREATE ROLE member IN ROLE owners;
CREATE ROLE onlooker;
CREATE ROLE mallory;
CREATE SCHEMA jobs;
GRANT CREATE, USAGE ON SCHEMA jobs TO creator;
SQL

# ---- The extension itself -----------------------------------------------------------------------

is( query(q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'procrastinate\_%' AND prosecdef}),
	'0', 'no function is SECURITY DEFINER');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE landlord LOGIN;
CREATE DATABASE landlords OWNER landlord;
SQL
is( $node->safe_psql(
		'landlords',
		'CREATE EXTENSION procrastinate_migrate; SET client_min_messages = warning;'
		  . ' CREATE SCHEMA jobs; SELECT procrastinate_upgrade(schema => \'jobs\')',
		extra_params => [ '-U', 'landlord' ]),
	$HEAD_NAME,
	'the owner of a database, who is no superuser, creates the extension and installs');
is( $node->safe_psql(
		'landlords',
		q{SELECT count(*), bool_or(rolsuper) FROM pg_class c JOIN pg_roles r ON r.oid = relowner}
		  . q{ WHERE relnamespace = 'jobs'::regnamespace AND rolname <> 'landlord'}),
	'0|',
	'the owner of the database owns all new objects');

# ---- A role with CREATE on the schema -----------------------------------------------------------

allowed(
	'creator', q{SELECT procrastinate_upgrade('0028', 'jobs')},
	'0028',    'a role that may create in a schema installs there');
allowed('creator', "SELECT procrastinate_upgrade('$_', 'jobs')", $_,
	"a role that may create in a schema upgrades there to $_")
  foreach map { revision_name($_) } commit_points(28, $HEAD), $HEAD;
is( query(
		q{SELECT string_agg(DISTINCT pg_get_userbyid(owner), ',') FROM (}
		  . q{SELECT relowner FROM pg_class WHERE relnamespace = 'jobs'::regnamespace UNION ALL}
		  . q{ SELECT proowner FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace UNION ALL}
		  . q{ SELECT typowner FROM pg_type WHERE typnamespace = 'jobs'::regnamespace) o (owner)}),
	'creator',
	'that role owns all new objects');
is( query(q{SELECT DISTINCT applied_by FROM procrastinate_log('jobs')}),
	$super, 'the log names the role that has logged in');
query(q{REVOKE CREATE ON SCHEMA jobs FROM creator});
refused(
	'creator',
	q{SELECT procrastinate_stamp('head', schema => 'jobs')},
	qr/ERROR:  42501: role "creator" may not change.*\nDETAIL:  CREATE on schema jobs is missing/,
	'an owner without CREATE gets an error before the first change');
query(q{GRANT CREATE ON SCHEMA jobs TO creator});

# ---- A role without rights ----------------------------------------------------------------------

query(
	q{CREATE SCHEMA closed; CREATE SCHEMA installed; GRANT ALL ON SCHEMA installed TO owners;
	GRANT USAGE ON SCHEMA installed TO onlooker});
my $error = refused(
	'onlooker',
	q{SELECT procrastinate_upgrade(schema => 'closed')},
	qr/ERROR:  42501: role "onlooker" may not change the installation in schema "closed"/,
	'a role without any right is refused');
like(
	$error,
	qr/DETAIL:  CREATE on schema closed is missing.\nUSAGE on schema closed is missing\./,
	'the DETAIL lists all missing privileges and objects');
my ($hint) = $error =~ /^HINT:  (.*)$/m;
is($hint, 'GRANT CREATE, USAGE ON SCHEMA closed TO onlooker;',
	'the HINT names the privileges to grant');
query($hint // '');
allowed(
	'onlooker', q{SELECT procrastinate_upgrade('0001', 'closed')},
	'0001',     'the HINT works when pasted');
query(
	q{REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC; CREATE SCHEMA speechless AUTHORIZATION onlooker});
refused(
	'onlooker',
	q{SELECT procrastinate_upgrade(schema => 'speechless')},
	qr/42501: .*\nDETAIL:  USAGE on language plpgsql is missing/,
	'missing USAGE on the language plpgsql is refused');
query(q{GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC});

# ---- Owners, members of the owning role, and everybody else -------------------------------------

query(q{CREATE SCHEMA shared AUTHORIZATION owners});
allowed('owners', q{SELECT procrastinate_upgrade('0030', 'shared')}, '0030', 'a role owns another');
allowed(
	'member', q{SELECT procrastinate_upgrade('0031', 'shared')},
	'0031',   'a member of the owning role upgrades');
allowed($super, q{SELECT procrastinate_stamp('0031', schema => 'shared')}, '0031',
	'so does a superuser');
is(owners_of('shared'), 'owners', 'all objects belong to the owning role');
allowed(
	'owners', q{SELECT procrastinate_upgrade('0032', 'shared')},
	'0032',   'the owner can upgrade after the others');
query(q{ALTER TABLE shared.procrastinate_events OWNER TO creator});
$error = refused(
	'owners', q{SELECT procrastinate_upgrade('0033', 'shared')},
	qr/42501: .*\nDETAIL:  table procrastinate_events belongs to role creator\.$/m,
	'an installation of two roles is refused');
my ($give) = $error =~ /^HINT:  .* to role owners, and drop what is not\.\n(ALTER .*;)$/m;
is( $give,
	'ALTER TABLE shared.procrastinate_events OWNER TO owners;',
	'the HINT is a statement that gives the table to one role');
foreach my $role ('member', $super)
{
	refused(
		$role, q{SELECT procrastinate_upgrade('0033', 'shared')},
		qr/42501: .*\nDETAIL:  table procrastinate_events belongs to role creator\.$/m,
		"an installation of two roles is refused to role $role");
}
query($give);
allowed(
	'owners', q{SELECT procrastinate_upgrade('0033', 'shared')},
	'0033',   'an upgrade succeeds after this statement');
allowed(
	'owners',   q{SELECT procrastinate_upgrade('head', 'installed')},
	$HEAD_NAME, 'the role installs in a schema of another role');
my $before = query(q{SELECT count(*) FROM procrastinate_log('installed')});
query(q{GRANT CREATE, USAGE ON SCHEMA installed TO creator});
$error = refused(
	'creator',
	q{SELECT procrastinate_stamp('head', schema => 'installed')},
	qr/42501: role "creator" may not change/,
	'a role that may create there but is no owner is refused');
like($error, qr/belongs to role owners/, 'the error names the owner');

foreach my $call (
	q{SELECT procrastinate_upgrade('head', 'closed')},
	q{CALL procrastinate_migrate('head', 'closed')},
	q{SELECT procrastinate_stamp('0002', verify => false, schema => 'closed')},
	q{SELECT procrastinate_adopt('closed')},
	q{SELECT procrastinate_repair(schema => 'closed', dry_run => false)})
{
	refused(
		'mallory', $call,
		qr/ERROR:  42501: role "mallory" may not/,
		"refused to a role without privileges: $call");
}

my %reads = (
	q{SELECT revision, is_head FROM procrastinate_current('installed')}  => "$HEAD_NAME|t",
	q{SELECT count(*) FROM procrastinate_history(schema => 'installed')} => $HEAD,
	q{SELECT count(*) FROM procrastinate_pending('head', 'installed')}   => '0',
	q{SELECT count(*) FROM procrastinate_log('installed')}               => $before,
	q{SELECT revision, exact FROM procrastinate_detect('installed')}     => "$HEAD_NAME|t",
	q{SELECT count(*) FROM procrastinate_check(schema => 'installed')}   => '0',
	q{SELECT count(*) FROM procrastinate_repair(schema => 'installed')}            => '0',
	q{SELECT revision FROM procrastinate_heads()}                        => $HEAD_NAME,
	q{SELECT revision FROM procrastinate_show('3.0.0')}                  => '0031',
	q{SELECT length(procrastinate_migration_sql('1')) > 0}               => 't',
	q{SELECT length(procrastinate_sql('current:', 'installed')) > 0}     => 't',
	q{SELECT count(*) FROM procrastinate_plan('head', 'installed')}      => '0',
	q{SELECT min(revision) FROM procrastinate_plan('head', 'closed')}    => '0002',
	q{SELECT count(revision) FROM procrastinate_under_way()}             => '0',
	q{SELECT count(revision) FROM procrastinate_progress}                => '0',
	q{SELECT count(*) FROM installed.procrastinate_schema_history}       => $before,
	q{SELECT revision FROM procrastinate_current('closed')}              => '0001',
	q{SELECT procrastinate_require('head', schema => 'installed')}       => $HEAD_NAME,
	q{SELECT supported FROM procrastinate_supports('3.9.0', 'installed')}          => 't',
	q{SELECT count(*) FROM procrastinate_route('3.9.0', '3.9.0', 'installed')}     => '0',
	q{SELECT length(procrastinate_check_sql(schema => 'installed')) > 0} => 't',);
allowed('onlooker', $_, $reads{$_}, "a role that may only read may: $_") foreach sort keys %reads;
refused('mallory', $_, qr/ERROR:  42501: permission denied for schema installed/,
	"without USAGE on the schema that is refused: $_")
  foreach q{CALL procrastinate_wait('head', '0', 'installed')},
  q{SELECT * FROM procrastinate_plan('head', 'installed')};
refused(
	'mallory',
	q{SELECT * FROM procrastinate_current('installed')},
	qr/ERROR:  42501: permission denied for schema installed/,
	'without USAGE on the schema the server refuses to read');
refused(
	'mallory', $_,
	qr/ERROR:  42501: permission denied for schema installed/,
	"and $_"
  ) foreach map { "SELECT * FROM procrastinate_$_" } q{detect('installed')},
  q{check(schema => 'installed')}, q{repair(schema => 'installed')}, q{plan('head', 'installed')};
foreach my $call (
	q{SELECT procrastinate_upgrade('head', 'installed')},
	q{CALL procrastinate_migrate('head', 'installed')},
	q{SELECT procrastinate_adopt('installed')},
	q{SELECT procrastinate_repair(schema => 'installed', dry_run => false)})
{
	$error = refused(
		'onlooker', $call,
		qr/ERROR:  42501: role "onlooker" may not change the installation in schema "installed"/,
		"a call that would have nothing to do needs the same rights: $call");
}
like($error, qr/^DETAIL:  The installation belongs to role owners, /m, 'the error names the owner');
like(
	$error,
	qr/^HINT:  Call it as role owners or as a member of it\.$/m,
	'and what to grant');
is(query(q{SELECT count(*) FROM procrastinate_log('installed')}), $before, 'and is not logged');

# ---- A superuser and another role's installation ------------------------------------------------

query(q{CREATE SCHEMA "Owner's ""odd"" one" AUTHORIZATION creator; CREATE ROLE "O'Dd ""role"""});
query(q{CREATE SCHEMA theirs AUTHORIZATION "O'Dd ""role"""});
allowed(
	q{"O'Dd ""role"""},
	q{SELECT procrastinate_upgrade('0030', 'theirs')},
	'0030', 'a role whose name needs quotes upgrades');
allowed(
	$super, q{SELECT procrastinate_upgrade('0031', 'theirs')},
	'0031', 'a superuser upgrades the installation of another role');
allowed($super, q{CALL procrastinate_migrate('0035', 'theirs')}, '', 'by steps, too');
allowed($super, q{SELECT procrastinate_stamp('0035', schema => 'theirs')}, '0035', 'and stamps it');
query(q{DROP FUNCTION theirs.procrastinate_notify_queue_job_inserted_v1 CASCADE});
allowed($super,
	q{SELECT count(*) > 0 FROM procrastinate_repair(schema => 'theirs', dry_run => false)},
	't', 'and repairs it');
is(owners_of('theirs'), q{O'Dd "role"}, 'all objects belong to the owner of the installation');
is( query(q{SELECT string_agg(DISTINCT applied_by, ' ') FROM procrastinate_log('theirs')}),
	$super, 'the log names the role that has logged in');
allowed(
	q{"O'Dd ""role"""}, q{SELECT procrastinate_upgrade('head', 'theirs')},
	$HEAD_NAME, 'the owner goes on');

# Without tables, the owner of the schema owns the installation if the caller may act as that role.
query(q{CREATE SCHEMA empty AUTHORIZATION owners; CREATE SCHEMA granted AUTHORIZATION owners;
	GRANT CREATE, USAGE ON SCHEMA granted TO creator});
allowed($super, q{SELECT procrastinate_upgrade('0028', 'empty')}, '0028',
	'a superuser installs in a schema of another role');
is(owners_of('empty'), 'owners', 'its owner owns the installation');
allowed('creator', q{SELECT procrastinate_upgrade('0028', 'granted')}, '0028',
	'a role that may only create in a schema installs there');
is(owners_of('granted'), 'creator', 'that role owns the installation');
query(q{DROP TABLE empty.procrastinate_schema_history});
allowed('member', q{SELECT procrastinate_adopt('empty')}, '0028',
	'a member adopts tables of the owning role');
is(owners_of('empty'), 'owners', 'the history belongs to the owner of the tables');
$node->safe_psql('landlords',
	q{SET client_min_messages = warning; SELECT procrastinate_upgrade('0028', 'public')});
my $in_public = $node->safe_psql('landlords', <<'SQL');
SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
SQL
is($in_public, 'landlord',
	'what is installed in schema public belongs to the owner of the database');

# ---- Builds of indexes, by a worker that logs in as the caller has ------------------------------

query('ALTER ROLE member LOGIN CONNECTION LIMIT 2; ALTER ROLE landlord CONNECTION LIMIT 2');
built_as('landlord', 'landlord');
built_as('member',   'owners');
built_as($super,     'owners');

$node->stop;
done_testing();

# The owners of all that is in the schema.
sub owners_of
{
	my ($schema) = @_;
	return query(<<"SQL");
SELECT string_agg(DISTINCT pg_get_userbyid(owner), ', ')
  FROM (SELECT relowner FROM pg_class WHERE relnamespace = '$schema'::regnamespace
        UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = '$schema'::regnamespace
        UNION ALL SELECT typowner FROM pg_type WHERE typnamespace = '$schema'::regnamespace
       ) o (owner)
SQL
}

# From 0019 to head by a role that has logged in, in an installation of its own or of another role,
# which need not have LOGIN.
sub built_as
{
	my ($login, $owner) = @_;
	my $schema = "built_by_$login";
	query("CREATE SCHEMA $schema AUTHORIZATION $owner; GRANT USAGE ON SCHEMA $schema TO onlooker");
	my ($reader, $caller) = do
	{
		local $ENV{PGUSER} = $login;
		map { user_session($node, $database, $schema) } 1 .. 2;
	};
	$caller->query("SELECT procrastinate_upgrade('0019', '$schema')");
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$caller->send("CALL procrastinate_migrate('head', '$schema')");
	wait_for(
		$node, $database,
		"SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE current_locker_pid ="
		  . " $reader->{pid}",
		'the build waits');
	is( query(
			q{SELECT string_agg(usename, ' ') FROM pg_stat_activity WHERE backend_type =}
			  . q{ 'procrastinate_migrate'}
		),
		$login,
		"the worker that builds an index is $login, too");
	my $under_way = "$schema|0020|1|concurrent";
	my $worker =
	  query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'});
	allowed(
		'onlooker',
		'SELECT schema, revision, step, kind FROM procrastinate_under_way() WHERE step IS NOT NULL',
		$under_way,
		'a role with pg_read_all_stats sees it');
	allowed(
		'onlooker',
		'SELECT schema, revision, step, kind, pid, waiting_for FROM procrastinate_progress'
		  . ' WHERE step IS NOT NULL',
		"$under_way|$worker|{$reader->{pid}}",
		'that role sees the blockers');
	allowed(
		$login,
		'SELECT revision, source, under_way_since IS NOT NULL, may_change'
		  . " FROM procrastinate_installations WHERE schema = '$schema'::regnamespace",
		'0019|0020: 0 of 2 done|t|t',
		'the list of installations shows it');
	allowed(
		'mallory',
		"SELECT * FROM $_ WHERE schema = '$schema'::regnamespace",
		"$schema|||||unknown: permission denied" . '|' x ($_ eq 'procrastinate_progress' ? 6 : 3),
		"other roles see that they may not see it: $_"
	) foreach 'procrastinate_under_way()', 'procrastinate_progress';
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', "$login upgrades by steps");
	is_at($node, $database, $schema, $HEAD, 'to head');
	is( query(
			"SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ' ') FROM pg_class WHERE"
			  . " relnamespace = '$schema'::regnamespace"
		),
		$owner,
		"all objects belong to $owner");
	$_->close foreach $reader, $caller;
	return;
}
