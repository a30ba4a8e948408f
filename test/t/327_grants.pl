# Roles that could use the queue before a migration can use it afterwards: grants and SET clauses
# are carried along, in steps, at once and by a script. procrastinate_check() lists what such roles
# lack.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'grants');
my $database = new_database($node);
use_database($node, $database);
look_as_roles($node, $database);
my $quoted_role = name('Role "x"');
run_sql("CREATE ROLE keeper LOGIN; CREATE ROLE worker; CREATE ROLE monitor; CREATE ROLE manager;"
	  . " CREATE ROLE $quoted_role;"
	  . ' ALTER DEFAULT PRIVILEGES FOR ROLE keeper REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;'
	  . ' ALTER DEFAULT PRIVILEGES FOR ROLE keeper REVOKE USAGE ON TYPES FROM PUBLIC');

# What leads from a revision to another one: the calls, by their names. Each is a superuser's, but
# the script is run by the owner.
my %ways = (
	'in steps' => sub { run_sql("CALL procrastinate_migrate('$_[2]', schema => '$_[0]')") },
	'at once'  => sub { run_sql("SELECT procrastinate_upgrade('$_[2]', schema => '$_[0]')") },
	'by a script' => sub { run_by_script(@_) },);

every_revision_of_three();
worked_during();
succession();
public_may_still_execute();
settings_of_functions();
settings_that_the_owner_may_not_set();
switched_off();
repairs();
sequences();
done_testing();

# ------------------------------------------------------------------------------------------------
# Helpers
# ------------------------------------------------------------------------------------------------

sub run_by_script
{
	my ($schema, $from, $to, $settings) = @_;
	my $script =
	  run_sql(($settings // '') . "SELECT procrastinate_sql('$from:$to', schema => '$schema')");
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[   $node->installed_command('psql'),
			qw(-X -q -v ON_ERROR_STOP=1 -f - -d),
			$node->connstr($database) . ' user=keeper' ],
		'<',
		\$script,
		'>',
		\$out,
		'2>',
		\$err) or die "the script failed: $err";
	return $err;
}

# An installation of role keeper at a revision, in which role worker has the rights that it needs.
sub least_privilege
{
	my ($schema, $revision) = @_;
	run_sql("CREATE SCHEMA $schema AUTHORIZATION keeper");
	upgrade($node, $database, $revision, $schema);
	run_sql(<<"SQL");
SET ROLE keeper;
GRANT USAGE ON SCHEMA $schema TO worker, monitor, manager, $quoted_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $schema TO worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA $schema TO worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA $schema TO worker;
SQL
	return $schema;
}

sub revision_now
{
	my ($schema) = @_;
	return run_sql("SELECT revision FROM procrastinate_current('$schema')");
}

sub no_grant_is_missing
{
	my ($schema, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(run_sql("SELECT * FROM procrastinate_check(schema => '$schema')"), '', $name);
}

# A worker's day, and that of the registry, at a revision.
sub works
{
	my ($schema, $revision, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $session = user_session($node, $database, $schema);
	$session->query('SET ROLE worker');
	is(day($session, $revision), 'succeeded todo cancelled', $name);
	if ($revision >= 32)
	{
		is( $session->refusal(
				'DO $$ DECLARE id bigint; BEGIN'
				  . ' SELECT worker_id INTO id FROM procrastinate_register_worker_v1();'
				  . ' PERFORM procrastinate_update_heartbeat_v1(id);'
				  . ' PERFORM procrastinate_prune_stalled_workers_v1(60);'
				  . ' PERFORM procrastinate_unregister_worker_v1(id);'
				  . ' PERFORM count(*) FROM procrastinate_workers; END $$'
			),
			'no error',
			"$name, with its registry");
	}
	$session->close;
	return;
}

# The privileges on the functions, tables, sequences and types of a schema whose names match, a line
# each: "procrastinate_workers worker=arwd/keeper". Owner and grantor are left out.
sub acls
{
	my ($schema, $pattern) = @_;
	return run_sql(<<"SQL");
SELECT string_agg(concat_ws(' ', o.name, a.privileges), E'\\n' ORDER BY o.name COLLATE "C")
  FROM (SELECT relname::text, relacl, relowner,
               (CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char"
          FROM pg_class WHERE relnamespace = '$schema'::regnamespace AND relkind IN ('r', 'S')
         UNION ALL
        SELECT proname || '(' || pronargs || ')', proacl, proowner, 'f' FROM pg_proc
         WHERE pronamespace = '$schema'::regnamespace
         UNION ALL
        SELECT typname, typacl, typowner, 'T' FROM pg_type t
         WHERE typnamespace = '$schema'::regnamespace
           AND (typtype = 'e' OR 'c' = (SELECT relkind FROM pg_class WHERE oid = typrelid))
       ) AS o (name, acl, owner, kind),
       LATERAL (SELECT string_agg(g.grantee || '=' || g.privileges, ' ' ORDER BY g.grantee)
                  FROM (SELECT coalesce(r.rolname, 'PUBLIC'),
                               string_agg(privilege_type
                                          || CASE WHEN is_grantable THEN '*' ELSE '' END, ','
                                          ORDER BY privilege_type)
                          FROM aclexplode(coalesce(o.acl, acldefault(o.kind, o.owner)))
                          LEFT JOIN pg_roles r ON r.oid = grantee
                         WHERE grantee <> o.owner GROUP BY 1) AS g (grantee, privileges)
               ) AS a (privileges)
 WHERE o.name ~ '$pattern'
SQL
}

# ------------------------------------------------------------------------------------------------
# Tests
# ------------------------------------------------------------------------------------------------

# From every revision of 3.0 and later to every later one, one by one, and to head in one call.
sub every_revision_of_three
{
	foreach my $way (sort keys %ways)
	{
		my $schema = 'walk_' . ($way =~ s/ /_/gr);
		least_privilege($schema, 31);
		foreach my $revision (32 .. $HEAD)
		{
			$ways{$way}->($schema, revision_name($revision - 1), revision_name($revision));
			is(revision_now($schema), revision_name($revision), "$way: at $revision");
			works($schema, $revision, "$way: the worker works at $revision");
		}
		no_grant_is_missing($schema, "$way: nothing is missing at head");
		foreach my $revision (31 .. $HEAD - 1)
		{
			my $direct = "direct_${revision}_" . ($way =~ s/ /_/gr);
			least_privilege($direct, $revision);
			$ways{$way}->($direct, revision_name($revision), $HEAD_NAME);
			works($direct, $HEAD, "$way, from $revision to head: the worker works");
			no_grant_is_missing($direct, "$way, from $revision to head: nothing is missing");
			is( run_sql(
					"SELECT supported FROM procrastinate_supports('$NEWEST_RELEASE', '$direct')"),
				't',
				"$way, from $revision to head: the newest release is supported");
			is( acls($direct, '^procrastinate_(fetch|finish|defer|register)'),
				acls($schema, '^procrastinate_(fetch|finish|defer|register)'),
				"$way, from $revision to head: the same grants as one by one");
			run_sql("SET client_min_messages = warning; DROP SCHEMA $direct CASCADE");
		}
	}
	return;
}

# A worker with few rights is at work during the migration, as far as the code of its release works.
sub worked_during
{
	my $last = last_revision_for('3.2.0');
	my @paths = (
		[ 31, 32, '3.0' ],
		(map { [ $_, 34,    '3.2', '3.0' ] } 32 .. 33),
		(map { [ $_, $last, '3.2' ] } 34 .. $last - 1));
	foreach my $path (@paths)
	{
		my ($from, $to, @releases) = @$path;
		my $schema = least_privilege("during_$from", $from);
		local $ENV{PGOPTIONS} = "-c role=worker -c search_path=$schema";
		my $load = start_load($node, $database, [ release_scripts(@releases) ], qw(-c 3 -R 200));
		delete local $ENV{PGOPTIONS};
		wait_until("SELECT count(*) > 20 FROM $schema.procrastinate_events", 'a worker works');
		$ways{'in steps'}->($schema, $from, revision_name($to));
		my $jobs = run_sql("SELECT max(id) FROM $schema.procrastinate_jobs");
		wait_until("SELECT max(id) > $jobs + 20 FROM $schema.procrastinate_jobs",
			'a worker still works');
		is(stop_load($load), '', "$from to $to: a worker with few rights sees no error");
		works($schema, $to, "$from to $to: nor does one of the new release");
	}
	return;
}

# What succeeds what.
sub succession
{
	foreach my $way (sort keys %ways)
	{
		my $schema = 'succession_' . ($way =~ s/ /_/gr);
		least_privilege($schema, 31);
		run_sql(<<"SQL");
SET ROLE keeper; SET search_path = $schema;
GRANT SELECT ON procrastinate_jobs TO monitor;
GRANT SELECT (id) ON procrastinate_jobs TO manager;
GRANT EXECUTE ON FUNCTION procrastinate_defer_job_v1 TO $quoted_role, manager WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION procrastinate_retry_job_v1 TO manager;
GRANT USAGE ON TYPE procrastinate_job_status TO $quoted_role;
GRANT USAGE, SELECT ON SEQUENCE procrastinate_jobs_id_seq TO monitor;
SET ROLE manager;
GRANT EXECUTE ON FUNCTION procrastinate_defer_job_v1 TO monitor;
SQL
		# A grant of another role than the owner becomes one of the owner.
		$ways{$way}->($schema, '0031', $HEAD_NAME);
		is(acls($schema, 'workers|defer_jobs|defer_v1|retry|fetch|register'), <<'ACLS' =~ s/\n\z//r,
procrastinate_defer_jobs_v1(1) Role "x"=EXECUTE* manager=EXECUTE* monitor=EXECUTE worker=EXECUTE
procrastinate_fetch_job_v2(2) worker=EXECUTE
procrastinate_job_to_defer_v1 Role "x"=USAGE
procrastinate_prune_stalled_workers_v1(1) worker=EXECUTE
procrastinate_register_worker_v1(0) worker=EXECUTE
procrastinate_retry_job_v1(5) manager=EXECUTE worker=EXECUTE
procrastinate_retry_job_v2(5) manager=EXECUTE worker=EXECUTE
procrastinate_unregister_worker_v1(1) worker=EXECUTE
procrastinate_workers monitor=SELECT worker=DELETE,INSERT,SELECT,UPDATE
procrastinate_workers_id_seq monitor=SELECT,USAGE worker=USAGE
ACLS
			"$way: grants of what is succeeded");
		is( run_sql(
				q{SELECT count(*) FROM pg_attribute WHERE attacl IS NOT NULL}
				  . " AND attrelid = '$schema.procrastinate_workers'::regclass"),
			'0',
			"$way: none of columns");
		is( run_sql("SELECT DISTINCT (aclexplode(proacl)).grantor::regrole FROM pg_proc WHERE"
				  . " pronamespace = '$schema'::regnamespace AND proname ~ 'defer_jobs_v1'"),
			'keeper',
			"$way: the owner has granted them");
	}
	return;
}

# PUBLIC keeps what it had. A revoke by hand counts as one by default privileges.
sub public_may_still_execute
{
	run_sql('CREATE ROLE open_keeper; CREATE SCHEMA opened AUTHORIZATION open_keeper');
	upgrade($node, $database, 31, 'opened');
	my $revoked = 'REVOKE EXECUTE ON FUNCTION opened.procrastinate_defer_job_v1 FROM PUBLIC';
	run_sql("SET ROLE open_keeper; $revoked");
	$ways{'in steps'}->('opened', '0031', $HEAD_NAME);
	is(acls('opened', 'defer_(periodic_)?jobs?_v|register_worker_v'), <<'ACLS' =~ s/\n\z//r,
procrastinate_defer_jobs_v1(1)
procrastinate_defer_periodic_job_v2(8) PUBLIC=EXECUTE
procrastinate_register_worker_v1(0) PUBLIC=EXECUTE
procrastinate_unregister_worker_v1(1) PUBLIC=EXECUTE
ACLS
		'PUBLIC may execute what it could execute before');
	is( run_sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'opened'::regnamespace"
			  . q{ AND relacl IS NOT NULL AND relname <> 'procrastinate_schema_history'}),
		'0',
		'tables without grants stay without');
	return;
}

# The SET clauses of replaced and of succeeding functions.
sub settings_of_functions
{
	my %set = (
		procrastinate_fetch_job_v1 => q{work_mem = '3MB'},
		procrastinate_retry_job_v1 => q{search_path = settings, "odd ""name", 'UPPER', pg_temp},
		procrastinate_defer_job_v1 => q{temp_tablespaces = ''},
		procrastinate_finish_job_v1                      => q{my.setting = 'it''s \\'},
		procrastinate_trigger_function_status_events_update_v1 =>
		  q{search_path = settings, pg_temp});
	my $settings = sub {
		return run_sql(
			q{SELECT string_agg(proname || ': ' || array_to_string(proconfig, '; '), E'\n' ORDER BY}
			  . qq{ proname) FROM pg_proc WHERE pronamespace = '$_[0]'::regnamespace});
	};
	foreach my $way (sort keys %ways)
	{
		my $schema = 'settings';
		least_privilege($schema, 31);
		run_sql(
			"SET ROLE keeper; SET search_path = $schema;"
			  . join '',
			map { "ALTER FUNCTION $_ SET $set{$_};" } sort grep { !/finish/ } keys %set);
		run_sql("SET search_path = $schema; SELECT set_config('my.setting', '', false);"
			  . " ALTER FUNCTION procrastinate_finish_job_v1 SET $set{procrastinate_finish_job_v1};"
			  . ' ALTER FUNCTION procrastinate_retry_job_v1 SET log_min_duration_statement = 7');
		my ($out, $err) = ('', '');
		if ($way eq 'by a script')
		{
			$err = run_by_script($schema, '0031', $HEAD_NAME);
		}
		else
		{
			my $call =
			  $way eq 'at once' ? 'SELECT procrastinate_upgrade' : 'CALL procrastinate_migrate';
			($out, $err) = ($node->psql($database, "$call('head', schema => '$schema')"))[ 1, 2 ];
		}
		my $more = 'log_min_duration_statement=7';
		is($settings->($schema), <<"SETTINGS" =~ s/\n\z//r, "$way: settings are kept");
procrastinate_defer_jobs_v1: temp_tablespaces=""
procrastinate_fetch_job_v2: work_mem=3MB
procrastinate_finish_job_v1: my.setting=it's \\
procrastinate_retry_job_v1: search_path=settings, "odd ""name", "UPPER", pg_temp; $more
procrastinate_retry_job_v2: search_path=settings, "odd ""name", "UPPER", pg_temp
procrastinate_trigger_function_status_events_update_v1: search_path=settings, pg_temp
SETTINGS
		like(
			$err,
			qr/WARNING:\ \ setting\ "log_min_duration_statement"\ of\ function
				\ (settings\.procrastinate_retry_job_v2\(.*\))\ could\ not\ be\ kept\n
				DETAIL:\ \ Only\ a\ superuser\ can\ set\ it\.\n
				HINT:\ \ ALTER\ FUNCTION\ \1\ SET\ log_min_duration_statement\ TO\ '7';/x,
			"$way: a setting that only a superuser can set is named");
		run_sql("SET client_min_messages = warning; DROP SCHEMA $schema CASCADE");
	}

	# What all functions have, a new one gets too.
	least_privilege('pinned', 31);
	run_sql(<<'SQL');
DO $$
DECLARE
	one regprocedure;
BEGIN
	FOR one IN SELECT oid FROM pg_proc WHERE pronamespace = 'pinned'::regnamespace LOOP
		EXECUTE format('ALTER FUNCTION %s SET search_path = pinned, pg_temp', one);
	END LOOP;
END $$;
SQL
	$ways{'in steps'}->('pinned', '0031', $HEAD_NAME);
	is( run_sql('SELECT DISTINCT proconfig FROM pg_proc'
			  . q{ WHERE pronamespace = 'pinned'::regnamespace}),
		'{"search_path=pinned, pg_temp"}',
		'a search_path that all functions have is that of the new ones');
	is( run_sql(q{SELECT DISTINCT severity FROM procrastinate_check(schema => 'pinned')}),
		'info', 'which is no fault');
	return;
}

# The fetch barrier replaces functions as the owner. The call is refused before its first step.
sub settings_that_the_owner_may_not_set
{
	my $schema   = 'set_by_superuser';
	my $function = "$schema.procrastinate_fetch_job_v1(character varying[])";
	my $migrate  = sub {
		my ($target, $more) = (@_, '');
		return (
			$node->psql(
				$database,
				"CALL procrastinate_migrate('$target', schema => '$schema'$more)",
				extra_params => [ '-v', 'VERBOSITY=verbose' ]))[2];
	};
	my $set = sub {
		run_sql("SET search_path = $schema; ALTER FUNCTION $_[0] SET log_statement = 'none'");
	};
	my $fresh = sub {
		run_sql("SET client_min_messages = warning; DROP SCHEMA IF EXISTS $schema CASCADE");
		least_privilege($schema, $_[0]);
	};

	$fresh->(31);
	$set->('procrastinate_fetch_job_v1');
	run_sql("ALTER FUNCTION $function SET work_mem = '3MB'");
	my $error = $migrate->('0032');
	like(
		$error,
		qr/ERROR:\ \ 42501:\ cannot\ replace\ the\ fetch\ functions\ of\ schema\ "$schema"\n
			DETAIL:\ \ Function\ \Q$function\E\ sets\ log_statement,
			\ which\ role\ "keeper"\ may\ not\ set\.\n
			HINT:\ \ As\ a\ superuser:\n
			ALTER\ FUNCTION\ \Q$function\E\ RESET\ log_statement;\n/x,
		'a setting of a fetch function that its owner may not set is refused');
	unlike($error, qr/Running upgrade/, 'before the first migration');
	is(run_sql("SELECT count(*) FROM procrastinate_log('$schema') WHERE event ~ '^step'"),
		'0', 'before the first step');
	my ($hint) = $error =~ /^(ALTER FUNCTION .* RESET .*;)$/m;
	run_sql($hint);
	unlike($migrate->('0032'),
		qr/ERROR|could not be kept/, 'after the hint has been pasted the call succeeds');

	$fresh->(31);
	$set->('procrastinate_fetch_job_v1');
	unlike($migrate->('0031'), qr/ERROR/, 'a call that has nothing to do is not refused');
	run_sql('GRANT SET ON PARAMETER log_statement TO keeper');
	unlike($migrate->('0032'), qr/ERROR|could not be kept/, 'nor is one whose owner may set it');
	is( run_sql('SELECT string_agg(DISTINCT proconfig::text, $$$$) FROM pg_proc'
			  . qq{ WHERE pronamespace = '$schema'::regnamespace AND proname ~ 'fetch_job'}),
		'{log_statement=none}',
		'the setting is kept then');
	run_sql('REVOKE SET ON PARAMETER log_statement FROM keeper');

	# A superuser sets it between the installation of the barrier and its removal.
	$fresh->(31);
	my $reader = session($schema);
	$reader->query('BEGIN; DECLARE c CURSOR FOR TABLE procrastinate_jobs; FETCH c');
	like($migrate->('0032', q{, retry_for => '0.1 s'}),
		qr/ERROR:  55P03/, 'a reader keeps the call from adding the column');
	$reader->query('COMMIT');
	$set->('procrastinate_fetch_job_v1');
	like($migrate->('0032'), qr/ERROR:  42501: cannot replace/, 'the next call is refused, too');
	run_sql("ALTER FUNCTION $function RESET log_statement");
	unlike($migrate->('0032'), qr/ERROR/, 'until the setting has been reset');

	$fresh->(26);
	$set->('procrastinate_fetch_job');
	like(
		$migrate->('0030'),
		qr/WARNING: .* could not be kept/,
		'a function that a migration replaces before the barrier needs no privilege');
	is_at($node, $database, $schema, 30, 'the call has reached its target');

	$fresh->(36);
	$set->('procrastinate_fetch_job_v2');
	unlike($migrate->('0037'), qr/ERROR|could not be kept/, 'nor does a call without the barrier');
	run_sql("SET client_min_messages = warning; DROP SCHEMA $schema CASCADE");
	return;
}

sub switched_off
{
	my $off = 'SET procrastinate_migrate.copy_grants = off; ';
	foreach my $way (sort keys %ways)
	{
		my $schema = 'off_' . ($way =~ s/ /_/gr);
		least_privilege($schema, 31);
		if ($way eq 'by a script')
		{
			run_by_script($schema, '0031', $HEAD_NAME, $off);
		}
		else
		{
			my $call =
			  $way eq 'at once' ? 'SELECT procrastinate_upgrade' : 'CALL procrastinate_migrate';
			run_sql("$off $call('head', schema => '$schema')");
		}
		refused('worker', "SELECT $schema.procrastinate_register_worker_v1()",
			qr/permission denied/, "$way: off copies nothing");
	}
	return;
}

# What procrastinate_check() lists and procrastinate_repair() grants.
sub repairs
{
	my $schema = 'off_at_once';
	run_sql("GRANT SELECT, INSERT, UPDATE ON $schema.procrastinate_jobs TO $quoted_role;"
		  . " GRANT SELECT ON $schema.procrastinate_jobs TO monitor;"
		  . " REVOKE USAGE ON SEQUENCE $schema.procrastinate_jobs_id_seq FROM worker");
	my $check = 'SELECT severity, kind, object, expected, actual, repair FROM procrastinate_check('
	  . "schema => '$schema') WHERE problem = 'missing grant' AND %s";
	my $rows = run_sql(sprintf $check, q{expected LIKE '%for worker'});
	like(
		$rows,
		qr/^warning\|table\|procrastinate_workers\|DELETE,\ INSERT,\ SELECT,\ UPDATE\ for
			\ worker\|\|GRANT\ DELETE,\ INSERT,\ SELECT,\ UPDATE\ ON\ TABLE
			\ $schema\.procrastinate_workers\ TO\ worker;$/mx,
		'the worker lacks privileges on a table');
	like(
		$rows,
		qr/^warning\|sequence\|procrastinate_jobs_id_seq\|USAGE\ for\ worker\|\|
			GRANT\ USAGE\ ON\ SEQUENCE\ $schema\.procrastinate_jobs_id_seq\ TO\ worker;$/mx,
		'on a sequence');
	like(
		$rows,
		qr/^warning\|function\|procrastinate_register_worker_v1\(\)\|EXECUTE\ for\ worker\|\|
			GRANT\ EXECUTE\ ON\ FUNCTION\ $schema\.procrastinate_register_worker_v1\(\)\ TO
			\ worker;$/mx,
		'and on functions');
	unlike($rows, qr/workers_id_seq|trigger_|notify_/,
		'not on what it does not use: an identity column, functions of triggers');
	is( run_sql('SET standard_conforming_strings = off;' . sprintf $check, 'true'),
		run_sql(sprintf $check, 'true'),
		'the session\'s way to read a backslash changes nothing');
	is(run_sql(sprintf $check, q{expected LIKE '%monitor'}),
		'', 'a role that only reads lacks nothing');
	my %needed = (
		events          => 'INSERT',
		periodic_defers => 'DELETE, INSERT, SELECT, UPDATE',
		workers         => 'DELETE, INSERT, SELECT, UPDATE');
	is( run_sql(sprintf $check, q{expected LIKE '%"Role ""x"""' AND kind = 'table'}),
		join("\n",
			map { "warning|table|procrastinate_$_|$needed{$_} for $quoted_role||GRANT $needed{$_}"
				  . " ON TABLE $schema.procrastinate_$_ TO $quoted_role;" } sort keys %needed),
		'another role lacks privileges on all tables but that of jobs');
	run_sql("REVOKE USAGE ON SCHEMA $schema FROM $quoted_role");
	is(run_sql(sprintf $check, q{expected LIKE '%Role%'}),
		'', 'a role without USAGE on the schema lacks nothing');
	is( run_sql("SELECT procrastinate_require('head', schema => '$schema')"),
		$HEAD_NAME, 'it is no error');
	run_sql("SELECT procrastinate_repair(schema => '$schema', dry_run => false)");
	no_grant_is_missing($schema, 'after the repair nothing is missing');
	works($schema, $HEAD, 'and the worker works');
	is(run_sql("SELECT count(*) FROM procrastinate_repair(schema => '$schema')"),
		'0', 'there is nothing more to repair');

	# A function that has been dropped comes back with grants.
	run_sql("DROP FUNCTION $schema.procrastinate_retry_job_v2;"
		  . " SELECT procrastinate_repair(schema => '$schema', dry_run => false)");
	no_grant_is_missing($schema, 'a function that is created again has its grants');
	is(acls($schema, 'retry_job_v2'),
		acls($schema, 'retry_job_v1') =~ s/_v1/_v2/r, 'those of the function before');

	# Rights by membership and by PUBLIC count.
	run_sql('CREATE ROLE member IN ROLE worker;'
		  . " GRANT SELECT, INSERT, UPDATE ON $schema.procrastinate_jobs TO member");
	no_grant_is_missing($schema, 'a member of the worker lacks nothing');
	return;
}

# A sequence that counts otherwise.
sub sequences
{
	my $schema = least_privilege('sequences', $HEAD);
	my $jobs   = 'sequences.procrastinate_jobs_id_seq';
	my $check  = 'SELECT severity, problem, expected, actual, repair FROM procrastinate_check('
	  . "schema => 'sequences')";
	my $expected = 'procrastinate_jobs_id_seq bigint owned by procrastinate_jobs.id';
	my $repair   = "ALTER SEQUENCE $jobs INCREMENT BY 1 NO MINVALUE NO MAXVALUE NO CYCLE";
	my %changes  = (
		'MAXVALUE 1000'  => 'maxvalue 1000',
		'INCREMENT BY 5' => 'increment 5',
		'CYCLE'          => 'cycle',
		'MINVALUE 7 START 7 RESTART' => 'minvalue 7',
		'INCREMENT 2 MAXVALUE 9 CYCLE' => 'increment 2 maxvalue 9 cycle');
	foreach my $change (sort keys %changes)
	{
		run_sql("ALTER SEQUENCE $jobs $change");
		is( run_sql($check),
			"warning|altered|$expected|$expected $changes{$change}|$repair;",
			"$change is seen");
		is(run_sql(q{SELECT exact FROM procrastinate_detect('sequences')}),
			't', 'it makes no other revision');
		run_sql(q{SELECT procrastinate_repair(schema => 'sequences', dry_run => false)});
		is(run_sql($check), '', 'and repaired');
		is( run_sql('SELECT seqmin, seqmax, seqincrement, seqcycle FROM pg_sequence'
				  . " WHERE seqrelid = '$jobs'::regclass"),
			'1|9223372036854775807|1|f',
			'the sequence counts as it did');
	}
	run_sql("ALTER SEQUENCE $jobs INCREMENT BY -1 MINVALUE -10 MAXVALUE 10");
	is( run_sql($check),
		"warning|altered|$expected|$expected increment -1 minvalue -10 maxvalue 10|",
		'no repair where the numbers may lie below the bounds');

	run_sql("ALTER SEQUENCE $jobs INCREMENT BY 1 NO MINVALUE NO MAXVALUE RESTART 41 AS integer");
	is( run_sql($check),
		'error|altered|procrastinate_jobs_id_seq bigint owned by procrastinate_jobs.id|'
		  . 'procrastinate_jobs_id_seq integer owned by procrastinate_jobs.id|'
		  . "ALTER SEQUENCE $jobs AS bigint;",
		'a narrower type is seen');
	run_sql(q{SELECT procrastinate_repair(schema => 'sequences', dry_run => false)});
	is(run_sql($check), '', 'and repaired');
	is(run_sql("SELECT nextval('$jobs'), max_value = 9223372036854775807 FROM pg_sequences"
			  . q{ WHERE schemaname = 'sequences' AND sequencename = 'procrastinate_jobs_id_seq'}),
		'41|t', 'the number that it has reached stays');
	return;
}
