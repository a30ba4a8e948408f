# Everything runs as the caller and with the caller's rights alone: who may install, change and
# read; what is missing is reported at once and before anything is touched; code that somebody else
# left in place of the history or on the tables never runs with the rights of the caller.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'privileges');
my $database = new_database($node);
my $super    = $node->safe_psql($database, 'SELECT current_user');
$node->safe_psql($database, <<'SQL');
CREATE ROLE creator;
CREATE ROLE owners;
CREATE ROLE member IN ROLE owners;
CREATE ROLE onlooker;
CREATE ROLE mallory;
CREATE SCHEMA jobs;
GRANT CREATE, USAGE ON SCHEMA jobs TO creator;
SQL

# Runs SQL as a role: (rows, error with its SQLSTATE, DETAIL, HINT).
sub as_role
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql($database,
		"\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\nSET client_min_messages = warning;\n"
		  . "SET ROLE $role;\n$sql");
	$err =~ s/^psql:<stdin>:\d+: //mg;
	return ($out, $err);
}

sub allowed
{
	my ($role, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = as_role($role, $sql);
	return is("$out$err", $expected, $name);
}

sub refused
{
	my ($role, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = as_role($role, $sql);
	like($err, $expected, $name);
	return $err;
}

sub query { return $node->safe_psql($database, shift); }

# ---- The extension itself -----------------------------------------------------------------------

is(query(q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'procrastinate\_%' AND prosecdef}),
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
	'0038',
	'the owner of a database, who is no superuser, creates the extension and installs');
is( $node->safe_psql(
		'landlords',
		q{SELECT count(*), bool_or(rolsuper) FROM pg_class c JOIN pg_roles r ON r.oid = relowner}
		  . q{ WHERE relnamespace = 'jobs'::regnamespace AND rolname <> 'landlord'}),
	'0|',
	'all that was made is that owner\'s');

# ---- A role with CREATE on the schema -----------------------------------------------------------

allowed(
	'creator', q{SELECT procrastinate_upgrade('0028', 'jobs')},
	'0028',    'a role that may create in a schema installs there');
allowed('creator', q{SELECT procrastinate_upgrade('head', 'jobs')}, '0038', 'and upgrades there');
is( query(
			q{SELECT string_agg(DISTINCT pg_get_userbyid(owner), ',') FROM (}
		  . q{SELECT relowner FROM pg_class WHERE relnamespace = 'jobs'::regnamespace UNION ALL}
		  . q{ SELECT proowner FROM pg_proc WHERE pronamespace = 'jobs'::regnamespace UNION ALL}
		  . q{ SELECT typowner FROM pg_type WHERE typnamespace = 'jobs'::regnamespace) o (owner)}),
	'creator',
	'and owns all that was made');
is(query(q{SELECT DISTINCT applied_by FROM procrastinate_log('jobs')}),
	'creator', 'the log says so');
query(q{REVOKE CREATE ON SCHEMA jobs FROM creator});
refused(
	'creator',
	q{SELECT procrastinate_stamp('head', schema => 'jobs')},
	qr/ERROR:  42501: role "creator" may not change.*\nDETAIL:  CREATE on schema jobs is missing/,
	'an owner who lost CREATE is told so before the first change');
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
	'all that is missing is listed at once');
my ($hint) = $error =~ /^HINT:  (.*)$/m;
is($hint, 'GRANT CREATE, USAGE ON SCHEMA closed TO onlooker;', 'a hint says what to grant');
query($hint // '');
allowed(
	'onlooker', q{SELECT procrastinate_upgrade('0001', 'closed')},
	'0001',     'and works when pasted');
query(
	q{REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC; CREATE SCHEMA speechless AUTHORIZATION onlooker});
refused(
	'onlooker',
	q{SELECT procrastinate_upgrade(schema => 'speechless')},
	qr/42501: .*\nDETAIL:  USAGE on language plpgsql is missing/,
	'a right on the language of the functions is looked for, too');
query(q{GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC});

# ---- Owners, members of the owning role, and everybody else -------------------------------------

query(q{CREATE SCHEMA shared AUTHORIZATION owners});
allowed('owners', q{SELECT procrastinate_upgrade('0030', 'shared')}, '0030', 'a role owns another');
$error = refused(
	'member',
	q{SELECT procrastinate_upgrade('0031', 'shared')},
	qr/42501: role "member" may not change/,
	'a member of the owning role makes nothing that would not be the owner\'s');
($hint) = $error =~ /^HINT:  (.*)$/m;
is($hint, 'SET ROLE owners;', 'and is told to become the owner');
allowed('member', ($hint // '') . q{ SELECT procrastinate_upgrade('0031', 'shared')},
	'0031', 'which works when pasted');
allowed(
	'owners', q{SELECT procrastinate_upgrade('0032', 'shared')},
	'0032',   'and after which the owner still can');
query(q{ALTER TABLE shared.procrastinate_events OWNER TO creator});
$error = refused(
	'owners', q{SELECT procrastinate_upgrade('0033', 'shared')},
	qr/42501: .*\nDETAIL:  table procrastinate_events belongs to role creator\.$/m,
	'an installation of two roles is refused to each');
my ($give) = $error =~ /^HINT:  .* give them to role owners\.\n(ALTER .*;)$/m;
is( $give,
	'ALTER TABLE shared.procrastinate_events OWNER TO owners;',
	'and the hint gives the statement to paste');
query($give);
allowed(
	'owners', q{SELECT procrastinate_upgrade('0033', 'shared')},
	'0033',   'which is all that it takes');
allowed(
	'member', q{SET ROLE owners; SELECT procrastinate_upgrade('head', 'installed')},
	'0038',   'a member installs in the name of the owning role');
my $before = query(q{SELECT count(*) FROM procrastinate_log('installed')});
query(q{GRANT CREATE, USAGE ON SCHEMA installed TO creator});
$error = refused(
	'creator',
	q{SELECT procrastinate_stamp('0038', schema => 'installed')},
	qr/42501: role "creator" may not change/,
	'a role that may create there but is no owner is refused');
like($error, qr/belongs to role owners/, 'and told whose it is');

foreach my $call (
	q{SELECT procrastinate_upgrade('head', 'closed')},
	q{CALL procrastinate_migrate('head', 'closed')},
	q{SELECT procrastinate_stamp('0002', verify => false, schema => 'closed')})
{
	refused(
		'mallory', $call,
		qr/ERROR:  42501: role "mallory" may not/,
		"refused to a stranger: $call");
}

my %reads = (
	q{SELECT revision, is_head FROM procrastinate_current('installed')}  => '0038|t',
	q{SELECT count(*) FROM procrastinate_history(schema => 'installed')} => '38',
	q{SELECT count(*) FROM procrastinate_pending('head', 'installed')}   => '0',
	q{SELECT count(*) FROM procrastinate_log('installed')}               => $before,
	q{SELECT revision FROM procrastinate_heads()}                        => '0038',
	q{SELECT revision FROM procrastinate_show('3.0.0')}                  => '0031',
	q{SELECT length(procrastinate_migration_sql('1')) > 0}               => 't',
	q{SELECT length(procrastinate_sql('current:', 'installed')) > 0}     => 't',
	q{SELECT count(*) FROM installed.procrastinate_schema_history}       => $before,
	q{SELECT revision FROM procrastinate_current('closed')}              => '0001',);
allowed('onlooker', $_, $reads{$_}, "a role that may only look may: $_") foreach sort keys %reads;
refused(
	'mallory',
	q{SELECT * FROM procrastinate_current('installed')},
	qr/ERROR:  42501: permission denied for schema installed/,
	'without USAGE on the schema the server refuses even that');
allowed(
	'onlooker', q{SELECT procrastinate_upgrade('head', 'installed')},
	'0038',     'an upgrade that has nothing to do is nobody\'s danger');
is(query(q{SELECT count(*) FROM procrastinate_log('installed')}), $before, 'and is not logged');

# ---- A superuser and another role's installation ------------------------------------------------

query(q{CREATE SCHEMA "Owner's ""odd"" one" AUTHORIZATION creator; CREATE ROLE "O'Dd ""role"""});
query(q{CREATE SCHEMA theirs AUTHORIZATION "O'Dd ""role"""});
allowed(
	q{"O'Dd ""role"""},
	q{SELECT procrastinate_upgrade('0030', 'theirs')},
	'0030', 'a role of odd name');
$error = refused(
	$super,
	q{SELECT procrastinate_upgrade('0031', 'theirs')},
	qr/ERROR:  PM010: superuser "$super" will not change the installation in schema "theirs"/,
	'a superuser is refused on what is another role\'s');
($hint) = $error =~ /^HINT:  .*(SET ROLE .*;)$/m;
is($hint, q{SET ROLE "O'Dd ""role""";}, 'with a hint to become that role');
allowed($super, ($hint // '') . q{ SELECT procrastinate_upgrade('0031', 'theirs')},
	'0031', 'that works when pasted');

foreach my $call (
	q{CALL procrastinate_migrate('head', 'theirs')},
	q{SELECT procrastinate_stamp('0031', schema => 'theirs')})
{
	refused($super, $call, qr/ERROR:  PM010: /, "refused as well: $call");
}

# ---- Traps: code of mallory's that must never run as somebody else ------------------------------

query(q{CREATE TABLE public.traps (ran_as text, trap text); GRANT ALL ON public.traps TO PUBLIC});
query(q{GRANT CREATE, USAGE ON SCHEMA public TO mallory});
as_role('mallory', <<'SQL');
CREATE FUNCTION public.spring(trap text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO public.traps VALUES (current_user, trap);
	RETURN true;
END $$;
CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.traps VALUES (current_user, TG_NAME || ' on ' || TG_RELNAME);
	RETURN NEW;
END $$;
SQL

my $columns = 'id bigint, event text, from_revision text, to_revision text,'
  . ' applied_at timestamptz, applied_by text, duration interval, version text';
my $row  = q{1, 'install', 'base', '0038', now(), 'x', interval '0', '1.0.0'};
my %trap = (
	'a view' => qq{CREATE VIEW place.procrastinate_schema_history AS SELECT * FROM (VALUES ($row))}
	  . q{ v (id, event, from_revision, to_revision, applied_at, applied_by, duration, version)}
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
my $script = "$PostgreSQL::Test::Utils::tmp_check/script.sql";
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
		refused($caller, "\\i $script", qr/ERROR:  [0-9A-Z]{5}: /,
			"$caller is refused: the script");
	}
	is(query('SELECT count(*) FROM traps'), '0', 'and no code of mallory\'s has run')
	  or query('TRUNCATE traps');
}

# An installation of mallory's own, with triggers on the history and on the tables.
query('DROP SCHEMA place CASCADE; CREATE SCHEMA place AUTHORIZATION mallory');
query('GRANT ALL ON SCHEMA place TO PUBLIC');
as_role('mallory', <<'SQL');
SELECT procrastinate_upgrade('0010', 'place');
CREATE TRIGGER aaa BEFORE INSERT ON place.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION public.spring();
CREATE TRIGGER bbb BEFORE INSERT OR UPDATE OR DELETE ON place.procrastinate_jobs
	FOR EACH ROW EXECUTE FUNCTION public.spring();
ALTER TABLE place.procrastinate_schema_history
	ALTER version SET DEFAULT public.spring('default')::text;
ALTER TABLE place.procrastinate_schema_history ADD CHECK (public.spring('check'));
INSERT INTO place.procrastinate_jobs (queue_name, task_name) VALUES ('default', 'task');
GRANT ALL ON ALL TABLES IN SCHEMA place TO PUBLIC;
-- The planner evaluates what is immutable as whoever plans a query of the table.
CREATE FUNCTION public.constant(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM public.spring('constant');
	RETURN 1;
END $$;
CREATE INDEX ON place.procrastinate_schema_history ((public.constant(1)));
CREATE INDEX ON place.procrastinate_schema_history (id) WHERE public.constant(2) = 1;
CREATE STATISTICS place.s ON (public.constant(3)), (lower(event))
	FROM place.procrastinate_schema_history;
SQL
query('TRUNCATE traps');
foreach my $caller ($super, 'creator')
{
	refused($caller, $_, qr/ERROR:  (?:PM010|42501): /, "$caller is refused: $_")
	  foreach (
		q{SELECT procrastinate_upgrade('0026', 'place')},
		q{SELECT procrastinate_stamp('0010', schema => 'place')},
		q{CALL procrastinate_migrate('0026', 'place')});
	allowed($caller, q{SELECT revision FROM procrastinate_current('place')},
		'0010', "$caller may read");
	allowed($caller, q{SELECT count(*) FROM procrastinate_log('place')},
		'10', "$caller may read the log");
}
is(query('SELECT count(*) FROM traps'), '0', 'no trigger, default or check of mallory\'s has run');

# Code of mallory's in an installation that trusts mallory with its tables and its schema.
query('CREATE SCHEMA trusting; GRANT ALL ON SCHEMA trusting TO creator, mallory');
as_role('creator', q{SELECT procrastinate_upgrade('0030', 'trusting');}
	  . q{ GRANT ALL ON ALL TABLES IN SCHEMA trusting TO mallory});
my @code = (
	[   'trigger ccc on table trusting.procrastinate_jobs',
		'CREATE TRIGGER ccc BEFORE UPDATE ON trusting.procrastinate_jobs'
		  . ' FOR EACH STATEMENT EXECUTE FUNCTION public.spring()',
		'DROP TRIGGER ccc ON trusting.procrastinate_jobs' ],
	[   'trigger ddd on table trusting.procrastinate_schema_history',
		'CREATE TRIGGER ddd BEFORE INSERT ON trusting.procrastinate_schema_history'
		  . ' FOR EACH ROW EXECUTE FUNCTION public.spring()',
		'DROP TRIGGER ddd ON trusting.procrastinate_schema_history' ],);
open($file, '>', $script) or die "cannot write $script: $!";
print $file query(q{SELECT procrastinate_sql('0030:0031', 'trusting')});
close $file;
foreach my $code (@code)
{
	my ($what, $make, $remove) = @$code;
	my ($out, $err) = as_role('mallory', $make);
	is($err, '', "mallory makes $what");
	foreach my $call (
		q{SELECT procrastinate_stamp('0030', schema => 'trusting')},
		q{CALL procrastinate_migrate('0031', 'trusting')},
		"\\i $script",
		q{SELECT procrastinate_upgrade('0031', 'trusting')})
	{
		$error = refused('creator', $call, qr/ERROR:  42501: /, "creator is refused: $call");
		like($error, qr/\Q$what\E calls function public\.spring\(\) of role mallory\./,
			'and told the cause');
		like($error, qr/drop them, or give them to role creator/, 'and the way out');
	}
	query($remove);
}

# Less direct ways. A trigger that is disabled is no way at all: to enable it takes the owner.
as_role('mallory', <<'SQL');
CREATE FUNCTION public.same(bigint, bigint) RETURNS boolean LANGUAGE sql
	AS $$SELECT public.spring('same')$$;
CREATE DOMAIN public.number AS int;
CREATE TRIGGER eee BEFORE INSERT ON trusting.procrastinate_schema_history
	FOR EACH ROW EXECUTE FUNCTION public.spring();
SQL
as_role('creator', 'ALTER TABLE trusting.procrastinate_schema_history DISABLE TRIGGER eee');
allowed('creator', q{SELECT procrastinate_stamp('0030', schema => 'trusting')},
	'0030', 'a disabled trigger is not in the way');
query('DROP TRIGGER eee ON trusting.procrastinate_schema_history');
foreach my $way (
	[   'table kid belongs to role mallory',
		'CREATE TABLE trusting.kid () INHERITS (trusting.procrastinate_jobs)',
		'ALTER TABLE trusting.kid OWNER TO mallory', 'DROP TABLE trusting.kid' ],
	[   'calls type number of role mallory',
		'ALTER TABLE trusting.procrastinate_schema_history ADD extra public.number',
		q{ALTER DOMAIN public.number ADD CHECK (public.spring('domain')) NOT VALID},
		'ALTER TABLE trusting.procrastinate_schema_history DROP extra' ],
	[   'calls operator trusting.===(bigint,bigint) of role mallory',
		'CREATE OPERATOR trusting.=== (FUNCTION = public.same, LEFTARG = bigint, RIGHTARG = bigint);'
		  . ' ALTER TABLE trusting.procrastinate_schema_history'
		  . ' ADD CONSTRAINT c CHECK (id OPERATOR(trusting.===) id) NOT VALID',
		'SELECT 1', 'DROP OPERATOR trusting.=== (bigint, bigint) CASCADE' ])
{
	my ($finding, $make, $then, $remove) = @$way;
	my ($out, $err) = as_role('creator', $make);
	is($err, '', "creator relies on mallory: $finding");
	query($then);
	$error = refused('creator', q{SELECT procrastinate_upgrade('0031', 'trusting')},
		qr/ERROR:  42501: /, "refused: $finding");
	$error =~ s/public\.number/number/;
	like($error, qr/\Q$finding\E/, 'and told the cause');
	query($remove);
}
is(query('SELECT count(*) FROM traps'), '0', 'no code of mallory\'s has run on these ways')
  or diag(query('SELECT DISTINCT ran_as, trap FROM traps'));

# An operator for our type, which would be preferred to the server's own in the schema's search_path:
# migrations do not use it, on any way and at any revision.
query('CREATE SCHEMA shadowed; GRANT ALL ON SCHEMA shadowed TO creator, mallory');
my $shadow = q{CREATE FUNCTION shadowed.same(shadowed.procrastinate_job_status,}
  . q{ shadowed.procrastinate_job_status) RETURNS boolean LANGUAGE sql IMMUTABLE AS}
  . q{ $$SELECT public.spring('operator')$$; CREATE OPERATOR shadowed.= (FUNCTION = shadowed.same,}
  . q{ LEFTARG = shadowed.procrastinate_job_status, RIGHTARG = shadowed.procrastinate_job_status)};
my $uncover = q{DROP FUNCTION shadowed.same CASCADE};
as_role('creator', q{SELECT procrastinate_upgrade('0001', 'shadowed');}
	  . q{ INSERT INTO shadowed.procrastinate_jobs (queue_name, task_name, lock)}
	  . q{ SELECT 'queue', 'task', n FROM generate_series(1, 9) n});
{
	my ($out, $err) = as_role('mallory', $shadow);
	is($err, '', 'mallory makes an operator on the type of the status');
}
allowed('creator', q{SELECT procrastinate_upgrade('0027', 'shadowed')}, '0027', 'it is not used');
query(q{SET session_replication_role = replica;}
	  . q{ UPDATE shadowed.procrastinate_jobs SET status = 'aborting' WHERE id < 4});
allowed('creator', q{CALL procrastinate_migrate('head', 'shadowed')}, '', 'nor by the procedure');
query($uncover);
is_at($node, $database, 'shadowed', $HEAD, 'nor does anything that is stored call it');
is(query(q{SELECT count(*) FROM shadowed.procrastinate_jobs WHERE abort_requested}),
	'3', 'and the rows were compared by the server\'s own');

# One that is stored all the same, since the owner built an index by hand.
as_role('mallory', $shadow);
as_role('creator', q{SET search_path = shadowed; CREATE INDEX mine ON procrastinate_jobs (id)}
	  . q{ WHERE status = 'failed'});
query('TRUNCATE traps');    # it ran while the index was built
$error = refused('creator', q{SELECT procrastinate_stamp('head', schema => 'shadowed')},
	qr/ERROR:  42501: /, 'an index that calls it is refused');
like($error,
	qr/index shadowed\.mine calls operator shadowed\.=\(.*\) of role mallory\./,
	'and named');
is(query('SELECT count(*) FROM traps'), '0', 'no code of mallory\'s has run')
  or diag(query('SELECT DISTINCT ran_as, trap FROM traps'));
allowed('creator', q{SELECT procrastinate_upgrade('0031', 'trusting')},
	'0031', 'without it creator upgrades');

# One object of mallory's among those of another owner: a function of a name that will be needed.
query('CREATE SCHEMA mixed; GRANT ALL ON SCHEMA mixed TO creator, mallory');
allowed('creator', q{SELECT procrastinate_upgrade('0008', 'mixed')}, '0008', 'creator installs');
as_role('mallory',
	q{CREATE FUNCTION mixed.procrastinate_defer_job(varchar, varchar, text, text,}
	  . q{ jsonb, timestamptz) RETURNS bigint LANGUAGE sql AS 'SELECT 1'});
refused(
	'creator',
	q{SELECT procrastinate_upgrade('0010', 'mixed')},
	qr/ERROR:  42501: .*\nDETAIL:  routine procrastinate_defer_job belongs to role mallory/,
	'a function of a stranger in the way is refused, and named');
allowed(
	'creator', q{SELECT revision FROM procrastinate_current('mixed')},
	'0008',    'nothing was begun');

$node->stop;
done_testing();
