# Says what a statement of a migration does to tables that are there: which locks it takes, which
# parts of it can run beside clients at work, and what a program cannot decide.

package Revision::Classify;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(classify identifier);

# Functions in a DEFAULT that are not volatile: ADD COLUMN then rewrites no table.
my %IS_STABLE = map { $_ => 1 } qw(now transaction_timestamp statement_timestamp char character
  varchar bpchar numeric decimal bit time timestamp timestamptz interval varying);

# What ends the DEFAULT of a column, and begins its next constraint.
my %BEGINS_CONSTRAINT = map { $_ => 1 } qw(CONSTRAINT NOT NULL CHECK DEFAULT UNIQUE PRIMARY REFERENCES
  GENERATED COLLATE DEFERRABLE INITIALLY);

# The name that a token spells, as the server folds it.
sub identifier
{
	my ($token) = @_;
	return lc $token->{text} if $token->{kind} eq 'word';
	return $token->{text} =~ s/^"|"$//gr =~ s/""/"/gr if $token->{kind} eq 'quoted';
	return undef;
}

# classify(STATEMENT, CATALOG): what the statement consists of, as a list of hashes in their order:
#
#   does       free (locks no table that is there), lock, label, index, constraint, not_null,
#              validate, rows, none (LOCK TABLE: a step takes its own locks), undecided
#   sql        its text, without a semicolon
#   whole      true if it is the whole statement, word for word
#   locks      { table => mode }
#   touches    [ names of objects that it creates, changes or drops ]
#   columns    table whose row type changes
#   phrase     for a step's title
#   and what its kind needs: name, table, unique, kind, definition, column, references, why
#
# CATALOG is a hash: tables { name => { column => 1 } }, indexes { name => table }, keys { table =>
# { constraint => referenced table } }, indexes_before (indexes at first), functions, fetched; this function notes there what the statement creates.
sub classify
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $head = join ' ', map { uc $_->{text} } grep { defined } @tokens[ 0 .. 5 ];
	my @parts =
	    $head =~ /^ALTER TABLE/                                 ? alter_table($statement, $catalog)
	  : $head =~ /^CREATE (?:UNIQUE )?INDEX/                    ? create_index($statement, $catalog)
	  : $head =~ /^CREATE (?:(?:GLOBAL|LOCAL|TEMP|TEMPORARY|UNLOGGED) )*TABLE/ ? create_table($statement, $catalog)
	  : $head =~ /^CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER/ ? create_trigger($statement, $catalog)
	  : $head =~ /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|SEQUENCE|(?:RECURSIVE )?VIEW)/
	  ? create($statement, $catalog)
	  : $head =~ /^DROP / ? drop($statement, $catalog)
	  : $head =~ /^ALTER TYPE/ ? alter_type($statement)
	  : $head =~ /^ALTER INDEX/ ? alter_index($statement, $catalog)
	  : $head =~ /^ALTER (?:FUNCTION|PROCEDURE|ROUTINE|SEQUENCE|VIEW|DOMAIN|AGGREGATE) /
	  ? free(phrase => 'alter ' . lc((split / /, $head)[1]) . 's', touches => [ name_at($statement, 2) ])
	  : $head =~ /^(?:GRANT|REVOKE) / ? free(phrase => 'change privileges')
	  : $head =~ /^COMMENT ON/ ? comment_on($statement, $catalog)
	  : $head =~ /^LOCK / ? { does => 'none' }
	  : $head =~ /^(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY|WITH) ?/ ? rows($statement, $catalog)
	  :                     undecided("a program cannot tell what this does to clients at work");
	foreach my $part (@parts)
	{
		$part->{whole} = 1 if @parts == 1 && !defined $part->{sql};
		$part->{sql} //= $statement->{text};
		$part->{locks}   //= {};
		$part->{touches} //= [];
	}
	return @parts;
}

sub free { return { does => 'free', @_ } }
sub undecided { return { does => 'undecided', why => $_[0], phrase => 'what is undecided', @_[ 1 .. $#_ ] } }

sub is_there { my ($catalog, $table) = @_; return exists $catalog->{tables}{ $table // '' } }

sub words { return map { uc $_->{text} } @{ $_[0]{tokens} } }

sub name_at { my ($statement, $at) = @_; return identifier($statement->{tokens}[$at] // {kind => ''}) // '' }

# The position after optional words.
sub skip
{
	my ($tokens, $at, @optional) = @_;
	foreach my $phrase (@optional)
	{
		my @words = split / /, $phrase;
		next if $at + $#words > $#$tokens;
		my $here = join ' ', map { uc $tokens->[$_]{text} } $at .. $at + $#words;
		$at += @words if $here eq $phrase;
	}
	return $at;
}

# The tokens from one position to another, as the file has them.
sub text_of
{
	my ($statement, $from, $to) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $begin = $tokens[$from]{at} - $tokens[0]{at};
	return substr($statement->{text}, $begin,
		$tokens[$to]{at} + length($tokens[$to]{text}) - $tokens[0]{at} - $begin);
}

# Positions of the commas, or of the words given, that stand in no parentheses.
sub top_level
{
	my ($tokens, $from, $to, $is_wanted) = @_;
	my ($depth, @found) = (0);
	foreach my $at ($from .. $to)
	{
		my $text = $tokens->[$at]{text};
		push @found, $at if $depth == 0 && $is_wanted->($tokens->[$at], $at);
		$depth++ if $text =~ /^[(\[]$/;
		$depth-- if $text =~ /^[)\]]$/;
	}
	return @found;
}

sub split_list
{
	my ($tokens, $from, $to) = @_;
	my @parts;
	foreach my $comma (top_level($tokens, $from, $to, sub { $_[0]{text} eq ',' }), $to + 1)
	{
		push @parts, [ $from, $comma - 1 ];
		$from = $comma + 1;
	}
	return @parts;
}

# ---- CREATE ------------------------------------------------------------------------------------

sub create
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, 1, 'OR REPLACE', 'RECURSIVE');
	my $kind = lc $tokens[$at]{text};
	my $name = name_at($statement, skip(\@tokens, $at + 1, 'IF NOT EXISTS'));
	my $verb = uc($tokens[1]{text}) eq 'OR' && $catalog->{functions}{$name} ? 'replace' : 'add';
	$catalog->{functions}{$name} = 1 if $kind eq 'function';
	return free(touches => [$name], phrase => "$verb ${kind}s");
}

sub create_table
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($at) = grep { uc($tokens[$_]{text}) eq 'TABLE' } 0 .. $#tokens;
	my $name = name_at($statement, skip(\@tokens, $at + 1, 'IF NOT EXISTS'));
	return undecided('the new table belongs to one that is there, which CREATE TABLE locks')
	  if $statement->{text} =~ /\b(?:INHERITS|PARTITION\s+OF|ATTACH)\b/i;
	my %locks;
	foreach my $reference (references(\@tokens, 0, $#tokens))
	{
		$locks{$reference} = 'SHARE ROW EXCLUSIVE' if is_there($catalog, $reference);
	}
	return { does => %locks ? 'lock' : 'free', locks => \%locks, touches => [$name], phrase => 'add tables' };
}

# Tables that REFERENCES names.
sub references
{
	my ($tokens, $from, $to) = @_;
	return map { identifier($tokens->[ $_ + 1 ]) }
	  grep { $tokens->[$_]{kind} eq 'word' && uc($tokens->[$_]{text}) eq 'REFERENCES' } $from .. $to - 1;
}

sub create_index
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($on) = top_level(\@tokens, 0, $#tokens, sub { uc($_[0]{text}) eq 'ON' });
	return undecided('an index on what?') if !defined $on;
	my $unique = uc($tokens[1]{text}) eq 'UNIQUE';
	my $at = skip(\@tokens, $unique ? 3 : 2, 'CONCURRENTLY', 'IF NOT EXISTS');
	my $after = skip(\@tokens, $on + 1, 'ONLY');
	my $table = name_at($statement, $after);
	my $name = $at < $on ? name_at($statement, $at) : '';
	my $taken = exists $catalog->{indexes_before}{$name};
	$catalog->{indexes}{$name} = $table if $name ne '';
	return free(touches => [$name], phrase => 'add indexes') if !is_there($catalog, $table);
	return undecided('the index has no name, by which a step could build it concurrently', locks => { $table => 'SHARE' })
	  if $name eq '';
	return {
		does    => 'index', name => $name, table => $table, unique => $unique, taken => $taken,
		touches => [$name],
		definition => text_of($statement, $after + 1, $#tokens),
		phrase  => 'add indexes'
	};
}

sub create_trigger
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my ($trigger) = grep { uc($tokens[$_]{text}) eq 'TRIGGER' } 0 .. $#tokens;
	my ($on) = grep { uc($tokens[$_]{text}) eq 'ON' } $trigger + 2 .. $#tokens;
	my $table = name_at($statement, $on + 1);
	my %locks = is_there($catalog, $table) ? ($table => 'SHARE ROW EXCLUSIVE') : ();
	return {
		does    => %locks ? 'lock' : 'free', locks => \%locks, phrase => 'add triggers',
		touches => [ name_at($statement, $trigger + 1) ]
	};
}

# ---- DROP --------------------------------------------------------------------------------------

sub drop
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $kind = uc $tokens[1]{text};
	return undecided('CASCADE drops objects that the statement does not name')
	  if uc($tokens[-1]{text}) eq 'CASCADE';
	my $at = skip(\@tokens, 2, 'CONCURRENTLY', 'IF EXISTS');
	my $last = $#tokens - (uc($tokens[-1]{text}) eq 'RESTRICT');
	my @names = map { identifier($tokens[ $_->[0] ]) } split_list(\@tokens, $at, $last);
	my %part = (touches => \@names, phrase => 'drop ' . lc($kind) . ($kind eq 'INDEX' ? 'es' : 's'));
	return free(%part) if $kind =~ /^(?:FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|TYPE|DOMAIN|SEQUENCE|VIEW)$/;
	if ($kind eq 'TRIGGER')
	{
		my $table = name_at($statement, $at + 2);
		return { does => 'lock', %part, touches => [ $names[0] ], locks => strongest($catalog, $table) };
	}
	my @tables;
	if ($kind eq 'INDEX')
	{
		@tables = grep { defined } map { delete $catalog->{indexes}{$_} } @names;
		$catalog->{dropped}{$_} = 1 foreach @names;
	}
	elsif ($kind eq 'TABLE')
	{
		@tables = (@names, map { values %{ $catalog->{keys}{$_} // {} } } @names);
	}
	else
	{
		return undecided('a program cannot tell what this does to clients at work');
	}
	my %locks = map { %{ strongest($catalog, $_) } } @tables;
	%locks = map { $_ => is_in($_, @names) ? "$locks{$_} if there" : $locks{$_} } keys %locks
	  if $kind eq 'TABLE' && uc($tokens[2]{text}) eq 'IF';
	return { does => %locks ? 'lock' : 'free', %part, locks => \%locks };
}

sub is_in { my ($name, @names) = @_; return scalar grep { $_ eq $name } @names }

sub strongest
{
	my ($catalog, $table) = @_;
	return is_there($catalog, $table) ? { $table => 'ACCESS EXCLUSIVE' } : {};
}

# ---- Other statements --------------------------------------------------------------------------

sub alter_type
{
	my ($statement) = @_;
	my @words = words($statement);
	my $type = name_at($statement, 2);
	return { does => 'label', touches => [$type], phrase => 'add labels' }
	  if ($words[3] // '') eq 'ADD' && ($words[4] // '') eq 'VALUE';
	return undecided('clients at work may know the type as it was', touches => [$type]);
}

sub alter_index
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, 2, 'IF EXISTS');
	my ($name, $new) = (name_at($statement, $at), name_at($statement, $at + 3));
	my $table = $catalog->{indexes}{$name};
	return undecided('a program cannot tell what this does to clients at work')
	  if uc($tokens[ $at + 1 ]{text} // '') ne 'RENAME' || !defined $table;
	delete $catalog->{indexes}{$name};
	$catalog->{indexes}{$new} = $table;
	my %locks = is_there($catalog, $table) ? ($table => 'SHARE UPDATE EXCLUSIVE') : ();
	return { does => %locks ? 'lock' : 'free', locks => \%locks, touches => [ $name, $new ], phrase => 'rename indexes' };
}

sub comment_on
{
	my ($statement, $catalog) = @_;
	my @words = words($statement);
	my $table =
	    $words[2] =~ /^(?:TABLE|COLUMN)$/ ? name_at($statement, 3)
	  : $words[2] =~ /^(?:TRIGGER|CONSTRAINT|POLICY|RULE)$/ ? name_at($statement, 5)
	  :                                     undef;
	my %locks = is_there($catalog, $table) ? ($table => 'SHARE UPDATE EXCLUSIVE') : ();
	return { does => %locks ? 'lock' : 'free', locks => \%locks, phrase => 'change comments' };
}

sub rows
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my %tables = map { $_ => 1 } grep { defined && is_there($catalog, $_) } map { identifier($_) } @tokens;
	my $verb = uc $tokens[0]{text};
	return free(phrase => 'add rows') if $verb eq 'INSERT' && !is_there($catalog, name_at($statement, 2)) && !%tables;
	my $table = name_at($statement, { INSERT => 2, UPDATE => 1, DELETE => 2, MERGE => 2 }->{$verb} // 1);
	my $why = "$verb changes rows of a table that is in use: a batched step, if they may be many";
	return undecided($why) if !is_there($catalog, $table);
	return undecided($why, locks => { $table => 'ROW EXCLUSIVE' }, rows_of => $table, verb => $verb);
}

# ---- ALTER TABLE -------------------------------------------------------------------------------

sub alter_table
{
	my ($statement, $catalog) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, 2, 'IF EXISTS', 'ONLY');
	my $table = name_at($statement, $at);
	my $first = skip(\@tokens, $at + 1, '*');
	return free(touches => [$table], phrase => 'alter tables') if !is_there($catalog, $table);
	my $opening = text_of($statement, 0, $first - 1);
	my @lists = split_list(\@tokens, $first, $#tokens);
	my @parts = map { action($statement, $catalog, $table, $opening, @$_) } @lists;
	# What stays together goes into one ALTER TABLE again.
	my (@joined, @together);
	foreach my $part (@parts)
	{
		push @{ $part->{does} eq 'lock' ? \@together : \@joined }, $part;
	}
	unshift @joined,
	  {
		does    => 'lock',
		sql     => @together == @parts ? undef
		    : "$opening\n    " . join(",\n    ", map { $_->{action} } @together),
		locks   => merge_locks(map { $_->{locks} } @together),
		touches => [ map { @{ $_->{touches} } } @together ],
		columns => scalar((grep { defined } map { $_->{columns} } @together)[0]),
		phrase  => join(', ', distinct(map { $_->{phrase} } @together)),
		adds_columns_only => !(grep { !$_->{adds_column} } @together)
	  }
	  if @together;
	return @joined;
}

sub distinct { my %seen; return grep { !$seen{$_}++ } @_ }

sub merge_locks
{
	my %locks;
	my @modes = ('ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE',
		'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE');
	my %strength = map { $modes[$_] => $_ } 0 .. $#modes;
	foreach my $more (@_)
	{
		foreach my $table (keys %$more)
		{
			my ($new, $old) = map { ($_ // '') =~ s/ if there$//r } $more->{$table}, $locks{$table};
			$locks{$table} = $more->{$table} if $old eq '' || $strength{$new} > $strength{$old};
		}
	}
	return \%locks;
}

# One action of ALTER TABLE, which stands from one token to another.
sub action
{
	my ($statement, $catalog, $table, $opening, $from, $to) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $text = text_of($statement, $from, $to);
	my @words = map { uc $_->{text} } @tokens[ $from .. $to ];
	my $head = join ' ', @words;
	my $cannot = sub { return undecided($_[0], sql => "$opening\n    $text", locks => strongest($catalog, $table)) };
	my $lock = sub { return { does => 'lock', action => $text, locks => strongest($catalog, $table), touches => [], @_ } };
	return $cannot->('CASCADE drops objects that the statement does not name') if $words[-1] eq 'CASCADE' && $words[0] eq 'DROP';

	return constraint($statement, $catalog, $table, $from + 1, $to)
	  if $head =~ /^ADD (?:CONSTRAINT|CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b/;
	return add_column($statement, $catalog, $table, $opening, $from, $to) if $words[0] eq 'ADD';
	if ($words[0] eq 'VALIDATE')
	{
		return { does => 'validate', name => identifier($tokens[$to]), table => $table, touches => [] };
	}
	if ($head =~ /^DROP CONSTRAINT/)
	{
		my $name = identifier($tokens[ skip(\@tokens, $from + 2, 'IF EXISTS') ]);
		my $referenced = $catalog->{keys}{$table}{$name};
		my $index = delete $catalog->{indexes}{$name};
		$catalog->{dropped}{$name} = 1 if defined $index;
		return $lock->(
			locks   => merge_locks(strongest($catalog, $table), strongest($catalog, $referenced // '')),
			touches => [$name],
			phrase  => 'drop constraints');
	}
	if ($words[0] eq 'DROP')
	{
		my $name = identifier($tokens[ skip(\@tokens, $from + 1, 'COLUMN', 'IF EXISTS') ]);
		return $lock->(columns => $table, touches => [$name], phrase => 'drop columns');
	}
	if ($words[0] eq 'ALTER' && $words[1] ne 'CONSTRAINT')
	{
		my $at = skip(\@tokens, $from + 1, 'COLUMN');
		my $column = identifier($tokens[$at]);
		my $what = join ' ', map { uc $_->{text} } @tokens[ $at + 1 .. $to ];
		return { does => 'not_null', table => $table, column => $column, touches => [$column], phrase => 'set NOT NULL' }
		  if $what eq 'SET NOT NULL';
		return $lock->(touches => [$column], phrase => 'change columns')
		  if $what =~ /^(?:SET DEFAULT|DROP DEFAULT|DROP NOT NULL|SET STATISTICS|SET STORAGE|SET COMPRESSION|SET \(|RESET)/;
		return $cannot->('a change of a type may rewrite the table under ACCESS EXCLUSIVE, and rebuilds its indexes')
		  if $what =~ /^(?:SET DATA )?TYPE\b/;
		return $cannot->('a program cannot tell what this does to clients at work');
	}
	if ($head =~ /^RENAME CONSTRAINT /)
	{
		return $lock->(touches => [ map { identifier($tokens[$_]) } $from + 2, $to ], phrase => 'rename constraints');
	}
	if ($words[0] eq 'RENAME' && $words[1] ne 'TO')
	{
		my $at = skip(\@tokens, $from + 1, 'COLUMN');
		return $lock->(columns => $table, touches => [ map { identifier($tokens[$_]) } $at, $to ], phrase => 'rename columns');
	}
	return $lock->(locks => { $table => 'SHARE ROW EXCLUSIVE' }, phrase => 'enable or disable triggers')
	  if $head =~ /^(?:ENABLE|DISABLE) (?:ALWAYS |REPLICA )?TRIGGER/;
	return $lock->(locks => { $table => 'SHARE UPDATE EXCLUSIVE' }, phrase => 'set storage parameters')
	  if $head =~ /^(?:SET|RESET) \(/;
	return $cannot->('a program cannot tell what this does to clients at work');
}

# A column's definition is taken apart: what checks each row of the table becomes a part of its own.
sub add_column
{
	my ($statement, $catalog, $table, $opening, $from, $to) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $at = skip(\@tokens, $from + 1, 'COLUMN', 'IF NOT EXISTS');
	my $column = identifier($tokens[$at]);
	my $text = text_of($statement, $from, $to);
	my $cannot = sub {
		return undecided($_[0], sql => "$opening\n    $text", locks => strongest($catalog, $table), columns => $table, touches => [$column]);
	};
	return $cannot->('the type fills each row with a value of its own: the table is rewritten under ACCESS EXCLUSIVE')
	  if $tokens[ $at + 1 ]{text} =~ /^(?:small|big)?serial[248]?$/i;
	my @begins = top_level(\@tokens, $at + 2, $to,
		sub { $_[0]{kind} eq 'word' && $BEGINS_CONSTRAINT{ uc $_[0]{text} } });
	@begins = grep { !follows_on(\@tokens, $_) } @begins;
	my ($default, $not_null, @kept, @apart, $name);
	my %locks = %{ strongest($catalog, $table) };
	foreach my $i (0 .. $#begins)
	{
		my ($begin, $end) = ($begins[$i], ($begins[ $i + 1 ] // $to + 1) - 1);
		my $word = uc $tokens[$begin]{text};
		if ($word eq 'CONSTRAINT')
		{
			$name = identifier($tokens[ $begin + 1 ]);
			next;
		}
		my $clause = text_of($statement, $begin, $end);
		return $cannot->('a generated column is computed for each row under ACCESS EXCLUSIVE') if $word eq 'GENERATED';
		$default = [ $begin + 1, $end ] if $word eq 'DEFAULT';
		$not_null = 1 if $word eq 'NOT';
		my $prefix = defined $name ? "CONSTRAINT " . quoted($name) . ' ' : '';
		if ($word eq 'CHECK')
		{
			push @apart, [ $name // "${table}_${column}_check", $clause ];
		}
		elsif ($word =~ /^(?:UNIQUE|PRIMARY)$/)
		{
			return $cannot->('a new primary key') if $word eq 'PRIMARY';
			push @apart, [ $name // "${table}_${column}_key", "UNIQUE (" . quoted($column) . ')' ];
		}
		elsif ($word eq 'REFERENCES' && $default)
		{
			push @apart, [ $name // "${table}_${column}_fkey", 'FOREIGN KEY (' . quoted($column) . ") $clause", identifier($tokens[ $begin + 1 ]) ];
		}
		else
		{
			if ($word eq 'REFERENCES')
			{
				my $referenced = identifier($tokens[ $begin + 1 ]);
				$locks{$referenced} //= 'SHARE ROW EXCLUSIVE' if is_there($catalog, $referenced);
			}
			push @kept, $prefix . $clause;
		}
		undef $name;
	}
	return $cannot->('NOT NULL without a default fails if the table has rows') if $not_null && !$default;
	if ($default)
	{
		my ($begin, $end) = @$default;
		foreach my $call (grep { $tokens[ $_ + 1 ]{text} eq '(' } $begin .. $end - 1)
		{
			my $function = identifier($tokens[$call]) // next;
			return $cannot->("if $function() is volatile, the table is rewritten under ACCESS EXCLUSIVE")
			  if !$IS_STABLE{$function};
		}
	}
	my $type_end = (@begins ? $begins[0] : $to + 1) - 1;
	my $definition = @apart ? join(' ', text_of($statement, $from, $type_end), @kept) : $text;
	$catalog->{new_columns}{$table}{$column} = 1;
	return (
		{
			does => 'lock', action => $definition, locks => \%locks, columns => $table, adds_column => 1,
			touches => [$column], phrase => 'add columns'
		},
		map { table_constraint($catalog, $table, @$_) } @apart);
}

# NULL after NOT, NOT NULL after DEFAULT's value and the like: words that begin no clause of their own.
sub follows_on
{
	my ($tokens, $at) = @_;
	my ($before, $word) = map { uc $tokens->[$_]{text} } $at - 1, $at;
	return 1 if $word eq 'NULL' && $before =~ /^(?:NOT|SET|DEFAULT)$/;
	return 1 if $word eq 'DEFAULT' && $before =~ /^(?:SET|BY)$/;
	return 1 if $word eq 'NOT' && uc($tokens->[ $at + 1 ]{text} // '') =~ /^(?:DEFERRABLE|VALID)$/;
	return $word =~ /^(?:DEFERRABLE|INITIALLY|COLLATE)$/;
}

sub quoted { my ($name) = @_; return $name =~ /^[a-z_][a-z0-9_]*$/ ? $name : '"' . $name =~ s/"/""/gr . '"' }

sub constraint
{
	my ($statement, $catalog, $table, $from, $to) = @_;
	my @tokens = @{ $statement->{tokens} };
	my $name;
	if (uc($tokens[$from]{text}) eq 'CONSTRAINT')
	{
		$name = identifier($tokens[ $from + 1 ]);
		$from += 2;
	}
	my ($referenced) = references(\@tokens, $from, $to);
	return table_constraint($catalog, $table, $name, text_of($statement, $from, $to), $referenced);
}

# table_constraint(CATALOG, TABLE, NAME or undef, DEFINITION, REFERENCED TABLE or undef)
sub table_constraint
{
	my ($catalog, $table, $name, $definition, $referenced) = @_;
	my $named = defined $name ? 'CONSTRAINT ' . quoted($name) . ' ' : '';
	my $sql = "ALTER TABLE $table\n    ADD $named$definition";
	my %part = (
		name => $name, table => $table, definition => $definition, referenced => $referenced, sql => $sql,
		touches => [ $name // () ], phrase => 'add constraints');
	my %locks = ($table => $referenced ? 'SHARE ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE');
	$locks{$referenced} = 'SHARE ROW EXCLUSIVE' if defined $referenced && is_there($catalog, $referenced);
	$part{locks} = \%locks;
	if ($definition =~ /\bUSING\s+INDEX\b/i)
	{
		return { %part, does => 'lock', action => "ADD $named$definition" };
	}
	if ($definition =~ /^(?:CHECK|FOREIGN)\b/i)
	{
		return { %part, does => 'constraint', is_valid => $definition !~ /\bNOT\s+VALID\s*$/i };
	}
	if ($definition =~ /^UNIQUE\s*(\(.*\))$/is && defined $name)
	{
		my $columns = $1;
		my $taken = exists $catalog->{indexes_before}{$name};
		$catalog->{indexes}{$name} = $table;
		return { %part, does => 'unique', definition => $columns, taken => $taken };
	}
	return undecided('the constraint needs an index, which is built under ACCESS EXCLUSIVE', %part);
}

1;
