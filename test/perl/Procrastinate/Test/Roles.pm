# Runs SQL as a role and asserts its rows or its error.

package Procrastinate::Test::Roles;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(allowed as_role is_unprivileged look_as_roles query refused);

my ($node, $database);

# Sets the server and the database for the other functions.
sub look_as_roles
{
	($node, $database) = @_;
	return;
}

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

# The role has not made itself a superuser.
sub is_unprivileged
{
	my ($role, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(query("SELECT rolsuper FROM pg_roles WHERE rolname = '$role'"), 'f', $name);
}

# Runs SQL as the superuser, which must succeed; its rows.
sub query { return $node->safe_psql($database, shift); }

1;
