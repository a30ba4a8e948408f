# Functions of role mallory that note if they run: code of another role must never run as the role
# that calls a function of the extension.

package Procrastinate::Test::Traps;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(no_trap_ran reset_traps set_traps);

my ($node, $database);

# set_traps($node, $database): creates role mallory, which may create objects in schema public, and
# as that role public.spring(), a trigger function, and public.spring(text), which returns true.
# Each run adds a row to public.traps, and calls nextval() of public.sprung, which no rollback
# undoes.
sub set_traps
{
	($node, $database) = @_;
	$node->safe_psql($database, <<'SQL');
CREATE ROLE mallory;
CREATE TABLE public.traps (ran_as text, trap text);
CREATE SEQUENCE public.sprung;
GRANT ALL ON public.traps, public.sprung TO PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('public.sprung');
	INSERT INTO public.traps VALUES (current_user, TG_NAME || ' on ' || TG_RELNAME);
	RETURN NEW;
END $$;
CREATE FUNCTION public.spring(trap text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('public.sprung');
	INSERT INTO public.traps VALUES (current_user, trap);
	RETURN true;
END $$;
SQL
	return;
}

# Forgets the runs so far.
sub reset_traps
{
	$node->safe_psql($database,
		q{TRUNCATE public.traps; SELECT setval('public.sprung', 1, false)});
	return;
}

# Asserts that no trap has run since; if one has, shows which, and forgets it.
sub no_trap_ran
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return 1 if is($node->safe_psql($database, 'SELECT is_called FROM public.sprung'), 'f', $name);
	diag($node->safe_psql($database, 'SELECT DISTINCT ran_as, trap FROM public.traps'));
	reset_traps();
	return 0;
}

1;
