# Code of another role that the owner's own code uses, or a column's type: a change is refused
# before it would run that code as the owner.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'code_of_code');
my $database = new_database($node);
look_as_roles($node, $database);
use_database($node, $database);
query('CREATE ROLE mallory LOGIN');

domain_of_a_column();
domain_of_an_expression();
code_of_code();
too_much_code();
version_table();
operators();
operator_of_a_late_trigger();
done_testing();

# Each policy is paired with all that it uses: 25 with 900 functions. Those are so deep that the
# limit for the size of definitions does not count them.
sub too_much_code
{
	query(<<'SQL');
CREATE SCHEMA much;
SELECT procrastinate_upgrade('0026', 'much');
DO $$
DECLARE
    calls text;
BEGIN
    FOR i IN 1 .. 900 LOOP
        EXECUTE format('CREATE FUNCTION much.f%s() RETURNS boolean IMMUTABLE RETURN true', i);
    END LOOP;
    SELECT string_agg(format('much.f%s()', i), ' AND ') INTO calls FROM generate_series(1, 900) i;
    EXECUTE 'CREATE FUNCTION much.all_of_them() RETURNS boolean IMMUTABLE RETURN ' || calls;
    CREATE FUNCTION much.above() RETURNS boolean IMMUTABLE RETURN much.all_of_them();
    CREATE FUNCTION much.top() RETURNS boolean IMMUTABLE RETURN much.above();
    FOR i IN 1 .. 20 LOOP
        EXECUTE format('CREATE POLICY p%s ON much.procrastinate_jobs USING (much.top())', i);
    END LOOP;
END
$$;
SQL
	allowed('postgres', q{SELECT procrastinate_upgrade('0027', 'much')},
		'0027', '20 policies with 900 functions are checked');
	query(q{DO $$ BEGIN FOR i IN 21 .. 25 LOOP EXECUTE format('CREATE POLICY p%s}
		  . q{ ON much.procrastinate_jobs USING (much.top())', i); END LOOP; END $$});
	refused(
		'postgres',
		q{SELECT procrastinate_upgrade('0028', 'much')},
		qr/42501: .*\n(?:.*\n)*?.*of its tables use too much code to check\./,
		'25 policies are refused');
	query('DROP SCHEMA much CASCADE');
	return;
}

# A column of the history has a domain of another role, who adds a CHECK to it.
sub domain_of_a_column
{
	query(<<'SQL');
CREATE SCHEMA typed;
SELECT procrastinate_upgrade('0026', 'typed');
CREATE SCHEMA own AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA own TO PUBLIC;
SQL
	as_role('mallory', 'CREATE DOMAIN own.below AS int; CREATE DOMAIN own.above AS own.below');
	query('CREATE TYPE typed.of_below AS RANGE (SUBTYPE = own.below)');
	foreach my $type ('own.below', 'own.above', 'own.below[]', 'typed.of_below',
		'typed.of_below[]')
	{
		query("ALTER TABLE typed.procrastinate_events ADD own $type");
		refused(
			'postgres',
			q{SELECT procrastinate_upgrade('0027', 'typed')},
			qr/42501: .*\n(?:.*\n)*?.*column own of table \S+procrastinate_events has type/,
			"a column of type $type is refused");
		query('ALTER TABLE typed.procrastinate_events DROP own');
	}
	allowed('postgres', q{SELECT procrastinate_upgrade('0027', 'typed')}, '0027', 'without it');
	query('DROP SCHEMA typed, own CASCADE');
	return;
}

# A cast to a domain calls the domain's CHECK; pg_depend knows the type only.
sub domain_of_an_expression
{
	query(<<'SQL');
CREATE SCHEMA cast_to;
SELECT procrastinate_upgrade('0026', 'cast_to');
CREATE SCHEMA own AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA own TO PUBLIC;
GRANT USAGE ON SCHEMA cast_to TO mallory;
GRANT TRIGGER ON cast_to.procrastinate_schema_history TO mallory;
SQL
	as_role('mallory', <<'SQL');
CREATE FUNCTION own.evil(text) RETURNS boolean LANGUAGE plpgsql
	AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN true; END $$;
CREATE DOMAIN own.d AS text CHECK (own.evil(value));
CREATE TRIGGER t BEFORE INSERT ON cast_to.procrastinate_schema_history FOR EACH ROW
	WHEN (NEW.event::own.d IS NULL) EXECUTE FUNCTION suppress_redundant_updates_trigger();
SQL
	my $named = qr/trigger t on table \S+procrastinate_schema_history has type own\.d of role/;
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'cast_to')});
	foreach my $call (
		q{SELECT procrastinate_upgrade('0027', 'cast_to')},
		q{CALL procrastinate_migrate('0027', 'cast_to')}, $script)
	{
		my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
		like($error, $named, 'a domain in the condition of a trigger is refused');
	}
	query('DROP TRIGGER t ON cast_to.procrastinate_schema_history');
	is_unprivileged('mallory', 'and is not called');
	query('DROP SCHEMA cast_to, own CASCADE');
	return;
}

# Code that the owner's own code uses: a domain to which the CHECK of the owner's domain casts, and
# a function that the owner's calls in a body of the SQL standard.
sub code_of_code
{
	query(<<'SQL');
CREATE SCHEMA own;
GRANT USAGE ON SCHEMA own TO PUBLIC;
GRANT CREATE ON SCHEMA own TO mallory;
CREATE ROLE owner LOGIN;
CREATE SCHEMA indirect AUTHORIZATION owner;
SQL
	as_role('mallory', <<'SQL');
CREATE DOMAIN own.below AS text;
CREATE FUNCTION own.evil(text) RETURNS boolean LANGUAGE sql RETURN true;
SQL
	as_role('owner', <<'SQL');
SELECT procrastinate_upgrade('0026', 'indirect');
CREATE DOMAIN indirect.checked AS text CHECK (VALUE::own.below IS NOT NULL);
CREATE DOMAIN indirect.above AS indirect.checked;
CREATE FUNCTION indirect.calls(text) RETURNS boolean LANGUAGE sql RETURN own.evil($1);
CREATE FUNCTION indirect.casts(text) RETURNS boolean LANGUAGE sql RETURN $1::own.below IS NULL;
SQL
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'indirect')});
	my $history = 'indirect.procrastinate_schema_history';
	foreach my $case (
		[   "ALTER TABLE $history ADD x indirect.above DEFAULT 'q'",
			qr/column x of table \S+procrastinate_schema_history has type own\.below of role/,
			"ALTER TABLE $history DROP x",
			'the CHECK of a domain' ],
		(   map {
				[   "CREATE TRIGGER t BEFORE INSERT ON $history FOR EACH ROW"
					  . " WHEN (indirect.$_->[0](NEW.event))"
					  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()',
					qr/trigger t on table \S+procrastinate_schema_history $_->[1] of role mallory/,
					"DROP TRIGGER t ON $history",
					"a function that $_->[0]" ]
			} [ 'calls', 'calls function own.evil\(text\)' ],
			[ 'casts', 'has type own.below' ]))
	{
		my ($make, $named, $remove, $what) = @$case;
		query($make);
		foreach my $call (
			q{SELECT procrastinate_upgrade('0027', 'indirect')},
			q{CALL procrastinate_migrate('0027', 'indirect')}, $script)
		{
			local $ENV{PGUSER} = 'owner';
			my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
			like($error, $named, "$what is refused: " . substr($call, 0, 20));
		}
		query($remove);
	}
	allowed('owner', q{SELECT procrastinate_upgrade('0027', 'indirect')}, '0027', 'without them');
	query('DROP SCHEMA indirect, own CASCADE; DROP ROLE owner');
	return;
}

# Code of Alembic's table, which a change writes to as the owner.
sub version_table
{
	query(<<'SQL');
CREATE ROLE owner LOGIN;
CREATE SCHEMA synced AUTHORIZATION owner;
CREATE SCHEMA own AUTHORIZATION mallory;
SQL
	as_role('mallory', <<'SQL');
GRANT USAGE ON SCHEMA own TO PUBLIC;
CREATE FUNCTION own.evil(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql
	AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN true; END $$;
CREATE DOMAIN own.d AS text;
SQL
	as_role('owner', <<'SQL');
SELECT procrastinate_upgrade('0026', 'synced');
CREATE TABLE synced.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO synced.alembic_version VALUES ('procrastinate_0025');
SQL
	my $table = 'synced.alembic_version';
	my $set   = "SET procrastinate_migrate.alembic_version = '$table'";
	foreach my $case (
		[   'ADD CONSTRAINT c CHECK (own.evil(version_num)) NOT VALID',
			'constraint c on table synced.alembic_version calls function own.evil(text)',
			'DROP CONSTRAINT c' ],
		[   'ADD x own.d',
			'column x of table synced.alembic_version has type own.d',
			'DROP x' ])
	{
		my ($make, $named, $remove) = @$case;
		as_role('owner', "ALTER TABLE $table $make");
		foreach my $call (
			q{SELECT procrastinate_upgrade('0027', 'synced')},
			q{CALL procrastinate_migrate('0027', 'synced')})
		{
			my $error = refused(
				'owner',
				"$set; $call",
				qr/^ERROR:  PM010: cannot sync table $table$/m,
				"$make: $call is refused");
			like($error, qr/^DETAIL:  \Q$named\E of role mallory\.$/m, 'for code of another role');
			like($error, qr/^HINT:  RESET procrastinate_migrate\.alembic_version;$/m,
				'with the way out');
		}
		as_role('owner', "ALTER TABLE $table $remove");
	}
	is_unprivileged('mallory', 'which is not called');
	allowed('owner', "$set; SELECT procrastinate_upgrade('0027', 'synced')",
		'0027', 'a table without it is synced');
	is(query("SELECT version_num FROM $table"),
		'procrastinate_0026', 'to the revision that is reached');
	query('DROP SCHEMA synced, own CASCADE; DROP ROLE owner');
	return;
}

# Operators that another role owns, or has owned: the planner replaces one by its negator, by its
# commutator, or by others of its operator family. Operator classes, and their support functions.
sub operators
{
	query(<<'SQL');
CREATE ROLE owner LOGIN;
CREATE SCHEMA compares AUTHORIZATION owner;
CREATE SCHEMA own AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA own TO PUBLIC;
GRANT CREATE ON SCHEMA own TO owner;
SQL
	as_role('mallory', <<'SQL');
CREATE OPERATOR own.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE FUNCTION own.evil(text, text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql
	AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN true; END $$;
CREATE FUNCTION own.compare(text, text) RETURNS int IMMUTABLE LANGUAGE plpgsql
	AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN bttextcmp($1, $2); END $$;
CREATE FUNCTION own.hash(text) RETURNS int IMMUTABLE LANGUAGE plpgsql
	AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN 1; END $$;
CREATE OPERATOR own.==== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq, HASHES);
CREATE OPERATOR own.~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE OPERATOR own.!~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = own.evil,
						  NEGATOR = OPERATOR(own.~~~), COMMUTATOR = OPERATOR(own.!~~~));
CREATE OPERATOR own.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = text_lt);
CREATE OPERATOR own.>>> (LEFTARG = text, RIGHTARG = text, FUNCTION = own.evil,
						 COMMUTATOR = OPERATOR(own.<<<));
SQL
	query(<<'SQL');
ALTER OPERATOR own.~~~ (text, text) OWNER TO owner;
ALTER OPERATOR own.<<< (text, text) OWNER TO owner;
ALTER OPERATOR own.====(text, text) OWNER TO owner;
CREATE OPERATOR CLASS own.hashed FOR TYPE text USING hash AS
	OPERATOR 1 own.====, FUNCTION 1 own.hash(text);
CREATE OPERATOR CLASS own.hers FOR TYPE text USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 bttextcmp(text, text);
CREATE OPERATOR CLASS own.ordered FOR TYPE text USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 own.compare(text, text);
ALTER OPERATOR CLASS own.hers USING btree OWNER TO mallory;
CREATE TYPE own.range AS RANGE (SUBTYPE = text, SUBTYPE_OPCLASS = own.ordered);
ALTER TYPE own.range OWNER TO owner;
SQL
	as_role('owner', q{SELECT procrastinate_upgrade('0026', 'compares')});
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'compares')});
	my $history = 'compares.procrastinate_schema_history';
	my $events  = 'compares.procrastinate_events';
	query("GRANT TRIGGER ON $history TO mallory");
	my $trigger = sub {
		my ($condition) = @_;
		return ("CREATE TRIGGER t BEFORE INSERT ON $history FOR EACH ROW WHEN ($condition)"
			  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()',
			"DROP TRIGGER t ON $history");
	};
	foreach my $case (
		[   $trigger->(q{NOT (NEW.event OPERATOR(own.===) 'x')}),
			qr/trigger t on table \S+ uses operator own\.===\(text,text\) of role mallory/,
			'an operator with a function of the server' ],
		[   $trigger->(q{NEW.event OPERATOR(own.===) ANY (ARRAY[NEW.version, NEW.applied_by])}),
			qr/trigger t on table \S+ uses operator own\.===\(text,text\) of role mallory/,
			'the same with an array' ],
		[   $trigger->(q{NOT (NEW.event OPERATOR(own.~~~) 'x')}),
			qr/trigger t on table \S+ uses operator own\.!~~~\(text,text\) of role mallory/,
			'the negator of an operator of the owner' ],
		[   $trigger->(q{'x' OPERATOR(own.<<<) NEW.event}),
			qr/trigger t on table \S+ uses operator own\.>>>\(text,text\) of role mallory/,
			'the commutator of an operator of the owner' ],
		[   $trigger->(q{NEW.event OPERATOR(own.====) ANY ('{a,b,c,d,e,f,g,h,i,j}')}),
			qr/trigger t on table \S+ calls function own\.hash\(text\) of role mallory/,
			'the hash function of an operator' ],
		[   "ALTER TABLE $events ADD CONSTRAINT c"
			  . q{ CHECK (NOT (type::text OPERATOR(own.===) 'x'))},
			"ALTER TABLE $events DROP CONSTRAINT c",
			qr/constraint c on table \S+ uses operator own\.===\(text,text\) of role mallory/,
			'an operator in a CHECK of the owner' ],
		[   "CREATE INDEX i ON $history (event own.hers)",
			'DROP INDEX compares.i',
			qr/index \S+i uses operator class own\.hers for \S+ \S+ btree of role mallory/,
			'an operator class of an index' ],
		[   "CREATE INDEX i ON $events (job_id) WHERE job_id IS NULL;"
			  . " CREATE INDEX j ON $history (event own.ordered) WHERE id < 0",
			'DROP INDEX compares.i, compares.j',
			qr/index \S+j calls function own\.compare\(text,text\) of role mallory/,
			'a function of an operator class of a superuser' ],
		[   "ALTER TABLE $events ADD x own.range",
			"ALTER TABLE $events DROP x",
			qr/column x of table \S+ calls function own\.compare\(text,text\) of role mallory/,
			'the operator class of a range type' ])
	{
		my ($make, $remove, $named, $what) = @$case;
		local $ENV{PGUSER} = 'owner';
		$node->safe_psql($database, $make);
		foreach my $call (
			q{SELECT procrastinate_upgrade('0027', 'compares')},
			q{CALL procrastinate_migrate('0027', 'compares')}, $script)
		{
			my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
			like($error, $named, "$what is refused: " . substr($call, 0, 20));
		}
		$node->safe_psql($database, $remove);
	}
	query('ALTER OPERATOR own.!~~~ (text, text) OWNER TO owner;'
		  . ' ALTER FUNCTION own.evil(text, text) OWNER TO owner');
	query(($trigger->(q{NOT (NEW.event OPERATOR(own.~~~) 'x')}))[0]);
	as_role('owner', 'CREATE OR REPLACE FUNCTION own.evil(text, text) RETURNS boolean IMMUTABLE'
		  . ' LANGUAGE sql RETURN false');
	allowed('postgres', q{SELECT procrastinate_upgrade('0027', 'compares')},
		'0027', 'operators of the owner are allowed');
	is_unprivileged('mallory', 'nothing of the other role was called');
	query('DROP SCHEMA compares, own CASCADE; DROP ROLE owner');
	return;
}

# The trigger comes while a change waits for a lock.
sub operator_of_a_late_trigger
{
	query(<<'SQL');
CREATE SCHEMA late;
CREATE SCHEMA own AUTHORIZATION mallory;
SELECT procrastinate_upgrade('0029', 'late');
GRANT USAGE ON SCHEMA late TO mallory;
GRANT SELECT, TRIGGER ON late.procrastinate_jobs TO mallory;
SQL
	as_role('mallory', <<'SQL');
CREATE FUNCTION own.evil(text, text) RETURNS boolean LANGUAGE plpgsql
	AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN true; END $$;
CREATE OPERATOR own.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE OPERATOR own.!=== (LEFTARG = text, RIGHTARG = text, FUNCTION = own.evil,
						  NEGATOR = OPERATOR(own.===));
SQL
	query(q{ALTER OPERATOR own.=== (text, text) OWNER TO postgres});
	my ($mallory, $deployer) = map { new_session($node, $database) } 1 .. 2;
	$mallory->query('SET ROLE mallory');
	$mallory->query('BEGIN');
	$mallory->query('LOCK TABLE late.procrastinate_jobs IN ACCESS SHARE MODE');
	$deployer->send(q{SELECT procrastinate_upgrade('0030', 'late')});
	wait_until($deployer->waits_for_lock, 'the upgrade waits for the jobs table');
	$mallory->query(q{CREATE TRIGGER t BEFORE UPDATE ON late.procrastinate_jobs FOR EACH ROW}
		  . q{ WHEN (NOT (OLD.task_name OPERATOR(own.===) 'x'))}
		  . q{ EXECUTE FUNCTION suppress_redundant_updates_trigger()});
	$mallory->query('COMMIT');
	my (undef, $error) = $deployer->wait;
	like(
		$error,
		qr/^42501: role "postgres" may not change the installation in schema "late"/,
		'a trigger that came meanwhile is refused');
	$_->close foreach $mallory, $deployer;
	is_unprivileged('mallory', 'and calls nothing');
	query('DROP SCHEMA late, own CASCADE');
	return;
}
