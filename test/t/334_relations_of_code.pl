# Tables and views that rules, policies and functions of an installation's owner use.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'relations_of_code');
my $database = new_database($node);
look_as_roles($node, $database);
use_database($node, $database);
query('CREATE ROLE mallory LOGIN');

relations_of_rules();
relations_of_code();
done_testing();

# Tables and views that rules use. Only the installation's own tables are allowed: triggers of other
# tables, also of their children and of tables that follow them by a foreign key, run as the owner.
sub relations_of_rules
{
	query(<<'SQL');
CREATE ROLE owner LOGIN;
CREATE SCHEMA used AUTHORIZATION owner;
CREATE SCHEMA own AUTHORIZATION mallory;
SQL
	as_role('mallory', <<'SQL');
GRANT USAGE ON SCHEMA own TO PUBLIC;
CREATE VIEW own.seen AS SELECT 1 AS id;
GRANT ALL ON own.seen TO PUBLIC;
CREATE FUNCTION own.one() RETURNS int LANGUAGE sql AS 'SELECT 1';
SQL
	as_role('owner', <<'SQL');
SELECT procrastinate_upgrade('0026', 'used');
CREATE TABLE used."Log" (id bigint);
CREATE VIEW used.ones AS SELECT own.one() AS id;
SQL
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'used')});
	my $events = 'used.procrastinate_events';
	my $rule   = qq{CREATE RULE "R" AS ON INSERT TO $events DO ALSO};
	foreach my $case (
		[   qq{$rule INSERT INTO used."Log" VALUES (NEW.id)},
			q{table used."Log"}, 'a rule that fills a table' ],
		[   "$rule UPDATE $events SET id = NEW.id WHERE EXISTS (SELECT FROM own.seen)",
			'view own.seen', 'a rule that reads a view' ],
		[   "$rule DELETE FROM $events WHERE id IN (SELECT id FROM used.ones)",
			'view used.ones', 'a rule that reads a view that calls a function' ])
	{
		my ($make, $relation, $what) = @$case;
		as_role('owner', $make);
		my $hint;
		foreach my $call (
			q{SELECT procrastinate_upgrade('0027', 'used')},
			q{CALL procrastinate_migrate('0027', 'used')}, $script)
		{
			local $ENV{PGUSER} = 'owner';
			my (undef, undef, $error) = $node->psql($database, $call, on_error_stop => 1);
			like(
				$error,
				qr/^DETAIL:  rule R on table \S+events uses $relation; a trigger function can/m,
				"$what is refused: " . substr($call, 0, 20));
			($hint) = $error =~ /(DROP RULE .*;)$/m;
		}
		allowed('owner', $hint // 'SELECT 1', '', 'the HINT drops it');
	}
	as_role('owner', <<"SQL");
$rule UPDATE used.procrastinate_jobs SET priority = priority WHERE id = NEW.job_id;
CREATE RULE notifies AS ON UPDATE TO used.procrastinate_jobs DO ALSO NOTIFY own;
CREATE RULE disabled AS ON DELETE TO $events DO ALSO DELETE FROM used."Log";
ALTER TABLE $events DISABLE RULE disabled;
SQL
	as_role('owner', q{SELECT procrastinate_upgrade('0027', 'used')});
	is(query(q{SELECT revision FROM procrastinate_current('used')}),
		'0027', q{rules that use the installation's own tables are allowed, and disabled ones});
	query('DROP SCHEMA used, own CASCADE; DROP ROLE owner');
	return;
}

# Tables and views that policies and functions of the owner use. Their rules run as the owner, too,
# and the other role can add some at any time.
sub relations_of_code
{
	query(<<'SQL');
CREATE ROLE owner LOGIN;
CREATE SCHEMA used AUTHORIZATION owner;
CREATE SCHEMA own AUTHORIZATION mallory;
SQL
	as_role('mallory', <<'SQL');
GRANT USAGE ON SCHEMA own TO PUBLIC;
CREATE VIEW own.seen AS SELECT 1 AS id;
GRANT ALL ON own.seen TO PUBLIC;
CREATE FUNCTION own.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SQL
	as_role('owner', <<'SQL');
SELECT procrastinate_upgrade('0026', 'used');
CREATE TABLE used.log (id bigint);
CREATE TABLE used.log_of_today () INHERITS (used.log);
CREATE TRIGGER t AFTER UPDATE ON used.log_of_today FOR EACH ROW EXECUTE FUNCTION own.evil();
CREATE FUNCTION used.reads() RETURNS boolean LANGUAGE sql
	BEGIN ATOMIC SELECT EXISTS (SELECT FROM own.seen); END;
CREATE FUNCTION used.writes() RETURNS boolean LANGUAGE sql
	BEGIN ATOMIC UPDATE used.log SET id = id; SELECT true; END;
SQL
	my ($script) =
	  $node->safe_psql($database, q{SELECT procrastinate_sql('0026:0027', schema => 'used')});
	my $events = 'used.procrastinate_events';
	my $trigger = sub {
		my ($condition) = @_;
		return "CREATE TRIGGER t BEFORE INSERT ON $events FOR EACH ROW WHEN ($condition)"
		  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()';
	};
	foreach my $case (
		[   "CREATE POLICY p ON $events USING (EXISTS (SELECT FROM own.seen))",
			qr/policy p on table \S+procrastinate_events uses view own\.seen/,
			'a view that a policy reads',
			"DROP POLICY p ON $events" ],
		[   $trigger->('used.reads()'),
			qr/trigger t on table \S+procrastinate_events uses view own\.seen/,
			'a view that a function reads',
			"DROP TRIGGER t ON $events" ],
		[   $trigger->('used.writes()'),
			qr/trigger t on table \S+procrastinate_events calls function own\.evil\(\)/,
			'a trigger of a child of the table that a function writes',
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
	allowed('owner', q{SELECT procrastinate_upgrade('0027', 'used')}, '0027', 'without them');
	query('DROP SCHEMA used, own CASCADE; DROP ROLE owner');
	return;
}
