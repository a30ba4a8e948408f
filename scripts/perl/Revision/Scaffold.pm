# Writes the steps in which a migration runs while clients are at work (src/migrations/online) from
# what its statements do. What a program cannot decide becomes a line "-- undecided: …", which the
# build refuses.

package Revision::Scaffold;

use strict;
use warnings;

use Exporter 'import';

use Revision::Classify qw(classify);
use Revision::Statements qw(statements);

our @EXPORT_OK = qw(scaffold);

my @MODES = ('ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE',
	'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE');
my %STRENGTH = map { $MODES[$_] => $_ } 0 .. $#MODES;
my %BEFORE_OTHERS = (procrastinate_jobs => 0, procrastinate_events => 1);

# scaffold(REVISION, SQL, FACTS): the text of online/REVISION.sql, and what is undecided in it, as a
# list of strings. The text is undef if the migration needs no steps of its own. FACTS are the rows
# of structure.tsv as hashes.
sub scaffold
{
	my ($revision, $sql, @facts) = @_;
	my $catalog = catalog_before($revision, @facts);
	my @statements = statements($sql);
	my @units;
	foreach my $number (0 .. $#statements)
	{
		foreach my $part (classify($statements[$number], $catalog))
		{
			push @units, { %$part, statement => $number };
		}
	}
	name_constraints($revision, \@units, @facts);
	my @steps = steps($revision, \@statements, \@units, $catalog);
	my @undecided = map { $_->{why} } grep { $_->{does} eq 'undecided' } @units;
	push @undecided, map { @{ $_->{undecided} // [] } } @steps;
	my $is_plain = @steps == 1 && $steps[0]{kind} eq 'brief' && !%{ $steps[0]{locks} } && !$steps[0]{barrier};
	return (undef) if $is_plain && !@undecided;
	return (text($revision, \@statements, @steps), @undecided);
}

# What is there before the revision: see Revision::Classify.
sub catalog_before
{
	my ($revision, @facts) = @_;
	my %catalog = (tables => {}, indexes => {}, keys => {}, functions => {}, dropped => {}, fetched => {});
	foreach my $fact (@facts)
	{
		next if $fact->{first} ge $revision || ($fact->{last} ne '' && $fact->{last} lt revision_before($revision));
		my ($kind, $definition) = @$fact{qw(kind definition)};
		$catalog{tables}{$definition} //= {} if $kind eq 'table';
		$catalog{tables}{$1}{$2} = 1 if $kind eq 'column' && $definition =~ /^(\w+)\.(\S+) /;
		$catalog{indexes}{$1} = $2 if $kind eq 'index' && $definition =~ /^(?:UNIQUE )?(\S+) ON (\S+) /;
		$catalog{keys}{$1}{$2} = $3
		  if $kind eq 'constraint' && $definition =~ /^(\w+)\.(\S+) FOREIGN KEY .* REFERENCES (\w+)/;
		if ($kind eq 'function')
		{
			my ($name, $returns) = $definition =~ /^(\w+)\(.*\) returns (\S+)/;
			$catalog{functions}{$name} = 1;
			$catalog{fetched}{$returns} = 1 if $name =~ /^procrastinate_fetch_job/;
		}
	}
	$catalog{indexes_before} = { %{ $catalog{indexes} } };
	return \%catalog;
}

sub revision_before { return sprintf '%04d', $_[0] - 1 }

# A constraint that the migration does not name has the name that the facts show.
sub name_constraints
{
	my ($revision, $units, @facts) = @_;
	foreach my $unit (grep { $_->{does} eq 'constraint' && !defined $_->{name} } @$units)
	{
		my $kind = $unit->{definition} =~ /^CHECK/i ? 'CHECK' : 'FOREIGN KEY';
		my @names = grep { defined }
		  map { $_->{definition} =~ /^\Q$unit->{table}\E\.(\S+) $kind/ ? $1 : undef }
		  grep { $_->{kind} eq 'constraint' && $_->{first} eq $revision } @facts;
		my %taken = map { $_->{name} // '' => 1 } @$units;
		@names = grep { !$taken{$_} } @names;
		if (@names == 1)
		{
			$unit->{name} = $names[0];
			$unit->{sql} =~ s/\bADD \Q$unit->{definition}\E/ADD CONSTRAINT $names[0] $unit->{definition}/;
		}
		else
		{
			@$unit{qw(does why)} = ('undecided', 'the constraint has no name, by which a step could validate it');
		}
	}
	return;
}

# ---- The steps ---------------------------------------------------------------------------------

sub step { return { kind => 'brief', locks => {}, parts => [], rest => [], @_ } }

sub steps
{
	my ($revision, $statements, $units, $catalog) = @_;
	my (@labels, @early, @first, @late, @main, @constraints, @validations, @last);
	my @alone = grep { $_->{does} ne 'label' && $_->{does} ne 'free' } @$units;
	my $fetches = grep { $_->{text} =~ /^\s*(?:CREATE|DROP)\b[^(]*FUNCTION[^(]*\bprocrastinate_fetch_job/i } @$statements;
	foreach my $unit (@$units)
	{
		my $does = $unit->{does};
		if ($does eq 'label' && @alone) { push @labels, $unit }
		elsif ($does eq 'none') { }
		elsif ($does eq 'index' || $does eq 'unique')
		{
			my $is_late = uses_new($unit, $units);
			my $temporary = $unit->{taken} && !$is_late ? substr($unit->{name}, 0, 58) . "_$revision" : $unit->{name};
			my $unique = $unit->{unique} || $does eq 'unique' ? 'UNIQUE ' : '';
			my $build = step(
				kind  => 'concurrent',
				title => "build index $temporary",
				sql   => "CREATE ${unique}INDEX CONCURRENTLY $temporary\n    ON $unit->{table} $unit->{definition};");
			push @{ $is_late ? \@late : \@early }, $build;
			$build->{undecided} = ['functions with ON CONFLICT may need this index before it is there']
			  if $is_late && $unique && grep { /FUNCTION/i && /\bON\s+CONFLICT\b/i } map { $_->{text} } @$statements;
			my @after;
			push @after, "ALTER INDEX $temporary RENAME TO $unit->{name};" if $temporary ne $unit->{name};
			push @after, "ALTER TABLE $unit->{table}\n    ADD CONSTRAINT $unit->{name} UNIQUE USING INDEX $unit->{name};"
			  if $does eq 'unique';
			next if !@after;
			my $exchange = {
				%$unit, does => 'lock', whole => 0, sql => join("\n", map { s/;$//r } @after), sqls => \@after,
				locks => { $unit->{table} => 'ACCESS EXCLUSIVE' }, phrase => $does eq 'unique' ? 'add constraints' : 'exchange indexes'
			};
			push @{ $is_late ? \@last : \@main }, $exchange;
		}
		elsif ($does eq 'constraint')
		{
			push @constraints, { %$unit, whole => 0, sqls => [ "$unit->{sql} NOT VALID;" =~ s/NOT VALID NOT VALID/NOT VALID/ir ] };
			push @validations, validation($unit->{table}, $unit->{name}, $unit->{referenced}) if $unit->{is_valid};
		}
		elsif ($does eq 'validate')
		{
			push @validations, validation($unit->{table}, $unit->{name}, $catalog->{keys}{ $unit->{table} }{ $unit->{name} });
		}
		elsif ($does eq 'not_null')
		{
			my ($table, $column) = @$unit{qw(table column)};
			my $check = substr("${table}_$column", 0, 44) . "_check_$revision";
			push @constraints,
			  {
				%$unit, whole => 0, locks => { $table => 'ACCESS EXCLUSIVE' },
				sqls => ["ALTER TABLE $table\n    ADD CONSTRAINT $check CHECK ($column IS NOT NULL) NOT VALID;"]
			  };
			push @validations, validation($table, $check);
			push @last,
			  {
				%$unit, whole => 0, locks => { $table => 'ACCESS EXCLUSIVE' }, phrase => 'set NOT NULL',
				sqls => [
					"ALTER TABLE $table\n    ALTER COLUMN $column SET NOT NULL;",
					"ALTER TABLE $table\n    DROP CONSTRAINT $check;"
				]
			  };
		}
		else
		{
			push @main, { %$unit, sqls => [ "$unit->{sql};" ] };
		}
	}
	# A fetch function may need the index of a new column: the column comes first then, alone.
	if (@late && $fetches)
	{
		my @columns = grep { $_->{adds_columns_only} } @main;
		my @needed = grep { my $unit = $_; grep { depends($_, $unit) } @columns } grep { $_->{does} eq 'free' && $_->{sql} =~ /^CREATE\s+(?:TYPE|TABLE|SEQUENCE|DOMAIN)\b/i } @main;
		my %is_first = map { $_ => 1 } @columns, @needed;
		@first = grep { $is_first{$_} } @main;
		@main = grep { !$is_first{$_} } @main;
	}
	my @steps = (
		(map { $_ } brief($statements, \@labels, $catalog)),
		(@first ? (brief($statements, \@first, $catalog), @early, @late, brief($statements, \@main, $catalog))
		    : (@early, brief($statements, \@main, $catalog), @late)),
		brief($statements, \@constraints, $catalog),
		@validations,
		brief($statements, \@last, $catalog));
	foreach my $step (grep { @{ $_->{rest} } } @steps)
	{
		spell_rest($step, $statements);
	}
	return @steps;
}

# Whether a part uses a column or a function that the migration adds.
sub uses_new
{
	my ($unit, $units) = @_;
	return scalar grep { $_ != $unit && $_->{does} ne 'index' && $_->{statement} < $unit->{statement}
		  && ($_->{adds_column} || $_->{columns} || $_->{does} eq 'free') && depends_on($unit, $_) } @$units;
}

sub validation
{
	my ($table, $name, $referenced) = @_;
	return step(
		kind  => 'validated',
		title => "validate constraint $name",
		locks => { $table => 'SHARE UPDATE EXCLUSIVE', defined $referenced ? ($referenced => 'ROW SHARE') : () },
		sql   => "ALTER TABLE $table VALIDATE CONSTRAINT $name;");
}

# A step that takes its locks for an instant; none if there is nothing to do.
sub brief
{
	my ($statements, $units, $catalog) = @_;
	return if !@$units;
	my %is_explicit = map { $_ => 1 } grep { !$units->[$_]{whole} } 0 .. $#$units;
	# Explicit statements run before the rest. What one of them needs done before comes with it.
	my $changed = 1;
	while ($changed)
	{
		$changed = 0;
		foreach my $later (grep { $is_explicit{$_} } 0 .. $#$units)
		{
			foreach my $earlier (grep { !$is_explicit{$_} } 0 .. $later - 1)
			{
				next if !depends($units->[$earlier], $units->[$later]);
				$is_explicit{$earlier} = $changed = 1;
			}
		}
	}
	my @columns = distinct(grep { defined && $catalog->{fetched}{$_} } map { $_->{columns} } @$units);
	my $step = step(
		title   => title(@$units),
		barrier => scalar @columns,
		parts   => [ map { $units->[$_] } grep { $is_explicit{$_} } 0 .. $#$units ],
		rest    => [ distinct(map { $units->[$_]{statement} } grep { !$is_explicit{$_} } 0 .. $#$units) ],
		locks   => strongest(map { $_->{locks} } @$units),
		undecided => [ map { "the fetch barrier knows procrastinate_jobs only, not $_" } grep { $_ ne 'procrastinate_jobs' } @columns ]);
	$step->{notes} = [ map { "-- undecided: $_->{why}" } grep { $_->{does} eq 'undecided' && $_->{whole} } @$units ];
	return $step;
}

sub depends { my ($one, $other) = @_; return depends_on($one, $other) || depends_on($other, $one) }

# Whether a part names something that another creates, changes or drops.
sub depends_on
{
	my ($user, $maker) = @_;
	return scalar grep { $_ ne '' && $user->{sql} =~ /\b\Q$_\E\b/i } @{ $maker->{touches} };
}

sub distinct { my %seen; return grep { !$seen{$_}++ } @_ }

sub strongest
{
	my %locks;
	foreach my $more (@_)
	{
		foreach my $table (keys %$more)
		{
			my ($new, $old) = map { ($_ // '') =~ s/ if there$//r } $more->{$table}, $locks{$table};
			$locks{$table} = $more->{$table} if $old eq '' || $STRENGTH{$new} > $STRENGTH{$old};
		}
	}
	return \%locks;
}

sub title
{
	my @phrases = distinct(map { split /, / } grep { defined } map { $_->{phrase} } @_);
	my (%objects, @verbs);
	foreach my $phrase (@phrases)
	{
		my ($verb, $object) = split / /, $phrase, 2;
		push @verbs, $verb if !$objects{$verb};
		push @{ $objects{$verb} }, $object;
	}
	return join '; ', map { "$_ " . enumerate(@{ $objects{$_} }) } @verbs;
}

sub enumerate { my $last = pop; return @_ ? join(', ', @_) . " and $last" : $last }

# ---- The rest ----------------------------------------------------------------------------------

# Says by their beginnings which statements of the migration's file belong to a step's rest. One that
# cannot be told from others is written out.
sub spell_rest
{
	my ($step, $statements) = @_;
	my %in = map { $_ => 1 } @{ $step->{rest} };
	my @out = grep { !$in{$_} } 0 .. $#$statements;
	if (!@out)
	{
		$step->{spelled} = '-- rest';
		return;
	}
	my $only = beginnings($statements, $step->{rest}, \@out);
	my $without = beginnings($statements, \@out, $step->{rest});
	my ($shortest) = sort { length $a <=> length $b } (
		defined $only    ? "-- rest only $only"       : (),
		defined $without ? "-- rest without $without" : ());
	if (defined $shortest)
	{
		$step->{spelled} = $shortest;
		return;
	}
	push @{ $step->{parts} }, map { { sqls => ["$statements->[$_]{text};"] } } @{ $step->{rest} };
	$step->{rest} = [];
	return;
}

# Beginnings that those statements have and the others do not, by commas; undef if there are none.
sub beginnings
{
	my ($statements, $these, $others) = @_;
	my @found;
	STATEMENT: foreach my $number (@$these)
	{
		my $text = $statements->[$number]{text};
		next if grep { index($text, $_) == 0 } @found;
		my ($line) = $text =~ /^([^\n]*)/;
		$line =~ s/, .*//;
		my ($least) = $line =~ /^((?:CREATE (?:OR REPLACE )?(?:UNIQUE )?|ALTER |DROP )?\S+)/i;
		while ($line =~ /\G(\S+(?: +(?=\S))?)/g)
		{
			next if pos($line) < length $least;
			my $beginning = substr($line, 0, pos $line) =~ s/ +$//r;
			next if grep { index($statements->[$_]{text}, $beginning) == 0 } @$others;
			push @found, $beginning;
			next STATEMENT;
		}
		return undef;
	}
	return join ', ', @found;
}

# ---- The text ----------------------------------------------------------------------------------

sub text
{
	my ($revision, $statements, @steps) = @_;
	my $text = "-- Steps of $revision, for a run while clients are at work. The format: ../README.md.\n";
	foreach my $step (@steps)
	{
		$text .= "\n";
		my $barrier = $step->{barrier} ? ', barrier' : '';
		$text .= "-- step $step->{kind}$barrier: $step->{title}\n";
		my @tables = sort { ($BEFORE_OTHERS{$a} // 2) <=> ($BEFORE_OTHERS{$b} // 2) || $a cmp $b } keys %{ $step->{locks} };
		$text .= '-- lock ' . join(', ', map { "$_ $step->{locks}{$_}" } @tables) . "\n" if @tables;
		$text .= "-- undecided: $_\n" foreach @{ $step->{undecided} // [] };
		$text .= "$step->{sql}\n" if defined $step->{sql};
		foreach my $part (@{ $step->{parts} })
		{
			$text .= "-- undecided: $part->{why}\n" if ($part->{does} // '') eq 'undecided';
			$text .= "$_\n" foreach @{ $part->{sqls} };
		}
		$text .= "$_\n" foreach @{ $step->{notes} // [] };
		$text .= "$step->{spelled}\n" if @{ $step->{rest} };
	}
	return $text;
}

1;
