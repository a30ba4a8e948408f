# Errors before the first change: names that are taken, missing privileges, rows that a policy hides
# or that a trigger does not let change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Failure;

my $node     = start_server();
my $database = new_database($node);
my $cases    = 0;
look_for_failures($node, $database);
$node->safe_psql($database, 'CREATE ROLE landlord IN ROLE pg_read_all_stats');

taken(@$_)
  foreach (
	[ 10, 'table procrastinate_periodic_defers',           'CREATE TABLE %s.%s (a int)' ],
	[ 10, 'sequence procrastinate_periodic_defers_id_seq', 'CREATE SEQUENCE %s.%s' ],
	[ 32, 'table procrastinate_workers',                   'CREATE TABLE %s.%s (a int)' ],
	[ 32, 'table procrastinate_workers_pkey',              'CREATE TABLE %s.%s (a int)' ],
	[   7, 'column procrastinate_jobs.queueing_lock', 'ALTER TABLE %s.procrastinate_jobs ADD %s int'
	],
	[ 32, 'column procrastinate_jobs.worker_id', 'ALTER TABLE %s.procrastinate_jobs ADD %s int' ],
	[   31, 'constraint procrastinate_jobs.check_not_todo_abort_requested',
		'ALTER TABLE %s.procrastinate_jobs ADD CONSTRAINT %s CHECK (true)' ],
	[   31, 'trigger procrastinate_trigger_delete_jobs_v1',
		'CREATE TRIGGER %2$s BEFORE DELETE ON %1$s.procrastinate_jobs'
		  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()' ]);
signatures();
hidden_rows();
rights();
locations();
done_testing();

# ------------------------------------------------------------------------------------------------
# Names that are taken
# ------------------------------------------------------------------------------------------------

# Even where the server would go on under another name, as it does for a sequence of a column.
sub taken
{
	my ($revision, $what, $made) = @_;
	my ($kind, $object) = split / /, $what;
	my ($table, $part) = $object =~ /^(.*)\.(.*)$/;
	my $target = revision_name($revision);
	my $schema = new_schema($revision - 1);
	$node->safe_psql($database, sprintf $made, $schema, $part // $object);
	my $before = dump_of($schema);
	foreach my $call (
		"SELECT procrastinate_upgrade('$target');",
		"CALL procrastinate_migrate('$target');")
	{
		my $label   = "$target, a user has a $what, $call";
		my $failure = failure($schema, $call);
		is($failure->{sqlstate}, 'PM009',           "$label: refused");
		is($failure->{detail},   "There is $what.", "$label: the detail names it");
		is($failure->{context},  undef,             "$label: no migration has begun");
		is(dump_of($schema),     $before,           "$label: nothing has changed");
	}
	my $dropped =
	  $part
	  ? "ALTER TABLE $table DROP $kind $part"
	  : $kind eq 'trigger' ? "DROP TRIGGER $object ON procrastinate_jobs"
	  :                      "DROP $what";
	my $fixed = failure($schema, "$dropped; SELECT procrastinate_upgrade('$target');");
	is($fixed->{text}, '', "$target, without $object the upgrade succeeds");
	is_at($node, $database, $schema, $revision, "$target without $object");
	return;
}

# A function with the arguments of one that the migration creates, of each migration one. CREATE OR
# REPLACE is in migrations only for functions that are there.
sub signatures
{
	my %is_tried;
	foreach my $fact (grep { $_->{kind} eq 'function' and $_->{first} > 1 } facts())
	{
		my ($key, $revision) = (signature_of($fact), $fact->{first} + 0);
		next
		  if $is_tried{$revision}
		  or grep { $_->{kind} eq 'function' and signature_of($_) eq $key } facts_at($revision - 1);
		my $target = revision_name($revision);
		my $schema = new_schema($revision - 1);
		my $make   = "CREATE FUNCTION $key RETURNS int LANGUAGE sql AS 'SELECT 1';";
		# The migration creates the type of an argument, too.
		next if failure($schema, $make)->{text};
		$is_tried{$revision} = 1;
		my $failure = failure($schema, "CALL procrastinate_migrate('$target');");
		is($failure->{sqlstate}, 'PM009', "$key is taken: refused");
		like($failure->{detail}, qr/^There is function \Q$key\E\.$/m, 'the detail names it');
		$failure = failure($schema,
			"SET procrastinate_migrate.verify = off; SELECT procrastinate_upgrade('$target');");
		is($failure->{sqlstate}, '42723', "$key is taken: the migration would fail");
		is(failure($schema, "DROP FUNCTION $key; SELECT procrastinate_upgrade('$target');")->{text},
			'', 'without it the upgrade succeeds');
	}
	return;
}

sub signature_of
{
	my ($fact) = @_;
	my ($name) = $fact->{definition} =~ /^(\w+)/;
	return "$name(" . join(', ', argument_types($fact->{definition})) . ')';
}

# ------------------------------------------------------------------------------------------------
# Rows that the migration would not see, or could not change
# ------------------------------------------------------------------------------------------------

sub hidden_rows
{
	foreach my $case (
		[   'a trigger keeps them', 'CREATE TRIGGER a BEFORE UPDATE ON procrastinate_jobs'
			  . ' FOR EACH ROW EXECUTE FUNCTION keep()', '55000', 31 ],
		[   'a rule keeps them', 'CREATE RULE a AS ON UPDATE TO procrastinate_jobs'
			  . ' DO INSTEAD NOTHING', '55000', 31 ])
	{
		my ($what, $cause, $sqlstate, $revision) = @$case;
		my $schema = new_schema(0);
		$node->safe_psql($database, "ALTER SCHEMA $schema OWNER TO landlord");
		my $made = failure($schema, <<"SQL", 'landlord');
SELECT procrastinate_upgrade('0028');
SELECT procrastinate_upgrade('0029');
INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('queue', 'task', 'aborting');
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
$cause;
SQL
		is($made->{text}, '', "aborting jobs, $what");
		foreach my $call (q{SELECT procrastinate_upgrade('0031');}, 'CALL procrastinate_migrate();')
		{
			my $failure = failure($schema, $call, 'landlord');
			is($failure->{sqlstate}, $what =~ /rule/ ? 'PM009' : $sqlstate,
				"aborting jobs, $what: $call fails")
			  or diag $failure->{text};
			$failure =
			  failure($schema, "SET procrastinate_migrate.verify = off; $call", 'landlord');
			is($failure->{sqlstate}, $sqlstate,
				"aborting jobs, $what: $call fails in the migration")
			  or diag $failure->{text};
			names_the_line($failure, $revision, "aborting jobs, $what: $call") if $call !~ /^CALL/;
			is($failure->{message}, 'could not change all rows of table "procrastinate_jobs"',
				"aborting jobs, $what: $call names the table")
			  if $call =~ /^CALL/;
		}
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# Rights
# ------------------------------------------------------------------------------------------------

sub rights
{
	$node->safe_psql($database, 'CREATE ROLE tenant; CREATE ROLE member IN ROLE landlord');
	my @calls = (q{SELECT procrastinate_upgrade('0037');}, q{CALL procrastinate_migrate('0037');});
	foreach my $call (@calls)
	{
		foreach my $from (0, 28)
		{
			my $schema = 'rights_' . ++$cases;
			$node->safe_psql(
				$database, "CREATE SCHEMA $schema AUTHORIZATION landlord;"
				  . " GRANT USAGE ON SCHEMA $schema TO tenant");
			failure($schema, "SELECT procrastinate_upgrade('0028');", 'landlord') if $from;
			my $before = dump_of($schema);
			my $label  = ($from ? 'after 0028' : 'at base') . ", $call";

			my $failure = failure($schema, $call, 'tenant');
			is($failure->{sqlstate}, '42501', "$label: a role that may not create is refused");
			is( $failure->{message},
				qq(role "tenant" may not change the installation in schema "$schema"),
				"$label: the error names role and schema");
			my $missing =
			  $from
			  ? qr/^The installation belongs to role landlord, /
			  : qr/^CREATE on schema $schema is missing\.$/m;
			like($failure->{detail}, $missing, "$label: the detail names what is missing");
			is($failure->{context}, undef,   "$label: no migration has begun");
			is(dump_of($schema),    $before, "$label: nothing has changed");

			if ($from)
			{
				$node->safe_psql(
					$database, "GRANT CREATE ON SCHEMA $schema TO tenant;"
					  . " GRANT ALL ON ALL TABLES IN SCHEMA $schema TO tenant");
				$before  = dump_of($schema);
				$failure = failure($schema, $call, 'tenant');
				is($failure->{sqlstate}, '42501', "$label: a role that owns nothing is refused");
				like(
					$failure->{detail}, qr/^The installation belongs to role landlord, /,
					"$label: the detail names the owner");
				is($failure->{context}, undef,   "$label: no migration has begun");
				is(dump_of($schema),    $before, "$label: nothing has changed");
			}
			my $who    = $from ? 'member'              : 'landlord';
			is(failure($schema, $call, $who)->{text}, '',
				"$label: role $who may change it");
			is_at($node, $database, $schema, 37, "$label: role $who reaches the target");
		}
	}
	return;
}

# ------------------------------------------------------------------------------------------------
# LOCATION of an error of ours
# ------------------------------------------------------------------------------------------------

# It names the function that threw the error, and a line of its throw expression.
sub locations
{
	my $schema = new_schema(26);
	my %folder = (
		"SELECT procrastinate_upgrade('none')" => 'chain',
		"SELECT procrastinate_upgrade('0030')" => 'upgrade',
		"CALL procrastinate_migrate(NULL)"     => 'server');
	foreach my $call (sort keys %folder)
	{
		my $failure = failure($schema, "$call;");
		my ($function, $file, $line) = $failure->{text} =~ /^LOCATION:  (.+), (\w+\.cpp):(\d+)$/m;
		my $path = repository() . "/src/$folder{$call}/" . ($file // '');
		ok(-f $path, "$call: the location names a file in src/$folder{$call}")
		  or diag($failure->{text});
		my @lines  = -f $path ? split(/\n/, slurp($path)) : ();
		my $end    = ($line // 1) - 1;
		my $thrown = join "\n", @lines[ ($end > 20 ? $end - 20 : 0) .. $end ];
		like($thrown, qr/throw (?:common::)?Refusal\b/, "$call: the line is that of a throw");
		my $name = ($function // 'none') =~ s/<.*//r;
		like(slurp($path), qr/\b\Q$name\E\(/, "$call: the file defines the function $name");
	}
	return;
}
