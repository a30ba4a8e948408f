# Servers, databases and schemas for the TAP tests, and comparison of a schema with its facts.
# Exports the modules below it, too: facts, jobs as clients make them, clients under load, SQL
# quoting, waiting for events.
#
# A revision is a plain number in Perl (1 .. $HEAD, 0 is base) and four digits in SQL:
# revision_name(7) is '0007'. PostgreSQL::Test is PostgreSQL's own, of any version from 15 on.

package Procrastinate::Test;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Path     qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test::Facts;
use Procrastinate::Test::Jobs;
use Procrastinate::Test::Load;
use Procrastinate::Test::Psql;
use Procrastinate::Test::SQL;
use Procrastinate::Test::Server;
use Procrastinate::Test::Session;
use Procrastinate::Test::Watch;

our @EXPORT = (
	qw($ODD_SCHEMA accepted_settings cancelled_after cancelled_in_build closed_queue differences
	  differences_from_record installation_of_its_own is_as_recorded is_at
	  new_database new_queue new_session scenario start_server upgrade user_session
	  walk_revisions),
	@Procrastinate::Test::Facts::EXPORT,
	@Procrastinate::Test::Jobs::EXPORT,
	@Procrastinate::Test::Load::EXPORT,
	@Procrastinate::Test::Psql::EXPORT,
	@Procrastinate::Test::SQL::EXPORT,
	@Procrastinate::Test::Watch::EXPORT);

our $ODD_SCHEMA = 'odd "name"';

my $servers   = 0;
my $databases = 0;

# ------------------------------------------------------------------------------------------------
# Servers, databases, schemas
# ------------------------------------------------------------------------------------------------

# start_server(name => ..., conf => 'more lines of postgresql.conf',
#              init => [ arguments of init() ], new => [ arguments of new() ])
# Starts a server without fsync that counts the calls of functions: a copy of the template, unless
# there is an init => [ extra => ... ]. Copies have the same system identifier.
sub start_server
{
	my (%options) = @_;
	$servers++;
	my $node = Procrastinate::Test::Server->new($options{name} // "server_$servers",
		@{ $options{new} // [] });
	init_server($node, @{ $options{init} // [] });
	$node->append_conf('postgresql.conf', <<"CONF");
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
jit = off
log_statement = none
timezone = 'UTC'
track_functions = pl
procrastinate_migrate.min_concurrent_build_size = 0
@{[ $options{conf} // '' ]}
CONF
	$node->start;
	return $node;
}

# init() of PostgreSQL 17 and later copies the template if it is given no arguments for initdb.
sub init_server
{
	my ($node, %params) = @_;
	my $template = $ENV{INITDB_TEMPLATE};
	return $node->init(%params) if $params{extra};
	die "INITDB_TEMPLATE is not set\n" unless $template;
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		my ($program, @arguments) = @_;
		return $run->($program, @arguments) if $program ne 'initdb';
		return $run->('cp', '-RPp', $template, $node->data_dir);
	};
	return $node->init(%params);
}

# A copy of the server's installation, for tests that change it, for start_server(new => [
# install_path => ... ]): the folder that its bin/ is in. A server finds its other folders from
# where its programs are.
sub installation_of_its_own
{
	my $copy = PostgreSQL::Test::Utils::tempdir('installation');
	my $programs;
	foreach
	  my $folder (map { (run_command([ 'pg_config', "--$_" ]))[0] } qw(sharedir pkglibdir bindir))
	{
		$programs = $copy . dirname($folder);
		make_path($programs);
		system_or_bail('cp', '-a', $folder, $programs);
	}
	return $programs;
}

# Returns those of the settings ("name = value") that this version of the server accepts.
sub accepted_settings
{
	my ($node, @settings) = @_;
	return grep { ($node->psql('postgres', "SET $_"))[0] == 0 } @settings;
}

# Creates a database with the extension; returns its name.
sub new_database
{
	my ($node) = @_;
	my $database = empty_database($node);
	$node->safe_psql($database, 'CREATE EXTENSION procrastinate_migrate');
	give_to_application($node, $database) if $ENV{APPLICATION_ROLE};
	return $database;
}

# With APPLICATION_ROLE set, schemas belong to that role, which is no superuser, and so does all
# that a superuser creates there: the tests' calls are those of a superuser on another role's
# installation.
sub give_to_application
{
	my ($node, $database) = @_;
	my $role = name($ENV{APPLICATION_ROLE});
	$node->psql('postgres', "CREATE ROLE $role");
	$node->safe_psql($database, <<"SQL");
ALTER DATABASE $database OWNER TO $role;
CREATE SCHEMA application_role;
CREATE FUNCTION application_role.give() RETURNS event_trigger LANGUAGE plpgsql
	SET search_path = pg_catalog AS \$\$
DECLARE
	command record;
BEGIN
	FOR command IN
		SELECT CASE WHEN c.classid = 'pg_namespace'::regclass THEN 'SCHEMA'
		            WHEN c.classid = 'pg_proc'::regclass THEN 'ROUTINE'
		            WHEN c.classid = 'pg_type'::regclass THEN 'TYPE'
		            ELSE CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
		                                WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE'
		                                ELSE 'TABLE' END END AS kind, c.object_identity AS object
		  FROM pg_event_trigger_ddl_commands() c
		  LEFT JOIN pg_namespace n ON c.classid = 'pg_namespace'::regclass AND n.oid = c.objid
		  LEFT JOIN pg_proc p ON c.classid = 'pg_proc'::regclass AND p.oid = c.objid
		  LEFT JOIN pg_type t ON c.classid = 'pg_type'::regclass AND t.oid = c.objid
		  LEFT JOIN pg_class r ON c.classid = 'pg_class'::regclass AND r.oid = c.objid
		       AND r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
		  JOIN pg_roles o ON o.oid = coalesce(n.nspowner, p.proowner, t.typowner, r.relowner)
		 WHERE o.rolsuper AND NOT c.in_extension AND c.command_tag ~ '^CREATE'
		   AND c.schema_name IS DISTINCT FROM 'pg_temp'
		   AND c.object_identity !~ '^(application_role|pg_temp)'
	LOOP
		EXECUTE format('ALTER %s %s OWNER TO $role', command.kind, command.object);
	END LOOP;
END \$\$;
CREATE EVENT TRIGGER application_role ON ddl_command_end EXECUTE FUNCTION application_role.give();
SQL
	return;
}

sub empty_database
{
	my ($node) = @_;
	$databases++;
	my $database = "procrastinate_$databases";
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	return $database;
}

# Upgrades a schema, which is created if it is missing, to a revision (a number, or any target). In
# one transaction, or in several if the error PM007 says so.
sub upgrade
{
	my ($node, $database, $target, $schema) = @_;
	$schema //= 'public';
	$target = revision_name($target) if $target =~ /^[0-9]+$/;
	my $quoted = name($schema);
	$node->safe_psql($database,
		"SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS $quoted");
	my $needs_commit = qr/ERROR:\ \ one\ transaction\ cannot\ upgrade\ .*?
		^SELECT\ \S*procrastinate_upgrade\('(\d{4})',\ schema/msx;
	my @targets = ($target);
	while (@targets)
	{
		my ($status, undef, $error) = $node->psql($database,
			'SET client_min_messages = warning; SELECT procrastinate_upgrade('
			  . lit($targets[0]) . ', '
			  . lit($schema) . ')');
		if ($status == 0)
		{
			shift @targets;
			next;
		}
		die "upgrade of $schema to $targets[0] failed: $error"
		  if @targets > 1 or $error !~ $needs_commit;
		unshift @targets, $1;
	}
	return;
}

# Returns the differences between a schema and the facts of a revision: '' or lines, '<' missing,
# '>' extra.
sub differences
{
	my ($node, $database, $schema, $revision) = @_;
	my $live = $node->safe_psql(
		$database,
		slurp(repository() . '/test/catalog.sql'),
		extra_params => [ '-v', "schema=$schema" ]);
	my %live    = map { $_ => 1 } split /\n/, $live;
	my %facts   = map { $_ => 1 } structure($revision);
	my @missing = map { "< $_\n" } sort grep { !$live{$_} } keys %facts;
	my @extra   = map { "> $_\n" } sort grep { !$facts{$_} } keys %live;
	return join '', @missing, @extra;
}

# Returns the differences between a schema and its recorded revision, and that revision. If a
# migration is under way, objects of the next revision are no differences. Users' views are none.
sub differences_from_record
{
	my ($node, $database, $schema) = @_;
	my $quoted = lit($schema);
	my ($revision, $event) = split /\|/, $node->safe_psql(
		$database,
		"SELECT coalesce(max(to_revision), 'base'), max(event) FROM (SELECT * FROM"
		  . " procrastinate_log($quoted)"
		  . ' ORDER BY id DESC LIMIT 1) AS last');
	$revision = $revision eq 'base' ? 0 : int $revision;
	my $differences = differences($node, $database, $schema, $revision);
	$differences =~ s/^> other view .*\n//mg;

	# Indexes that an earlier migration has built ahead.
	$differences =~ s/^> index procrastinate_jobs_id_lock_idx_00(?:20|29) .*\n//mg;
	if ($event =~ /^step /)
	{
		# The steps build an index under another name if its own is taken.
		my $next_name = revision_name($revision + 1);
		$differences =~ s/^> index \w+_$next_name .*\n//mg;
		my %next = map { $_ => 1 } structure($revision + 1);
		$differences = join '', grep {
			my ($side, $thing) = /^([<>]) (.*)$/;
			$side eq '<' ? $next{$thing} : !$next{ $thing =~ s/ (?:INVALID|NOT VALID)$//r }
			  && $thing !~ /_bigint|_unique_new |default 'undefined'/
		} split /^/m, $differences;
	}
	return ($differences, $revision);
}

# Asserts that there are no such differences; returns the revision.
sub is_as_recorded
{
	my ($node, $database, $schema, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($differences, $revision) = differences_from_record($node, $database, $schema);
	is($differences, '', "$name, at " . ($revision ? revision_name($revision) : 'base'));
	return $revision;
}

# Asserts that a schema equals the facts of a revision.
sub is_at
{
	my ($node, $database, $schema, $revision, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(differences($node, $database, $schema, $revision), '', $name);
}

# Opens a session whose search_path is only the schema.
sub new_session
{
	my ($node, $database, $schema) = @_;
	my $session = Procrastinate::Test::Session->new($node, $database);
	$session->query('SET search_path = ' . name($schema // 'public'));
	return $session;
}

# The same with public behind the schema, because the extension is there.
sub user_session
{
	my ($node, $database, $schema) = @_;
	my $session = new_session($node, $database);
	$session->query('SET search_path = ' . name($schema) . ', public');
	return $session;
}

# Creates a schema at a revision with this many waiting jobs, one event each; returns a
# user_session().
sub new_queue
{
	my ($node, $database, $schema, $revision, $jobs) = @_;
	upgrade($node, $database, $revision, $schema);
	my $session = user_session($node, $database, $schema);
	$session->query(
		'INSERT INTO procrastinate_jobs (queue_name, task_name)'
		  . " SELECT 'queue ' || n % 3, 'task' FROM generate_series(1, $jobs) AS n");
	return $session;
}

# The same without a session; returns the schema's name.
sub closed_queue
{
	my ($node, $database, $schema, @rest) = @_;
	new_queue($node, $database, $schema, @rest)->close;
	return $schema;
}

# Waits until a step has been recorded, then cancels the call, which cannot do the next step.
# Returns the call's error.
sub cancelled_after
{
	my ($node, $database, $session, $schema, $step) = @_;
	wait_for_step($node, $database, $schema, $step);
	$node->safe_psql($database, "SELECT pg_cancel_backend($session->{pid})");
	my (undef, $error) = $session->wait;
	return $error;
}

# Cancels a call during an index build that waits for a reader. An invalid index is left.
sub cancelled_in_build
{
	my ($node, $database, $schema, $target) = @_;
	my ($reader, $caller) = map { user_session($node, $database, $schema) } 1 .. 2;
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$caller->send("CALL procrastinate_migrate('$target')");
	wait_for_build($node, $database);
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(($caller->wait)[1], '57014: canceling statement due to user request',
		"$schema: a call to $target is cancelled");
	wait_for($node, $database,
		q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'},
		'the worker has gone');
	$reader->query('ROLLBACK');
	$_->close foreach $reader, $caller;
	return;
}

# Calls the code with (session, revision, label, schema, database) for a schema at each revision,
# reached one by one, and for another schema that was installed at head. Each call is a subtest and
# begins with empty tables. Option first: the first revision.
sub walk_revisions
{
	my ($node, $code, %options) = @_;
	my $database = new_database($node);
	my $session  = new_session($node, $database, $ODD_SCHEMA);
	my $visit    = sub {
		my ($in, $revision, $label, $schema) = @_;
		subtest $label => sub {
			$in->query(truncation($in));
			$code->($in, $revision, $label, $schema, $database);
		};
	};
	foreach my $revision (($options{first} // 1) .. $HEAD)
	{
		upgrade($node, $database, $revision, $ODD_SCHEMA);
		$visit->($session, $revision, 'at revision ' . revision_name($revision), $ODD_SCHEMA);
	}
	$session->close;

	upgrade($node, $database, 'head', 'public');
	my $other = new_session($node, $database, 'public');
	$visit->($other, $HEAD, 'at head that was installed at once', 'public');
	$other->close;
	return;
}

sub truncation
{
	my ($session) = @_;
	my $tables = $session->query(
		q{SELECT string_agg(quote_ident(relname), ', ') FROM pg_class}
		  . q{ WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'}
		  . q{ AND relname !~ '^procrastinate_schema_history'});
	return "TRUNCATE $tables RESTART IDENTITY CASCADE";
}

# Runs the code in a transaction and rolls it back.
sub scenario
{
	my ($session, $code) = @_;
	$session->query('BEGIN');
	$code->();
	$session->query('ROLLBACK');
	return;
}

1;
