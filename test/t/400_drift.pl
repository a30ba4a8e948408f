# Drift: procrastinate_detect() finds each revision exactly, and procrastinate_check() names every
# single difference. With a difference, procrastinate_stamp() and procrastinate_adopt() do not
# record the revision, and procrastinate_repair() repairs what it lists.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);
my $schema   = 'drift';
my $other    = $ODD_SCHEMA;

$node->safe_psql($database, <<"SQL");
CREATE SCHEMA $schema;
CREATE SCHEMA ${\name($other)};
CREATE SCHEMA strange;
CREATE FUNCTION strange.strike() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';

-- Makes one change in a subtransaction, looks at it, and undoes it.
CREATE FUNCTION tried(at text, change text, whole boolean,
					  OUT named text[], OUT is_exact boolean, OUT refused text,
					  OUT left_over text[])
LANGUAGE plpgsql AS \$\$
DECLARE
    exact text[];
    promised text[];
BEGIN
    EXECUTE change;
    named := ARRAY(SELECT c.kind || ' ' || c.object || ' ' || c.problem
                     FROM procrastinate_check(at, '$schema') c);
    exact := ARRAY(SELECT d.revision FROM procrastinate_detect('$schema') d WHERE d.exact);
    is_exact := at = ANY (exact);
    -- What is exactly another revision now is that revision, and needs no repair.
    IF whole AND exact = '{}' THEN
        BEGIN
            PERFORM procrastinate_stamp(at, schema => '$schema');
            refused := 'stamped';
        EXCEPTION WHEN OTHERS THEN
            refused := sqlstate;
        END;
        BEGIN
            PERFORM procrastinate_adopt('$schema');
            refused := refused || ' adopted';
        EXCEPTION WHEN OTHERS THEN
            refused := refused || ' ' || sqlstate;
        END;
        promised := ARRAY(SELECT c.kind || ' ' || c.object || ' ' || c.problem
                            FROM procrastinate_check(at, '$schema') c WHERE c.repair IS NULL);
        -- Nothing is promised while the jobs table has another name, and a repair is refused.
        IF EXISTS (SELECT FROM procrastinate_check(at, '$schema') c WHERE c.repair IS NOT NULL) THEN
            PERFORM procrastinate_repair(at, '$schema', dry_run => false);
        END IF;
        left_over := ARRAY(SELECT c.kind || ' ' || c.object || ' ' || c.problem
                             FROM procrastinate_check(at, '$schema') c
                            WHERE c.kind || ' ' || c.object || ' ' || c.problem <> ALL (promised));
    END IF;
    RAISE EXCEPTION 'undo';
EXCEPTION WHEN OTHERS THEN
    IF sqlerrm <> 'undo' THEN
        left_over := ARRAY[sqlstate || ' ' || sqlerrm];
    END IF;
END \$\$;
SQL

# How check calls an object of a row of structure.tsv.
sub key_of
{
	my ($fact) = @_;
	my ($name) = $fact->{definition} =~ /^(?:UNIQUE )?([\w.]+)/;
	if ($fact->{kind} eq 'trigger')
	{
		my ($table) = $fact->{definition} =~ / ON (\w+)/;
		return "$table.$name";
	}
	return $name if $fact->{kind} ne 'function';
	return "$name(" . join(', ', argument_types($fact->{definition})) . ')';
}

# Changes to the object of one row: what to run, what check says of it, of which object if of
# another, and whether a schema at the revision may have it.
sub changes_to
{
	my ($fact) = @_;
	my ($kind, $definition) = @$fact{qw(kind definition)};
	my $key = key_of($fact);
	my ($table, $part) = split /\./, $key;
	my $here = "$schema.$key";
	my $on   = "ALTER TABLE $schema.$table";

	return (
		[ "DROP TABLE $here CASCADE",                              'missing' ],
		[ "$on RENAME TO elsewhere",                               'missing' ],
		[ "$on ADD COLUMN own text", 'extra', "column $key.own", 'usual' ],
		[ "$on ADD CONSTRAINT own CHECK (true)", 'extra', "constraint $key.own", 'usual' ],
		[ "CREATE INDEX own ON $here ((1))", 'extra', 'index own', 'usual' ],
		[   "CREATE RULE own AS ON DELETE TO $here DO ALSO NOTHING",
			'extra', "rule $key.own", 'usual' ],
		[   "CREATE TRIGGER own BEFORE INSERT ON $here FOR EACH ROW EXECUTE FUNCTION"
		  . " strange.strike()",
			'extra', "trigger $key.own", 'usual' ],
		[ "$on ENABLE ROW LEVEL SECURITY", 'altered', undef, 'usual' ],
		[ "$on FORCE ROW LEVEL SECURITY",  'altered', undef, 'usual' ],) if $kind eq 'table';
	if ($kind eq 'column')
	{
		my ($type)       = $definition =~ /^\S+ (.*?)(?: not null| default .*| generated .*)*$/;
		my $is_generated = $definition =~ / generated /;
		my @changes      = (
			[ "$on DROP COLUMN $part CASCADE",        'missing' ],
			[ "$on RENAME COLUMN $part TO elsewhere", 'missing' ]);
		push @changes, [ "$on ALTER COLUMN $part DROP NOT NULL", 'altered' ]
		  if $definition =~ / not null/
		  and not grep { /^\Q$table\E\.\S+ PRIMARY KEY \(.*\b\Q$part\E\b/ }
		  map { $_->{definition} } @{ $fact->{constraints} };
		push @changes, [ "$on ALTER COLUMN $part SET NOT NULL", 'altered' ]
		  if $definition !~ / not null/;
		push @changes, [ "$on ALTER COLUMN $part DROP DEFAULT", 'altered' ]
		  if $definition =~ / default /;
		push @changes, [ "$on ALTER COLUMN $part SET DEFAULT '7'", 'altered' ]
		  if $type =~ /^(?:text|bigint|integer)/ and not $is_generated;
		push @changes, [ "$on ALTER COLUMN $part TYPE text COLLATE \"POSIX\"", 'altered' ]
		  if $type =~ /character varying/;
		push @changes, [ "$on ALTER COLUMN $part DROP IDENTITY", 'altered' ] if $is_generated;
		return @changes;
	}
	if ($kind eq 'constraint')
	{
		my @changes = (
			[ "$on DROP CONSTRAINT $part CASCADE",         'missing' ],
			[ "$on RENAME CONSTRAINT $part TO \"else's\"", 'renamed' ]);
		push @changes,
		  [ "$on DROP CONSTRAINT $part, ADD CONSTRAINT $part CHECK (true) NOT VALID", 'altered' ]
		  if $definition =~ /CHECK|FOREIGN/;
		my ($rest) = $definition =~ /^\S+ (.*)/;
		$rest =~ s/\bprocrastinate_/$schema.procrastinate_/g;
		push @changes,
		  [ "$on DROP CONSTRAINT $part, ADD CONSTRAINT $part $rest NOT VALID", 'unvalidated' ],
		  if $definition =~ /CHECK|FOREIGN/;
		push @changes, [ "$on DISABLE TRIGGER ALL", 'disabled' ] if $definition =~ /FOREIGN/;
		return @changes;
	}
	if ($kind eq 'index')
	{
		my ($of) = $definition =~ / ON (\w+)/;
		my $invalid =
		  "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '$here'::regclass";
		return [ $invalid, 'invalid' ]
		  if grep { /\.\Q$key\E / } map { $_->{definition} } @{ $fact->{constraints} };
		return (
			[ "DROP INDEX $here",                                         'missing' ],
			[ "ALTER INDEX $here RENAME TO elsewhere",                    'renamed' ],
			[ $invalid,                                                   'invalid' ],
			[ "DROP INDEX $here; CREATE INDEX $key ON $schema.$of ((1))", 'altered' ]);
	}
	if ($kind eq 'enum')
	{
		my ($label) = $definition =~ /\((\w+)/;
		return (
			[ "DROP TYPE $here CASCADE",                          'missing' ],
			[ "ALTER TYPE $here ADD VALUE 'own'",                 'altered' ],
			[ "ALTER TYPE $here ADD VALUE 'own' BEFORE '$label'", 'altered' ],
			[ "ALTER TYPE $here RENAME VALUE '$label' TO 'own'",  'altered' ]);
	}
	if ($kind eq 'composite')
	{
		return (
			[ "DROP TYPE $here CASCADE",                         'missing' ],
			[ "ALTER TYPE $here ADD ATTRIBUTE own text CASCADE", 'altered' ]);
	}
	if ($kind eq 'sequence')
	{
		my ($owner) = $definition =~ /owned by (\w+\.\w+)/;
		my $rename = [ "ALTER SEQUENCE $here RENAME TO \"else's\"", 'renamed' ];
		return $rename
		  if grep { /^\Q$owner\E .* as identity$/ } @{ $fact->{columns} };
		return (
			$rename,
			[ "DROP SEQUENCE $here CASCADE",        'missing' ],
			[ "ALTER SEQUENCE $here OWNED BY NONE", 'altered' ],
			[ "ALTER SEQUENCE $here AS integer",    'altered' ]);
	}
	if ($kind eq 'function')
	{
		my ($types) = $key =~ /(\(.*\))/;
		$types =~ s/\bprocrastinate_/$schema.procrastinate_/g;
		my ($name)     = $key =~ /^(\w+)/;
		my $function   = "$schema.$name$types";
		my $is_trigger = $definition =~ /returns trigger/;
		return (
			[ "DROP FUNCTION $function CASCADE",                    'missing' ],
			[ "ALTER FUNCTION $function RENAME TO elsewhere",       'missing' ],
			[ "ALTER FUNCTION $function SECURITY DEFINER",          'altered' ],
			[ "ALTER FUNCTION $function SET search_path = ''",      'altered' ],
			[ "ALTER FUNCTION $function SET work_mem = '1MB'",
				'altered', undef, 'usual' ],
			[   "UPDATE pg_proc SET prosrc = prosrc || ';' WHERE oid = '$function'::regprocedure",
				'altered' ],
			[   "CREATE FUNCTION $schema.$name(own inet) RETURNS int LANGUAGE sql AS 'SELECT 1'",
				'extra', "function $name(inet)" ]);
	}
	if ($kind eq 'trigger')
	{
		(my $elsewhere = $definition) =~ s/FUNCTION \w+\(\)/FUNCTION strange.strike()/;
		$elsewhere                    =~ s/ ON (\w+)/ ON $schema.$1/;
		$elsewhere                    =~ s/::procrastinate/::$schema.procrastinate/g;
		return (
			[ "DROP TRIGGER $part ON $schema.$table",                     'missing' ],
			[ "ALTER TRIGGER $part ON $schema.$table RENAME TO \"else's\"", 'renamed' ],
			[ "$on DISABLE TRIGGER $part",            'disabled' ],
			[ "$on ENABLE REPLICA TRIGGER $part",     'disabled' ],
			[ "CREATE OR REPLACE TRIGGER $elsewhere", 'altered' ]);
	}
	die "no changes to a $kind";
}

# Whether the schema has the types of a function's arguments.
sub has_types
{
	my ($fact, $there) = @_;
	my @types = join(' ', argument_types($fact->{definition})) =~ /\b(procrastinate_\w+)/g;
	return not grep {
		my $type = $_;
		!grep { $there->{"$_ $type"} } qw(enum composite table)
	} @types;
}

# Objects of other revisions, where there is none at this one: what makes each, and its name.
sub additions
{
	my (@facts) = @_;
	my %there = map { ("$_->{kind} " . key_of($_)) => 1 } @facts;
	my %added;
	foreach my $fact (facts())
	{
		my ($kind, $key) = ($fact->{kind}, key_of($fact));
		my ($table, $part) = split /\./, $key;
		next if $there{"$kind $key"} or $added{"$kind $key"};
		next if $kind eq 'function' and not has_types($fact, \%there);
		my ($arguments) = $key                =~ /\((.*)\)/;
		my ($name)      = $key                =~ /^(\w+)/;
		my ($of)        = $fact->{definition} =~ / ON (\w+)/;
		$arguments =~ s/\bprocrastinate_/$schema.procrastinate_/g if defined $arguments;
		my $has_table = $there{"table $table"} // $there{ 'table ' . ($of // '') };
		my $change =
		  $kind eq 'table'
		  ? "CREATE TABLE $schema.$key (id int)"
		  : $kind eq 'composite' ? "CREATE TYPE $schema.$key AS (id int)"
		  : $kind eq 'function'
		  ? "CREATE FUNCTION $schema.$name($arguments) RETURNS int LANGUAGE sql AS 'SELECT 1'"
		  : !$has_table           ? undef
		  : $kind eq 'column'     ? "ALTER TABLE $schema.$table ADD COLUMN $part text"
		  : $kind eq 'index'      ? "CREATE INDEX $key ON $schema.$of ((1))"
		  : $kind eq 'constraint' ? "ALTER TABLE $schema.$table ADD CONSTRAINT $part CHECK (true)"
		  : $kind eq 'trigger'
		  ? "CREATE TRIGGER $part BEFORE DELETE ON $schema.$table FOR EACH ROW EXECUTE FUNCTION"
		    . " strange.strike()"
		  : undef;
		$added{"$kind $key"} = $change;
	}
	return map { [ $added{$_}, 'extra', $_ ] } grep { defined $added{$_} } sort keys %added;
}

my $number = 0;
foreach my $revision (1 .. $HEAD)
{
	my $at = revision_name($revision);
	upgrade($node, $database, $revision, $schema);

	# The other schema of the same database is a few revisions behind.
	upgrade($node, $database, $revision - 3, $other) if $revision > 3;
	is( $node->safe_psql($database, "SELECT * FROM procrastinate_detect('$schema')"),
		"$at|t|0|0|0", "$at is found exactly, and alone");
	is( $node->safe_psql(
			$database,
			"SELECT revision, exact FROM procrastinate_detect(${\lit($other)})"),
		revision_name($revision - 3) . '|t',
		'and the other schema three revisions before') if $revision > 3;
	is( $node->safe_psql($database, "SELECT * FROM procrastinate_check('$at', '$schema')"),
		'', "$at is not blamed");

	my @facts       = facts_at($revision);
	my @constraints = grep { $_->{kind} eq 'constraint' } @facts;
	my @columns     = map { $_->{definition} } grep { $_->{kind} eq 'column' } @facts;
	my %expected;
	my $script = '';
	my $try    = sub {
		my ($whole, $sql, $problem, $object, $usual) = @_;
		$number++;
		$expected{$number} =
		  { change => $sql, named => "$object $problem", exact => $usual ? 't' : 'f' };
		$script .= "SELECT $number, array_to_string(named, ';'), is_exact, refused,"
		  . " array_to_string(left_over, ';') FROM tried('$at', ${\lit($sql)}, $whole);\n";
	};
	foreach my $fact (@facts)
	{
		$fact->{constraints} = \@constraints;
		$fact->{columns}     = \@columns;
		foreach my $change (changes_to($fact))
		{
			my ($sql, $problem, $object, $usual) = @$change;

			# Each row's changes go all the way once: at the last revision that it holds at.
			$try->(
				$fact->{last} eq $at ? 'true' : 'false',
				$sql, $problem, $object // "$fact->{kind} " . key_of($fact), $usual);
		}
	}
	$try->('false', @$_) foreach additions(@facts);
	my (@unnamed, @exact, @recorded, @unmended);
	foreach my $line (split /\n/, $node->safe_psql($database, $script))
	{
		my ($id, $named, $is_exact, $refused, $left) = split /\|/, $line, -1;
		my $case = delete $expected{$id};
		push @unnamed, "$case->{change}: $named $left"
		  unless grep { $_ eq $case->{named} } split /;/, $named;
		push @exact, $case->{change} if $is_exact ne $case->{exact};
		push @recorded, "$case->{change}: $refused"
		  unless $refused eq '' or $refused eq 'PM009 PM009';
		push @unmended, "$case->{change}: $left" if $left ne '';
	}
	is(join("\n", map { $_->{change} } values %expected), '', "$at: every change was tried");
	is(join("\n", @unnamed),                              '', "$at: check names every difference");
	is(join("\n", @exact),                                '', "$at: detect knows which are exact");
	is(join("\n", @recorded),                             '', "$at: stamp and adopt refuse each");
	is(join("\n", @unmended), '', "$at: what repair promises, it mends");
}
cmp_ok($number, '>', 5000, 'differences were tried');

$node->stop;
done_testing();
