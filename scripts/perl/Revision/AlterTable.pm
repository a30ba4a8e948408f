# Takes an ALTER TABLE of a migration apart: what is done in a moment stays together, what scans or
# rewrites the table becomes a part of its own. See Revision::Classify for what a part is.

package Revision::AlterTable;

use strict;
use warnings;

use Exporter 'import';

use Revision::Parts qw(distinct free identifier is_there merge_locks name_at quoted references skip
  split_list strongest taken text_of top_level undecided);

our @EXPORT_OK = qw(alter_table);

my $UNKNOWN = 'a program cannot tell what this does to clients at work';

# Words before a parenthesis in a DEFAULT that are no volatile function, which would make ADD COLUMN
# rewrite the table.
my %IS_STABLE = map { $_ => 1 } qw(now transaction_timestamp statement_timestamp char character
  varchar bpchar numeric decimal bit time timestamp timestamptz interval varying);

# Types, as they may be written, that are no domains.
my %IS_BUILT_IN = map { $_ => 1 } qw(bigint bit bool boolean box bpchar bytea char character cidr
  circle date decimal double float float4 float8 inet int int2 int4 int8 integer interval json jsonb
  line lseg macaddr macaddr8 money name national nchar numeric oid path point polygon real regclass
  smallint text time timestamp timestamptz timetz tsquery tsvector uuid varbit varchar xml int4range
  int8range numrange tsrange tstzrange daterange int4multirange int8multirange nummultirange
  tsmultirange tstzmultirange datemultirange);

# What begins a constraint of a column.
my %BEGINS_CONSTRAINT = map { $_ => 1 } qw(CONSTRAINT NOT NULL CHECK DEFAULT UNIQUE PRIMARY
  REFERENCES GENERATED COLLATE);

sub alter_table
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, 2, 'IF EXISTS', 'ONLY');
	my $table = name_at($statement, $at);
	if (!is_there($catalog, $table))
	{
		my %locks = map { $_ => 'SHARE ROW EXCLUSIVE' }
		  grep { is_there($catalog, $_) } references(\@tokens, $at, $#tokens);
		my %part = (touches => [$table], phrase => 'change tables', locks => \%locks);
		return %locks ? { does => 'lock', %part } : free(%part);
	}
	my $first = skip(\@tokens, $at + 1, '*');
	my $context = {
		statement => $statement,
		catalog   => $catalog,
		table     => $table,
		opening   => text_of($statement, 0, $first - 1)
	};
	my @parts = map { action($context, @$_) } split_list(\@tokens, $first, $#tokens);
	my @together = grep { $_->{does} eq 'lock' } @parts;
	my @alone = grep { $_->{does} ne 'lock' } @parts;
	return @alone if !@together;
	my $joined = join ",\n    ", map { $_->{action} } @together;
	return (
		{
			does    => 'lock',
			sql     => @alone ? "$context->{opening}\n    $joined" : undef,
			locks   => merge_locks(map { $_->{locks} } @together),
			touches => [ map { @{ $_->{touches} } } @together ],
			columns => scalar((grep { defined } map { $_->{columns} } @together)[0]),
			phrase  => join(', ', distinct(map { $_->{phrase} } @together))
		},
		@alone);
}

sub cannot
{
	my ($context, $why, $text, @more) = @_;
	return undecided(
		$why,
		sql   => "$context->{opening}\n    $text",
		locks => strongest($context->{catalog}, $context->{table}),
		@more);
}

# One action of ALTER TABLE, which stands from one token to another.
sub action
{
	my ($context, $from, $to) = @_;
	my ($statement, $catalog, $table) = @$context{qw(statement catalog table)};
	my @tokens = @{ $statement->{tokens} };
	my $text = text_of($statement, $from, $to);
	my $head = join ' ', map { uc $_->{text} } @tokens[ $from .. $to ];
	my $name_after = sub { return name_at($statement, skip(\@tokens, $from + 1, @_)) };
	my $lock = sub {
		my ($phrase, @more) = @_;
		my %part = (does => 'lock', action => $text, phrase => $phrase, touches => []);
		return { %part, locks => strongest($catalog, $table), @more };
	};
	my $weak_lock = sub { return $lock->($_[1], locks => { $table => $_[0] }) };

	return constraint($context, $from + 1, $to)
	  if $head =~ /^ADD (?:CONSTRAINT|CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b/;
	return add_column($context, $from, $to) if $head =~ /^ADD /;
	return cannot($context, 'CASCADE drops objects that the statement does not name', $text)
	  if $head =~ /^DROP .*CASCADE$/;
	return drop_constraint($context, $lock, $name_after->('CONSTRAINT', 'IF EXISTS'))
	  if $head =~ /^DROP CONSTRAINT/;
	my @column = (columns => $table, touches => [ $name_after->('COLUMN', 'IF EXISTS') ]);
	return $lock->('drop columns', @column)
	  if $head =~ /^DROP /;
	return alter_column($context, $lock, skip(\@tokens, $from + 1, 'COLUMN'), $to, $text)
	  if $head =~ /^ALTER (?!CONSTRAINT)/;
	return { does => 'validate', name => identifier($tokens[$to]), table => $table }
	  if $head =~ /^VALIDATE /;
	my @names = ($name_after->('COLUMN', 'CONSTRAINT'), name_at($statement, $to));
	return $lock->('rename constraints', touches => \@names) if $head =~ /^RENAME CONSTRAINT/;
	return $lock->('rename columns', touches => \@names, columns => $table)
	  if $head =~ /^RENAME (?!TO\b)/;
	return $weak_lock->('SHARE ROW EXCLUSIVE', 'enable or disable triggers')
	  if $head =~ /^(?:ENABLE|DISABLE) (?:ALWAYS |REPLICA )?TRIGGER/;
	return $weak_lock->('SHARE UPDATE EXCLUSIVE', 'set storage parameters')
	  if $head =~ /^(?:SET|RESET) \(/;
	return cannot($context, $UNKNOWN, $text);
}

# A foreign key takes its lock on the other table, too.
sub drop_constraint
{
	my ($context, $lock, $name) = @_;
	my ($catalog, $table) = @$context{qw(catalog table)};
	delete $catalog->{indexes}{$name};
	my $referenced = strongest($catalog, $catalog->{keys}{$table}{$name});
	return $lock->(
		'drop constraints',
		locks   => merge_locks(strongest($catalog, $table), $referenced),
		touches => [$name]);
}

sub alter_column
{
	my ($context, $lock, $at, $to, $text) = @_;
	my @tokens = @{ $context->{statement}{tokens} };
	my $column = identifier($tokens[$at]);
	my $what = join ' ', map { uc $_->{text} } @tokens[ $at + 1 .. $to ];
	my $table = $context->{table};
	return { does => 'not_null', table => $table, column => $column, touches => [$column] }
	  if $what eq 'SET NOT NULL';
	return $lock->('change columns', touches => [$column])
	  if $what =~ /^(?:SET|DROP) (?:DEFAULT|NOT NULL)/
	  || $what =~ /^(?:SET (?:STATISTICS|STORAGE|COMPRESSION|\()|RESET)/;
	my @more = (touches => [$column], columns => $table);
	return cannot($context, 'the new type may need a rewrite of the table', $text, @more)
	  if $what =~ /^(?:SET DATA )?TYPE\b/;
	return cannot($context, $UNKNOWN, $text);
}

# ---- ADD COLUMN --------------------------------------------------------------------------------

# A column's definition is taken apart: what would check each row becomes a part of its own.
sub add_column
{
	my ($context, $from, $to) = @_;
	my ($statement, $catalog, $table) = @$context{qw(statement catalog table)};
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, $from + 1, 'COLUMN', 'IF NOT EXISTS');
	my $column = identifier($tokens[$at]);
	my $text = text_of($statement, $from, $to);
	my @clauses = clauses($statement, $at + 2, $to);
	my $why = why_not($statement, $at + 1, $catalog, @clauses);
	return cannot($context, $why, $text, columns => $table, touches => [$column]) if defined $why;

	my $has_default = grep { $_->{word} eq 'DEFAULT' } @clauses;
	my $locks = strongest($catalog, $table);
	my (@kept, @apart);
	foreach my $clause (@clauses)
	{
		my ($word, $name) = @$clause{qw(word name)};
		if ($word eq 'CHECK')
		{
			push @apart, [ $name // "${table}_${column}_check", $clause->{text} ];
		}
		elsif ($word eq 'UNIQUE')
		{
			push @apart, [ $name // "${table}_${column}_key", 'UNIQUE (' . quoted($column) . ')' ];
		}
		elsif ($word eq 'REFERENCES' && $has_default)
		{
			my $key = 'FOREIGN KEY (' . quoted($column) . ") $clause->{text}";
			push @apart, [ $name // "${table}_${column}_fkey", $key, $clause->{referenced} ];
		}
		else
		{
			# All rows have NULL in the new column: the foreign key needs no check.
			my $referenced = $clause->{referenced};
			$locks->{$referenced} //= 'SHARE ROW EXCLUSIVE' if is_there($catalog, $referenced);
			push @kept, 'CONSTRAINT ' . quoted($name) if defined $name;
			push @kept, $clause->{text};
		}
	}
	my $type_end = (@clauses ? $clauses[0]{begin} : $to + 1) - 1;
	my $type = text_of($statement, $from, $type_end);
	my $part = {
		does        => 'lock',
		action      => @apart ? join(' ', $type, @kept) : $text,
		locks       => $locks,
		columns     => $table,
		touches     => [$column],
		phrase      => 'add columns'
	};
	return ($part, map { table_constraint($context, @$_) } @apart);
}

# The constraints of a column: word, text, name, begin, end, and what REFERENCES refers to.
sub clauses
{
	my ($statement, $from, $to) = @_;
	my @tokens = @{ $statement->{tokens} };
	my @begins = top_level(\@tokens, $from, $to,
		sub { $_[0]{kind} eq 'word' && $BEGINS_CONSTRAINT{ uc $_[0]{text} } });
	@begins = grep { !follows_on(\@tokens, $_) } @begins;
	my (@clauses, $name, $start);
	foreach my $i (0 .. $#begins)
	{
		my ($begin, $end) = ($begins[$i], ($begins[ $i + 1 ] // $to + 1) - 1);
		my $word = uc $tokens[$begin]{text};
		if ($word eq 'CONSTRAINT')
		{
			($name, $start) = (name_at($statement, $begin + 1), $begin);
			next;
		}
		push @clauses,
		  {
			word  => $word,
			text  => text_of($statement, $begin, $end),
			name  => $name,
			begin => $start // $begin,
			value => [ $begin + 1, $end ],
			referenced => $word eq 'REFERENCES' ? name_at($statement, $begin + 1) : undef
		  };
		($name, $start) = (undef, undef);
	}
	return @clauses;
}

# Whether the word belongs to the clause before it.
sub follows_on
{
	my ($tokens, $at) = @_;
	my ($before, $word) = map { uc $tokens->[$_]{text} } $at - 1, $at;
	my $after = $at < $#$tokens ? uc $tokens->[ $at + 1 ]{text} : '';
	return $word eq 'NULL' && $before =~ /^(?:NOT|SET|DEFAULT)$/
	  || $word eq 'DEFAULT' && $before =~ /^(?:SET|BY)$/
	  || $word eq 'NOT' && $after =~ /^(?:DEFERRABLE|VALID)$/
	  || $word eq 'COLLATE';
}

# Why a new column rewrites or checks the whole table; undef if it does not.
sub why_not
{
	my ($statement, $type_at, $catalog, @clauses) = @_;
	my %clause = map { $_->{word} => $_ } @clauses;
	my ($type, $after) = @{ $statement->{tokens} }[ $type_at, $type_at + 1 ];
	return 'the type gives each row a value of its own, so the table is rewritten'
	  if $type->{text} =~ /^(?:small|big)?serial[248]?$/i;
	my $type_name = identifier($type) // $type->{text};
	return "if the type $type_name is a domain, the table is rewritten"
	  if !$IS_BUILT_IN{$type_name} && !$catalog->{enums}{$type_name}
	  || $after && $after->{text} eq '.';
	return 'a generated column is computed for each row, so the table is rewritten'
	  if $clause{GENERATED};
	return 'a primary key needs an index, which is built under ACCESS EXCLUSIVE'
	  if $clause{PRIMARY};
	return 'NOT NULL without a default fails if the table has rows'
	  if $clause{NOT} && !$clause{DEFAULT};
	return undef if !$clause{DEFAULT};
	my @tokens = @{ $statement->{tokens} };
	my ($begin, $end) = @{ $clause{DEFAULT}{value} };
	my @called = map { identifier($tokens[$_]) // () }
	  grep { $tokens[ $_ + 1 ]{text} eq '(' } $begin .. $end - 1;
	my ($function) = grep { !$IS_STABLE{$_} } @called;
	return undef if !defined $function;
	return "if $function() is volatile, the table is rewritten";
}

# ---- ADD CONSTRAINT ----------------------------------------------------------------------------

sub constraint
{
	my ($context, $from, $to) = @_;
	my @tokens = @{ $context->{statement}{tokens} };
	my $name;
	if (uc($tokens[$from]{text}) eq 'CONSTRAINT')
	{
		$name = identifier($tokens[ $from + 1 ]);
		$from += 2;
	}
	my ($referenced) = references(\@tokens, $from, $to);
	my $definition = text_of($context->{statement}, $from, $to);
	return table_constraint($context, $name, $definition, $referenced);
}

# table_constraint(CONTEXT, NAME or undef, DEFINITION, REFERENCED TABLE or undef)
sub table_constraint
{
	my ($context, $name, $definition, $referenced) = @_;
	my ($catalog, $table) = @$context{qw(catalog table)};
	my $action = 'ADD ' . (defined $name ? 'CONSTRAINT ' . quoted($name) . ' ' : '') . $definition;
	my %locks = ($table => $referenced ? 'SHARE ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE');
	$locks{$referenced} = 'SHARE ROW EXCLUSIVE' if is_there($catalog, $referenced);
	my %part = (
		name       => $name,
		table      => $table,
		definition => $definition,
		referenced => $referenced,
		sql        => "ALTER TABLE $table\n    $action",
		touches    => [ $name // () ],
		phrase     => 'add constraints',
		locks      => \%locks);
	return { %part, does => 'lock', action => $action } if $definition =~ /\bUSING\s+INDEX\b/i;
	return { %part, does => 'constraint', is_valid => $definition !~ /\bNOT\s+VALID\s*$/i }
	  if $definition =~ /^(?:CHECK|FOREIGN)\b/i;
	return undecided('the constraint needs an index, which is built under ACCESS EXCLUSIVE', %part)
	  if $definition !~ /^UNIQUE\s*(\(.*\))$/is || !defined $name;
	my $columns = $1;
	return undecided(taken($name), %part) if exists $catalog->{indexes}{$name};
	$catalog->{indexes}{$name} = $table;
	my $is_taken = exists $catalog->{indexes_before}{$name};
	return { %part, does => 'unique', definition => $columns, taken => $is_taken };
}

1;
