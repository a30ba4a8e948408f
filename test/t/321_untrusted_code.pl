# Code of another role never runs with the privileges of the caller: a change acts as the
# installation's owner in a security-restricted operation, and refuses code of third roles.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Procrastinate::Test::Traps;
use Test::More;

my $node     = start_server(name => 'untrusted_code');
my $database = new_database($node);
my $super    = $node->safe_psql($database, 'SELECT current_user');
my $error;
look_as_roles($node, $database);
set_traps($node, $database);
query('CREATE ROLE creator IN ROLE pg_read_all_stats');

my $columns = "$HISTORY_COLUMNS, $HISTORY_KEY";
my $row =
  qq{1, 'install', 'base', '$HEAD_NAME', now(), 'x', interval '0', '1.0.0', $THIS_DATABASE};
my %trap = (
	'a view' => qq{CREATE VIEW place.procrastinate_schema_history AS SELECT * FROM (VALUES ($row))}
	  . q{ v (id, event, from_revision, to_revision, applied_at, applied_by, duration, version,}
  . q{ system_identifier, database_oid)}
	  . q{ WHERE public.spring('view')},
	'a table with row-level security' =>
	  qq{CREATE TABLE place.procrastinate_schema_history ($columns);}
	  . qq{ INSERT INTO place.procrastinate_schema_history VALUES ($row);}
	  . q{ ALTER TABLE place.procrastinate_schema_history ENABLE ROW LEVEL SECURITY,}
	  . q{ FORCE ROW LEVEL SECURITY;}
	  . q{ CREATE POLICY p ON place.procrastinate_schema_history USING (public.spring('policy'))},
	'a table with a rule' => qq{CREATE TABLE place.procrastinate_schema_history ($columns);}
	  . q{ CREATE RULE r AS ON INSERT TO place.procrastinate_schema_history}
	  . q{ DO ALSO SELECT public.spring('rule')},
	'a materialized view' =>
	  'CREATE MATERIALIZED VIEW place.procrastinate_schema_history AS SELECT 1 AS id',
	'a partitioned table' =>
	  'CREATE TABLE place.procrastinate_schema_history (id bigint) PARTITION BY LIST (id)',
	'a table of other columns' => 'CREATE TABLE place.procrastinate_schema_history (id int)',
	'an index'                 =>
	  'CREATE TABLE place.t (id int); CREATE INDEX procrastinate_schema_history ON place.t (id)',
	'a table of domains' => q{CREATE DOMAIN place.revision AS text CHECK (public.spring('domain'));}
	  . (
		$columns =~ s/to_revision text/to_revision place.revision/r =~
		  s/^(.*)$/ CREATE TABLE place.procrastinate_schema_history ($1)/r),);
query('CREATE SCHEMA place');
my $script = PostgreSQL::Test::Utils::tempdir() . "/script.sql";
open(my $file, '>', $script) or die "cannot write $script: $!";
print $file query(q{SELECT procrastinate_sql('base:head', 'place')});
close $file;

foreach my $kind (sort keys %trap)
{
	query('DROP SCHEMA IF EXISTS place CASCADE; CREATE SCHEMA place AUTHORIZATION mallory');
	query('GRANT ALL ON SCHEMA place TO PUBLIC');
	my ($out, $err) =
	  as_role('mallory', "$trap{$kind}; GRANT ALL ON ALL TABLES IN SCHEMA place TO PUBLIC");
	is($err, '', "mallory puts $kind in place of the history");
	foreach my $caller ($super, 'creator')
	{
		refused($caller, $_, qr/ERROR:  (?:PM010|42501): /, "$caller is refused: $_")
		  foreach (
			q{SELECT procrastinate_upgrade(schema => 'place')},
			q{SELECT procrastinate_stamp('head', verify => false, schema => 'place')},
			q{CALL procrastinate_migrate(schema => 'place')});
		as_role($caller, q{SELECT * FROM procrastinate_current('place')});
		as_role($caller, q{SELECT * FROM procrastinate_history(schema => 'place')});
		as_role($caller, q{SELECT * FROM procrastinate_log('place')});
		refused(
			$caller, "\\i $script", qr/ERROR:  [0-9A-Z]{5}: /,
			"$caller is refused: the script");
	}
	no_trap_ran("no code of mallory has run: $kind");
}

# ---- An installation of mallory, with code of mallory in all places -----------------------------

query('DROP SCHEMA place CASCADE; CREATE SCHEMA place AUTHORIZATION mallory');
query('GRANT ALL ON SCHEMA place TO PUBLIC');
as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0010', 'place');
CREATE TRIGGER aaa BEFORE INSERT ON place.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION public.spring();
CREATE TRIGGER bbb BEFORE INSERT OR UPDATE OR DELETE ON place.procrastinate_jobs
	FOR EACH ROW EXECUTE FUNCTION public.spring();
ALTER TABLE place.procrastinate_schema_history
	ALTER applied_at SET DEFAULT CASE WHEN public.spring('default') THEN now() END;
ALTER TABLE place.procrastinate_schema_history ADD CHECK (public.spring('check'));
INSERT INTO place.procrastinate_jobs (queue_name, task_name) VALUES ('default', 'task');
GRANT ALL ON ALL TABLES IN SCHEMA place TO PUBLIC;
-- The planner evaluates what is immutable as the role that plans a query of the table.
CREATE FUNCTION public.constant(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM public.spring('constant');
	RETURN 1;
END $$;
CREATE INDEX ON place.procrastinate_schema_history ((public.constant(1)));
CREATE INDEX ON place.procrastinate_schema_history (id) WHERE public.constant(2) = 1;
CREATE INDEX ON place.procrastinate_jobs (id) WHERE public.constant(3) = 1;
CREATE STATISTICS place.s ON (public.constant(3)), (lower(event))
	FROM place.procrastinate_schema_history;
SQL
reset_traps();
refused('creator', $_, qr/ERROR:  42501: role "creator" may not change/, "creator is refused: $_")
  foreach (
	q{SELECT procrastinate_upgrade('0026', 'place')},
	q{SELECT procrastinate_stamp('0010', schema => 'place')},
	q{CALL procrastinate_migrate('0026', 'place')});
foreach my $caller ($super, 'creator')
{
	allowed(
		$caller, q{SELECT revision FROM procrastinate_current('place')},
		'0010',  "$caller may read");
	allowed(
		$caller, q{SELECT count(*) FROM procrastinate_log('place')},
		'10',    "$caller may read the log");
	as_role($caller, q{SELECT * FROM procrastinate_plan('head', 'place')});
	as_role($caller, q{SELECT * FROM procrastinate_check(schema => 'place')});
}
no_trap_ran('no reader runs a trigger, default or check of mallory');
allowed($super, q{SELECT procrastinate_upgrade('0013', 'place')}, '0013',
	'a superuser upgrades the installation of mallory');
allowed($super, q{CALL procrastinate_migrate('0026', 'place')}, '', 'by steps, too');
is( query('SELECT string_agg(DISTINCT ran_as, \' \') FROM public.traps'),
	'mallory', 'the code of mallory runs as mallory, and as no other role');

# ---- Code of mallory in an installation of another role ------------------------------------------

query('CREATE SCHEMA trusting; GRANT ALL ON SCHEMA trusting TO creator, mallory');
as_role(
	'creator', q{SELECT procrastinate_upgrade('0030', 'trusting');}
	  . q{ GRANT ALL ON ALL TABLES IN SCHEMA trusting TO mallory});
reset_traps();
open($file, '>', $script) or die "cannot write $script: $!";
print $file query(q{SELECT procrastinate_sql('0030:0031', 'trusting')});
close $file;
foreach my $code (
	[   'trigger ccc on table trusting.procrastinate_jobs',
		'CREATE TRIGGER ccc BEFORE UPDATE ON trusting.procrastinate_jobs'
		  . ' FOR EACH STATEMENT EXECUTE FUNCTION public.spring()',
		'public.spring()',
		'DROP TRIGGER ccc ON trusting.procrastinate_jobs' ],
	[   'trigger ddd on table trusting.procrastinate_schema_history',
		'CREATE TRIGGER ddd BEFORE INSERT ON trusting.procrastinate_schema_history'
		  . ' FOR EACH ROW EXECUTE FUNCTION public.spring()',
		'public.spring()',
		'DROP TRIGGER ddd ON trusting.procrastinate_schema_history' ],
	[   'trigger eee on table trusting.procrastinate_schema_history',
		'CREATE TRIGGER eee BEFORE INSERT ON trusting.procrastinate_schema_history'
		  . q{ FOR EACH ROW WHEN (public.spring('condition'))}
		  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()',
		'public.spring(text)',
		'DROP TRIGGER eee ON trusting.procrastinate_schema_history' ],)
{
	my ($what, $make, $function, $remove) = @$code;
	my ($out, $err) = as_role('mallory', $make);
	is($err, '', "mallory makes $what");
	foreach my $case (
		(   map { [ $_, 'creator' ], [ $_, $super ] }
			  q{SELECT procrastinate_stamp('0030', schema => 'trusting')},
			q{CALL procrastinate_migrate('0031', 'trusting')},
			q{SELECT procrastinate_repair(schema => 'trusting', dry_run => false)},
			q{SELECT procrastinate_upgrade('0031', 'trusting')}),
		[ "\\i $script", 'creator' ])
	{
		my ($call, $caller) = @$case;
		$error = refused($caller, $call, qr/ERROR:  42501: /, "$caller is refused: $call");
		like(
			$error, qr/\Q$what\E calls function \Q$function\E of role mallory\./,
			'the error names the cause');
		like($error, qr/to role creator, and drop what is not/, 'the HINT says what to do');
	}
	query($remove);
}

# Less direct ways.
as_role('mallory', <<'SQL');
CREATE FUNCTION public.same(bigint, bigint) RETURNS boolean LANGUAGE sql
	AS $$SELECT public.spring('same')$$;
CREATE FUNCTION public.number(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER fff BEFORE INSERT ON trusting.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION public.spring();
SQL
as_role('creator', 'ALTER TABLE trusting.procrastinate_schema_history DISABLE TRIGGER fff');
allowed(
	'creator', q{SELECT procrastinate_stamp('0030', schema => 'trusting')},
	'0030',    'a disabled trigger does not matter: only the owner can enable it');
query('DROP TRIGGER fff ON trusting.procrastinate_schema_history');
foreach my $way (
	[   'statistics object trusting.s calls function number(text) of role mallory',
		'CREATE STATISTICS trusting.s ON (public.number(event)), (lower(event)) FROM'
		  . ' trusting.procrastinate_schema_history',
		'SELECT 1', 'DROP STATISTICS trusting.s' ],
	[   'index trusting.i calls function number(text) of role mallory',
		'CREATE INDEX i ON trusting.procrastinate_schema_history (public.number(event))',
		'SELECT 1', 'DROP INDEX trusting.i' ],
	[   'calls function number(text) of role mallory',
		'ALTER TABLE trusting.procrastinate_jobs ADD extra int DEFAULT public.number(\'a\')',
		'SELECT 1', 'ALTER TABLE trusting.procrastinate_jobs DROP extra' ],
	[   'policy p on table trusting.procrastinate_jobs calls function number(text) of role mallory',
		'CREATE POLICY p ON trusting.procrastinate_jobs USING (public.number(\'a\') = 1)',
		'SELECT 1', 'DROP POLICY p ON trusting.procrastinate_jobs' ],
	[   'calls function number(text) of role mallory',
		'CREATE RULE r AS ON UPDATE TO trusting.procrastinate_jobs DO ALSO SELECT'
		  . ' public.number(\'a\')',
		'SELECT 1', 'DROP RULE r ON trusting.procrastinate_jobs' ],
	[   'table grandkid belongs to role mallory',
		'CREATE TABLE trusting.kid () INHERITS (trusting.procrastinate_jobs); CREATE TABLE'
		  . ' trusting.grandkid () INHERITS (trusting.kid)',
		'ALTER TABLE trusting.grandkid OWNER TO mallory', 'DROP TABLE trusting.kid CASCADE' ],
	[   'table kid belongs to role mallory',
		'CREATE TABLE trusting.kid () INHERITS (trusting.procrastinate_jobs)',
		'ALTER TABLE trusting.kid OWNER TO mallory', 'DROP TABLE trusting.kid' ],
	[   'calls function same(bigint,bigint) of role mallory',
		'CREATE OPERATOR trusting.=== (FUNCTION = public.same, LEFTARG = bigint, RIGHTARG ='
		  . ' bigint);'
		  . ' ALTER TABLE trusting.procrastinate_schema_history'
		  . ' ADD CONSTRAINT c CHECK (id OPERATOR(trusting.===) id) NOT VALID',
		'SELECT 1', 'DROP OPERATOR trusting.=== (bigint, bigint) CASCADE' ],
	[   'table procrastinate_events belongs to role mallory',
		'ALTER EXTENSION procrastinate_migrate ADD TABLE trusting.procrastinate_events',
		'ALTER EXTENSION procrastinate_migrate ADD TABLE trusting.procrastinate_events;'
		  . ' ALTER TABLE trusting.procrastinate_events OWNER TO mallory',
		'ALTER TABLE trusting.procrastinate_events OWNER TO creator;'
		  . ' ALTER EXTENSION procrastinate_migrate DROP TABLE trusting.procrastinate_events' ])
{
	my ($finding, $make, $then, $remove) = @$way;
	my ($out, $err) = as_role('creator', $make);
	is($err, '', "creator relies on mallory: $finding") if $make !~ /^ALTER EXTENSION/;
	query($then);
	$error = refused(
		'creator',           q{SELECT procrastinate_upgrade('0031', 'trusting')},
		qr/ERROR:  42501: /, "refused: $finding");
	$error =~ s/public\.(?=number|same)//g;
	like($error, qr/\Q$finding\E/, 'the error names the cause');
	query($remove);
}
no_trap_ran('no code of mallory has run on these ways');

# ---- An operator that would be preferred to the server's own ------------------------------------

# It is for our type, and in the schema's search_path: migrations do not use it, on any way and at
# any revision. It is the owner's, since one of another role is refused (below).
query('CREATE SCHEMA shadowed; GRANT ALL ON SCHEMA shadowed TO creator, mallory');
my $shadow = q{CREATE FUNCTION shadowed.same(shadowed.procrastinate_job_status,}
  . q{ shadowed.procrastinate_job_status) RETURNS boolean LANGUAGE sql IMMUTABLE AS}
  . q{ $$SELECT public.spring('operator')$$; CREATE OPERATOR shadowed.= (FUNCTION = shadowed.same,}
  . q{ LEFTARG = shadowed.procrastinate_job_status, RIGHTARG = shadowed.procrastinate_job_status)};
my $uncover = q{DROP FUNCTION shadowed.same CASCADE};
as_role(
	'creator', q{SELECT procrastinate_upgrade('0001', 'shadowed');}
	  . q{ INSERT INTO shadowed.procrastinate_jobs (queue_name, task_name, lock)}
	  . q{ SELECT 'queue', 'task', n FROM generate_series(1, 9) n});
{
	my ($out, $err) = as_role('creator', $shadow);
	is($err, '', 'the owner makes an operator on the type of the status');
}
allowed('creator', q{SELECT procrastinate_upgrade('0027', 'shadowed')}, '0027', 'it is not used');
query(
	q{SET session_replication_role = replica;}
	  . q{ UPDATE shadowed.procrastinate_jobs SET status = 'aborting' WHERE id < 4});
allowed('creator', q{CALL procrastinate_migrate('head', 'shadowed')}, '', 'nor by the procedure');
query($uncover);
is_at($node, $database, 'shadowed', $HEAD, 'nothing that is stored calls it');
is( query(q{SELECT count(*) FROM shadowed.procrastinate_jobs WHERE abort_requested}),
	'3', 'the rows were compared by the operator of the server');

# One that is stored all the same, since the owner built an index by hand.
as_role('mallory', $shadow);
as_role(
	'creator', q{SET search_path = shadowed; CREATE INDEX mine ON procrastinate_jobs (id)}
	  . q{ WHERE status = 'failed'});
reset_traps();    # it ran while the index was built
$error = refused(
	'creator',           q{SELECT procrastinate_stamp('head', schema => 'shadowed')},
	qr/ERROR:  42501: /, 'an index that calls it is refused');
like($error, qr/index shadowed\.mine calls function shadowed\.same\(.*\) of role mallory\./,
	'the error names the index');
no_trap_ran('no code of mallory has run');
allowed(
	'creator', q{SELECT procrastinate_upgrade('0031', 'trusting')},
	'0031',    'another installation is not affected');

# One object of mallory among those of another owner: a function of a name that will be needed.
query('CREATE SCHEMA mixed; GRANT ALL ON SCHEMA mixed TO creator, mallory');
allowed('creator', q{SELECT procrastinate_upgrade('0008', 'mixed')}, '0008', 'creator installs');
as_role(
	'mallory',
	q{CREATE FUNCTION mixed.procrastinate_defer_job(varchar, varchar, text, text,}
	  . q{ jsonb, timestamptz) RETURNS bigint LANGUAGE sql AS 'SELECT 1'});
refused(
	'creator',
	q{SELECT procrastinate_upgrade('0010', 'mixed')},
	qr/ERROR:  42501: .*\nDETAIL:  routine procrastinate_defer_job belongs to role mallory/,
	'a function of another role with a needed name is an error that names it');
allowed(
	'creator', q{SELECT revision FROM procrastinate_current('mixed')},
	'0008',    'nothing was begun');

$node->stop;
done_testing();
