# Says what a statement of a migration does to tables that are there: which locks it takes, which
# parts of it can run beside clients at work, and what a program cannot decide.

package Revision::Classify;

use strict;
use warnings;

use Exporter 'import';

use Revision::AlterTable qw(alter_table);
use Revision::Parts
  qw(free is_there name_at references skip split_list strongest taken text_of top_level undecided);

our @EXPORT_OK = qw(classify);

my $UNKNOWN = 'a program cannot tell what this does to clients at work';

# By how a statement begins. The first that fits counts.
my @KINDS = (
	[ qr/^ALTER TABLE/                                             => \&alter_table ],
	[ qr/^CREATE (?:UNIQUE )?INDEX/                                => \&create_index ],
	[ qr/^CREATE (?:UNLOGGED )?TABLE/                              => \&create_table ],
	[ qr/^CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER/          => \&create_trigger ],
	[ qr/^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|AGGREGATE)/ => \&create ],
	[ qr/^CREATE (?:OR REPLACE )?(?:TYPE|DOMAIN|SEQUENCE|VIEW)/    => \&create ],
	[ qr/^DROP /                                                   => \&drop ],
	[ qr/^ALTER TYPE/                                              => \&alter_type ],
	[ qr/^ALTER INDEX/                                             => \&alter_index ],
	[ qr/^ALTER SEQUENCE /                                         => \&alter_sequence ],
	[ qr/^(?:GRANT|REVOKE) /     => sub { free(phrase => 'change privileges') } ],
	[ qr/^COMMENT ON/            => \&comment_on ],
	[ qr/^LOCK /                 => sub { { does => 'none' } } ],
	[ qr/^(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY|WITH)\b/ => \&rows ],
	[ qr//                       => sub { undecided($UNKNOWN) } ]);

# classify(STATEMENT, CATALOG): what the statement consists of, as a list of hashes in their order:
#
#   does      free (locks no table that is there), lock, label, index, unique, constraint, not_null,
#             validate, none (LOCK TABLE: a step takes its own locks), undecided
#   sql       its text, without a semicolon
#   whole     true if it is the whole statement, word for word
#   locks     { table => mode }
#   touches   [ names of objects that it creates, changes or drops ]
#   columns   the table whose row type changes
#   phrase    for a step's title
#   and what its kind needs: name, table, unique, taken, definition, column, referenced, why
#
# CATALOG is a hash: tables { name => columns }, indexes { name => table }, indexes_before (the same
# before the migration), keys { table => { foreign key => referenced table } }, functions { name =>
# 1 }. This function notes there what the statement creates and drops.
sub classify
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $last = $#tokens < 5 ? $#tokens : 5;
	my $head = join ' ', map { uc $_->{text} } @tokens[ 0 .. $last ];
	my ($kind) = grep { $head =~ $_->[0] } @KINDS;
	my @parts = $kind->[1]->($statement, $catalog);
	foreach my $part (@parts)
	{
		$part->{whole} = 1 if @parts == 1 && !defined $part->{sql};
		$part->{sql}     //= $statement->{text};
		$part->{locks}   //= {};
		$part->{touches} //= [];
	}
	return @parts;
}

# A part that locks a table if it is there already.
sub locking
{
	my ($locks, @more) = @_;
	return { does => %$locks ? 'lock' : 'free', locks => $locks, @more };
}

sub words { return map { uc $_->{text} } @{ $_[0]{tokens} } }

# ---- CREATE ------------------------------------------------------------------------------------

sub create
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, 1, 'OR REPLACE');
	my $kind = lc $tokens[$at]{text};
	my $name = name_at($statement, skip(\@tokens, $at + 1, 'IF NOT EXISTS'));
	my $is_new = !$catalog->{functions}{$name};
	$catalog->{functions}{$name} = 1 if $kind eq 'function';
	my $verb = $at > 1 && !$is_new ? 'replace' : 'add';
	return free(touches => [$name], phrase => "$verb ${kind}s");
}

sub create_table
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($at) = grep { uc($tokens[$_]{text}) eq 'TABLE' } 0 .. $#tokens;
	my $name = name_at($statement, skip(\@tokens, $at + 1, 'IF NOT EXISTS'));
	return undecided('the new table belongs to another one, which CREATE TABLE locks')
	  if $statement->{text} =~ /\b(?:INHERITS|PARTITION\s+OF)\b/i;
	my %locks = map { $_ => 'SHARE ROW EXCLUSIVE' }
	  grep { is_there($catalog, $_) } references(\@tokens, 0, $#tokens);
	return locking(\%locks, touches => [$name], phrase => 'add tables');
}

sub create_index
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($on) = top_level(\@tokens, 0, $#tokens, sub { uc($_[0]{text}) eq 'ON' });
	return undecided($UNKNOWN) if !defined $on;
	my $is_unique = uc($tokens[1]{text}) eq 'UNIQUE';
	my $at = skip(\@tokens, $is_unique ? 3 : 2, 'CONCURRENTLY', 'IF NOT EXISTS');
	my $after = skip(\@tokens, $on + 1, 'ONLY');
	my $table = name_at($statement, $after);
	my $name = $at < $on ? name_at($statement, $at) : '';
	return undecided(taken($name), touches => [$name], locks => { $table => 'SHARE' })
	  if exists $catalog->{indexes}{$name};
	$catalog->{indexes}{$name} = $table if $name ne '';
	return free(touches => [$name], phrase => 'add indexes') if !is_there($catalog, $table);
	return undecided('the index has no name, so no step can build it concurrently',
		locks => { $table => 'SHARE' })
	  if $name eq '';
	return {
		does       => 'index',
		name       => $name,
		table      => $table,
		unique     => $is_unique,
		taken      => exists $catalog->{indexes_before}{$name},
		definition => text_of($statement, $after + 1, $#tokens),
		touches    => [$name],
		phrase     => 'add indexes'
	};
}

sub create_trigger
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($trigger) = grep { uc($tokens[$_]{text}) eq 'TRIGGER' } 0 .. $#tokens;
	my ($on) = grep { uc($tokens[$_]{text}) eq 'ON' } $trigger + 2 .. $#tokens;
	my $table = name_at($statement, $on + 1);
	return locking(
		is_there($catalog, $table) ? { $table => 'SHARE ROW EXCLUSIVE' } : {},
		touches => [ name_at($statement, $trigger + 1) ],
		phrase  => 'add triggers');
}

# ---- DROP --------------------------------------------------------------------------------------

sub drop
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $kind = uc $tokens[1]{text};
	my $end = uc $tokens[-1]{text};
	return undecided('CASCADE drops objects that the statement does not name') if $end eq 'CASCADE';
	my $at = skip(\@tokens, 2, 'CONCURRENTLY', 'IF EXISTS');
	my @items = split_list(\@tokens, $at, $end eq 'RESTRICT' ? $#tokens - 1 : $#tokens);
	my @names = map { name_at($statement, $_->[0]) } @items;
	my $plural = $kind eq 'INDEX' ? 'es' : 's';
	my @rest = (touches => \@names, phrase => 'drop ' . lc($kind) . $plural);
	return free(@rest)
	  if $kind =~ /^(?:FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|TYPE|DOMAIN|SEQUENCE|VIEW)$/;
	return locking(strongest($catalog, name_at($statement, $at + 2)), @rest) if $kind eq 'TRIGGER';
	if ($kind eq 'INDEX')
	{
		my @tables = map { delete $catalog->{indexes}{$_} } @names;
		return locking({ map { %{ strongest($catalog, $_) } } @tables }, @rest);
	}
	return undecided($UNKNOWN) if $kind ne 'TABLE';

	# The tables that foreign keys refer to are locked as well.
	my %is_dropped = map { $_ => 1 } @names;
	my @tables = (@names, map { values %{ $catalog->{keys}{$_} // {} } } @names);
	my %locks = map { %{ strongest($catalog, $_) } } @tables;
	if (uc($tokens[2]{text}) eq 'IF')
	{
		$locks{$_} .= ' if there' foreach grep { $is_dropped{$_} } keys %locks;
	}
	return locking(\%locks, @rest);
}

# ---- Other statements --------------------------------------------------------------------------

sub alter_sequence
{
	my ($statement) = @_;
	return free(touches => [ name_at($statement, 2) ], phrase => 'change sequences');
}

sub alter_type
{
	my ($statement) = @_;
	my $type = name_at($statement, 2);
	my ($add, $value) = (words($statement))[ 3, 4 ];
	return { does => 'label', touches => [$type], phrase => 'add labels' }
	  if "$add $value" eq 'ADD VALUE';
	return undecided('clients at work may know the type as it was', touches => [$type]);
}

sub alter_index
{
	my ($statement, $catalog) = @_;
	my @words = words($statement);
	my $at = skip($statement->{tokens}, 2, 'IF EXISTS');
	my ($name, $new) = (name_at($statement, $at), name_at($statement, $at + 3));
	my $table = delete $catalog->{indexes}{$name};
	return undecided($UNKNOWN) if $words[ $at + 1 ] ne 'RENAME' || !defined $table;
	$catalog->{indexes}{$new} = $table;
	return locking(
		is_there($catalog, $table) ? { $table => 'SHARE UPDATE EXCLUSIVE' } : {},
		touches => [ $name, $new ],
		phrase  => 'rename indexes');
}

sub comment_on
{
	my ($statement, $catalog) = @_;
	my $kind = (words($statement))[2];
	my $table =
	    $kind =~ /^(?:TABLE|COLUMN)$/       ? name_at($statement, 3)
	  : $kind =~ /^(?:TRIGGER|CONSTRAINT)$/ ? name_at($statement, 5)
	  :                                       '';
	return locking(is_there($catalog, $table) ? { $table => 'SHARE UPDATE EXCLUSIVE' } : {},
		phrase => 'change comments');
}

sub rows
{
	my ($statement, $catalog) = @_;
	my $verb = (words($statement))[0];
	my @used = grep { is_there($catalog, name_at($statement, $_)) } 0 .. $#{ $statement->{tokens} };
	return free(phrase => 'add rows') if $verb eq 'INSERT' && !@used;
	my $why = "$verb changes rows of a table in use; if many, in a batched step";
	$why = 'INSERT reads a table in use, whose rows change until the step begins'
	  if $verb eq 'INSERT' && !is_there($catalog, name_at($statement, 2));
	return undecided($why) if !@used;
	return undecided($why, locks => { name_at($statement, $used[0]) => 'ROW EXCLUSIVE' });
}

1;
