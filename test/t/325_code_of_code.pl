# Code of another role that the owner's own code uses, or a column's type: a change is refused before
# it would run that code as the owner.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'code_of_code');
my $database = new_database($node);
look_as_roles($node, $database);
query('CREATE ROLE mallory LOGIN');

domain_of_a_column();
domain_of_an_expression();
code_of_code();
relations_of_code();
done_testing();

sub is_no_superuser
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(query(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', $name);
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
	is_no_superuser('and is not called');
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

# Tables and views that rules, policies and functions of the owner use. Their triggers and rules run
# as the owner, too, and the other role can add some at any time.
sub relations_of_code
{
	query(<<'SQL');
CREATE ROLE owner LOGIN;
CREATE SCHEMA used AUTHORIZATION owner;
CREATE SCHEMA own AUTHORIZATION mallory;
SQL
	as_role('mallory', <<'SQL');
GRANT USAGE ON SCHEMA own TO PUBLIC;
CREATE TABLE own.log (id bigint);
CREATE VIEW own.seen AS SELECT 1 AS id;
GRANT ALL ON own.log, own.seen TO PUBLIC;
CREATE FUNCTION own.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION own.one() RETURNS int LANGUAGE sql AS 'SELECT 1';
SQL
	as_role('owner', <<'SQL');
SELECT procrastinate_upgrade('0026', 'used');
CREATE TABLE used.log (id bigint);
CREATE TRIGGER t AFTER INSERT ON used.log FOR EACH ROW EXECUTE FUNCTION own.evil();
CREATE TABLE used.harmless (id bigint REFERENCES used.procrastinate_jobs);
CREATE VIEW used.ones AS SELECT own.one() AS id;
CREATE FUNCTION used.reads() RETURNS boolean LANGUAGE sql
	BEGIN ATOMIC SELECT EXISTS (SELECT FROM own.seen); END;
SQL
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'used')});
	my $events = 'used.procrastinate_events';
	my $rule    = "CREATE RULE r AS ON INSERT TO $events DO ALSO";
	my $of_rule = qr/rule r on table \S+procrastinate_events/;
	foreach my $case (
		[   "$rule INSERT INTO own.log VALUES (NEW.id)",
			qr/$of_rule uses table own\.log of role mallory/,
			'a table that a rule fills',
			"DROP RULE r ON $events" ],
		[   "$rule INSERT INTO used.harmless SELECT id FROM own.seen",
			qr/$of_rule uses view own\.seen of role mallory/,
			'a view that a rule reads',
			"DROP RULE r ON $events" ],
		[   "$rule INSERT INTO used.log VALUES (NEW.id)",
			qr/$of_rule calls function own\.evil\(\) of role mallory/,
			'a function of a trigger on the table that a rule fills',
			"DROP RULE r ON $events" ],
		[   "$rule INSERT INTO used.harmless SELECT id FROM used.ones",
			qr/$of_rule calls function own\.one\(\) of role mallory/,
			'a function in the view that a rule reads',
			"DROP RULE r ON $events" ],
		[   "CREATE POLICY p ON $events USING (EXISTS (SELECT FROM own.seen))",
			qr/policy p on table \S+procrastinate_events uses view own\.seen/,
			'a view that a policy reads',
			"DROP POLICY p ON $events" ],
		[   "CREATE TRIGGER t BEFORE INSERT ON $events FOR EACH ROW WHEN (used.reads())"
			  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()',
			qr/trigger t on table \S+procrastinate_events uses view own\.seen/,
			'a view that a function reads',
			"DROP TRIGGER t ON $events" ])
	{
		my ($make, $named, $what, $remove) = @$case;
		as_role('owner', $make);
		foreach my $call (
			q{SELECT procrastinate_upgrade('0027', 'used')},
			q{CALL procrastinate_migrate('0027', 'used')}, $script)
		{
			local $ENV{PGUSER} = 'owner';
			my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
			like($error, $named, "$what is refused: " . substr($call, 0, 20));
		}
		as_role('owner', $remove);
	}
	as_role('owner', "$rule INSERT INTO used.harmless SELECT id FROM used.procrastinate_jobs");
	as_role('owner', q{SELECT procrastinate_upgrade('0027', 'used')});
	is(query(q{SELECT revision FROM procrastinate_current('used')}),
		'0027', q{a rule that uses the owner's own tables is allowed});
	query('DROP SCHEMA used, own CASCADE; DROP ROLE owner');
	return;
}
