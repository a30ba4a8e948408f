# Sessions, schemas and waiting in one database, for a test file that needs only one: use_database()
# sets the server and the database once, and the calls do not repeat them.

package Procrastinate::Test::Database;

use strict;
use warnings;

use Exporter 'import';

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

our @EXPORT = qw(eventually filled_schema numbered_schema offline_script queue revision_of run_sql
  schema_oid session until_blocked use_database wait_until);

my ($node, $database);
my $schemas = 0;

# use_database($node, $database)
sub use_database
{
	($node, $database) = @_;
	return;
}

# A new session. With a schema, search_path is that schema, then public, where the extension is.
# Without one, search_path is public.
sub session
{
	my ($schema) = @_;
	return defined $schema
	  ? user_session($node, $database, $schema)
	  : new_session($node, $database);
}

# queue($schema, $revision, $jobs): creates the schema at the revision with this many waiting jobs,
# one event each. Returns a session() there.
sub queue { return new_queue($node, $database, @_) }

# filled_schema($schema, $revision, $jobs): the same with 100 jobs by default. Returns the schema's
# name.
sub filled_schema
{
	my ($schema, $revision, $jobs) = @_;
	return closed_queue($node, $database, $schema, $revision, $jobs // 100);
}

# A new schema at the revision with 9 jobs; 0 leaves it empty. Returns its name, which contains its
# number.
sub numbered_schema
{
	my ($revision) = @_;
	my $schema = 'schema_' . ++$schemas;
	return filled_schema($schema, $revision, 9) if $revision;
	run_sql("CREATE SCHEMA $schema");
	return $schema;
}

# Commands for a session() that run the schema's offline script of a range, and end its transaction
# if it fails.
sub offline_script
{
	my ($schema, $range) = @_;
	my $path = "$PostgreSQL::Test::Utils::tmp_check/script_$schema.sql";
	open(my $file, '>', $path) or die "cannot write $path: $!";
	print $file run_sql("SELECT procrastinate_sql('$range', '$schema')");
	close $file;
	return "\\set ON_ERROR_STOP 0\n\\i $path\nROLLBACK";
}

# The revision that the schema's history records.
sub revision_of { return run_sql("SELECT revision FROM procrastinate_current('$_[0]')") }

# Runs SQL that must succeed, in a psql of its own; returns its rows.
sub run_sql { return $node->safe_psql($database, shift) }

# The OID of a schema as an int4, which is the second key of its advisory locks.
sub schema_oid { return run_sql("SELECT '$_[0]'::regnamespace::oid::int") }

# Waits until the query's value is true; dies after the test's timeout with what it waited for. Runs
# the query on another server if that is given.
sub wait_until
{
	my ($query, $what, $on) = @_;
	return wait_for($on // $node, $database, $query, $what);
}

# Asserts that one of 20 attempts succeeds, for what a busy machine may miss in a single attempt.
# The code gets the number of the attempt; it must not be able to succeed where the property does
# not hold.
sub eventually
{
	my ($code, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $attempt (1 .. 20)
	{
		return pass($name) if $code->($attempt);
	}
	return fail($name);
}

# Waits until the query that the session has sent waits for a lock.
sub until_blocked
{
	my ($session) = @_;
	return wait_until($session->waits_for_lock, "session $session->{pid} waits for a lock");
}

1;
