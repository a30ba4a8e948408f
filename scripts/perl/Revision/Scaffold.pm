# Writes the steps in which a migration runs while clients are at work (src/migrations/online) from
# what its statements do. What a program cannot decide becomes a line "-- undecided: …", which the
# build refuses.

package Revision::Scaffold;

use strict;
use warnings;

use Exporter 'import';

use Revision::Before qw(catalog_before);
use Revision::Classify qw(classify);
use Revision::Parts qw(distinct merge_locks);
use Revision::Rest qw(spell_rest);
use Sql qw(statements);

our @EXPORT_OK = qw(scaffold);

my %BEFORE_OTHERS = (procrastinate_jobs => 0, procrastinate_events => 1);

# scaffold(REVISION, SQLS, NOTES, FACTS): the text of online/REVISION.sql, and what is undecided in
# it, as a list of strings. The text is undef if the migration needs no steps of its own. SQLS are
# the texts of all migrations up to this one, NOTES more of what is undecided, FACTS the rows of
# structure.tsv as hashes.
sub scaffold
{
	my ($revision, $sqls, $notes, @facts) = @_;
	my $catalog = catalog_before($revision, join('', @$sqls), @facts);
	my @statements = statements($sqls->[-1]);
	my @units;
	foreach my $number (0 .. $#statements)
	{
		foreach my $part (classify($statements[$number], $catalog))
		{
			my %place = (
				statement => $number,
				line      => $statements[$number]{line},
				order     => scalar @units);
			push @units, { %$part, %place };
		}
	}
	name_constraints($revision, \@units, @facts);
	my @steps = steps($revision, \@statements, \@units, $catalog);
	my @undecided = map { why($_) } grep { $_->{does} eq 'undecided' } @units;
	unshift @{ $steps[0]{undecided} }, @$notes if @$notes;
	push @undecided, map { @{ $_->{undecided} // [] } } @steps;
	my ($first, @more) = @steps;
	my $is_plain = $first && !@more && $first->{kind} eq 'brief' && !%{ $first->{locks} };
	return (undef) if !@undecided && (!$first || $is_plain);
	return (text($revision, \@statements, @steps), @undecided);
}

# A constraint that the migration does not name has the name that the facts show.
sub name_constraints
{
	my ($revision, $units, @facts) = @_;
	foreach my $unit (grep { $_->{is_valid} && !defined $_->{name} } @$units)
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
			$unit->{sql} =~ s/\bADD (?=\Q$unit->{definition}\E)/ADD CONSTRAINT $names[0] /;
		}
		else
		{
			@$unit{qw(does why)} =
			  ('undecided', 'the constraint has no name, by which a step could validate it');
		}
	}
	return;
}

# ---- The steps ---------------------------------------------------------------------------------

sub step { return { kind => 'brief', locks => {}, parts => [], rest => [], @_ } }

# The steps in their order. `labels` come first, since a label can be used only after a commit. An
# index is built before `main`, which may drop the index that it replaces, and replace functions
# that need it. Columns come before an index of them. A constraint is added NOT VALID, then
# validated; what needs it comes last.
sub steps
{
	my ($revision, $statements, $units, $catalog) = @_;
	my $plan = {
		revision   => $revision,
		statements => $statements,
		units      => $units,
		map { $_ => [] } qw(labels early main late behind constraints validations last)
	};
	my $is_mixed = grep { $_->{does} !~ /^(?:label|free|none)$/ } @$units;
	foreach my $unit (@$units)
	{
		my $does = $unit->{does};
		if    ($does eq 'none') { next }
		elsif ($does eq 'label' && $is_mixed)   { push @{ $plan->{labels} }, $unit }
		elsif ($does =~ /^(?:index|unique)$/)   { plan_index($plan, $unit, $catalog) }
		elsif ($does eq 'constraint')           { plan_constraint($plan, $unit) }
		elsif ($does eq 'validate')             { plan_validation($plan, $unit, $catalog) }
		elsif ($does eq 'not_null')             { plan_not_null($plan, $unit) }
		else { push @{ $plan->{main} }, { %$unit, sqls => ["$unit->{sql};"] } }
	}
	my @first = columns_first($plan);
	my $brief = sub { return brief($statements, $_[0], $catalog) };
	my @steps = (
		$brief->($plan->{labels}),
		$brief->(\@first),
		@{ $plan->{early} },
		@{ $plan->{late} },
		$brief->($plan->{main}),
		@{ $plan->{behind} },
		$brief->($plan->{constraints}),
		@{ $plan->{validations} },
		$brief->($plan->{last}));
	spell_rest($_, $statements) foreach grep { @{ $_->{rest} } } @steps;
	return @steps;
}

sub plan_index
{
	my ($plan, $unit, $catalog) = @_;
	my ($name, $table) = @$unit{qw(name table)};
	my @needed = needed($unit, $plan->{units});
	my $place = !@needed ? 'early' : (grep { !creates($_) } @needed) ? 'behind' : 'late';
	$unit->{is_late} = $place eq 'late';
	my $is_unique = $unit->{unique} || $unit->{does} eq 'unique';
	# A name is free once the migration has dropped or renamed the index that has it.
	my $built = $unit->{taken} ? substr($name, 0, 58) . "_$plan->{revision}" : $name;
	my $build = step(
		kind  => 'concurrent',
		title => "build index $built",
		sql   => 'CREATE ' . ($is_unique ? 'UNIQUE ' : '') . "INDEX CONCURRENTLY $built\n"
		  . folded("    ON $table $unit->{definition};"));
	my $behind = 'built after the other changes, which may need it or drop what it replaces';
	my $conflict = "INSERT INTO $table ... ON CONFLICT fails on this uniqueness if it names another"
	  . ' one: see 0021';
	push @{ $build->{undecided} }, $behind if $place eq 'behind';
	push @{ $build->{undecided} }, $conflict if $is_unique && $catalog->{upserted}{$table};
	push @{ $plan->{$place} }, $build;

	my @sqls;
	push @sqls, "ALTER INDEX $built RENAME TO $name;" if $built ne $name;
	push @sqls, "ALTER TABLE $table\n    ADD CONSTRAINT $name UNIQUE USING INDEX $name;"
	  if $unit->{does} eq 'unique';
	return if !@sqls;
	my $phrase = $unit->{does} eq 'unique' ? 'add constraints' : 'exchange indexes';
	push @{ $plan->{ $place eq 'behind' ? 'last' : 'main' } },
	  explicit($unit, $phrase, { $table => 'ACCESS EXCLUSIVE' }, @sqls);
	return;
}

# A long line goes on before WHERE.
sub folded
{
	my ($text) = @_;
	return $text if $text !~ /^[^\n]{101}/m;
	return $text =~ s/(?<=\S) +(WHERE )/\n    $1/ir;
}

sub plan_constraint
{
	my ($plan, $unit) = @_;
	my $sql = $unit->{is_valid} ? "$unit->{sql} NOT VALID;" : "$unit->{sql};";
	push @{ $plan->{constraints} }, explicit($unit, $unit->{phrase}, $unit->{locks}, $sql);
	push @{ $plan->{validations} }, validation(@$unit{qw(table name referenced)})
	  if $unit->{is_valid};
	return;
}

sub plan_validation
{
	my ($plan, $unit, $catalog) = @_;
	my ($table, $name) = @$unit{qw(table name)};
	my ($added) = grep { $_->{does} eq 'constraint' && ($_->{name} // '') eq $name }
	  @{ $plan->{units} };
	my $referenced = $added ? $added->{referenced} : $catalog->{keys}{$table}{$name};
	push @{ $plan->{validations} }, validation($table, $name, $referenced);
	return;
}

# SET NOT NULL needs no scan if a validated check says the same.
sub plan_not_null
{
	my ($plan, $unit) = @_;
	my ($table, $column) = @$unit{qw(table column)};
	my $check = substr("${table}_$column", 0, 52) . "_check_$plan->{revision}";
	my $locks = { $table => 'ACCESS EXCLUSIVE' };
	push @{ $plan->{constraints} },
	  explicit($unit, 'add constraints', $locks,
		"ALTER TABLE $table\n    ADD CONSTRAINT $check CHECK ($column IS NOT NULL) NOT VALID;");
	push @{ $plan->{validations} }, validation($table, $check);
	push @{ $plan->{last} },
	  explicit($unit, 'set NOT NULL', $locks,
		"ALTER TABLE $table\n    ALTER COLUMN $column SET NOT NULL;",
		"ALTER TABLE $table\n    DROP CONSTRAINT $check;");
	return;
}

# A unit with statements that the migration's file does not have.
sub explicit
{
	my ($unit, $phrase, $locks, @sqls) = @_;
	return {
		%$unit,
		does   => 'lock',
		whole  => 0,
		phrase => $phrase,
		locks  => $locks,
		sql    => join("\n", @sqls),
		sqls   => \@sqls
	};
}

sub validation
{
	my ($table, $name, $referenced) = @_;
	return step(
		kind  => 'validated',
		title => "validate constraint $name",
		locks => {
			$table => 'SHARE UPDATE EXCLUSIVE',
			defined $referenced ? ($referenced => 'ROW SHARE') : ()
		},
		sql => "ALTER TABLE $table VALIDATE CONSTRAINT $name;");
}

# What an index of a new column needs leaves `main` and comes first, with all other new columns:
# they need the fetch barrier only once.
sub columns_first
{
	my ($plan) = @_;
	return if !@{ $plan->{late} };
	my %is_first;
	foreach my $unit (@{ $plan->{units} })
	{
		next if !$unit->{is_late} && ($unit->{phrase} // '') ne 'add columns';
		my @needed = ($unit, needed($unit, $plan->{units}));
		next if grep { !$_->{is_late} && !creates($_) } @needed;
		$is_first{ $_->{order} } = 1 foreach grep { !$_->{is_late} } @needed;
	}
	my @first = grep { $is_first{ $_->{order} } } @{ $plan->{main} };
	@{ $plan->{main} } = grep { !$is_first{ $_->{order} } } @{ $plan->{main} };
	return @first;
}

# The parts before a part that make what it uses, and what these use.
sub needed
{
	my ($unit, $units) = @_;
	my %needed;
	my @users = ($unit);
	while (my $user = shift @users)
	{
		foreach my $maker (@$units)
		{
			next if $maker->{order} >= $user->{order} || $needed{ $maker->{order} };
			next if !$maker->{columns} && $maker->{does} ne 'free' || !depends_on($user, $maker);
			push @users, $needed{ $maker->{order} } = $maker;
		}
	}
	return map { $needed{$_} } sort { $a <=> $b } keys %needed;
}

# Whether a part only adds what no client at work can use yet.
sub creates
{
	my ($unit) = @_;
	return ($unit->{phrase} // '') =~ /^add (?:columns|functions|sequences|tables|types)$/;
}

# A step that takes its locks for a moment; none if there is nothing to do.
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
	my @fetched = grep { $catalog->{fetched}{$_} } distinct(map { $_->{columns} // () } @$units);
	my @explicit = map { $units->[$_] } grep { $is_explicit{$_} } 0 .. $#$units;
	my @rest = map { $units->[$_] } grep { !$is_explicit{$_} } 0 .. $#$units;
	return step(
		title     => title(@$units),
		barrier   => scalar @fetched,
		parts     => \@explicit,
		rest      => [ distinct(map { $_->{statement} } @rest) ],
		notes     => [ map { why($_) } grep { $_->{does} eq 'undecided' } @rest ],
		locks     => merge_locks(map { $_->{locks} } @$units),
		undecided => [
			(map { "the fetch barrier is for procrastinate_jobs only, not for $_" }
			grep { $_ ne 'procrastinate_jobs' } @fetched),
			(map { "the fetch barrier cannot be put into $_" }
			map { @{ $catalog->{no_barrier}{$_} // [] } } @fetched)
		]);
}

# Why a part is undecided, with its line in the migration's file.
sub why { my ($unit) = @_; return "line $unit->{line}: $unit->{why}" }

sub depends { my ($one, $other) = @_; return depends_on($one, $other) || depends_on($other, $one) }

# Whether a part names something that another creates, changes or drops.
sub depends_on
{
	my ($user, $maker) = @_;
	return scalar grep { $_ ne '' && $user->{sql} =~ /\b\Q$_\E\b/i } @{ $maker->{touches} };
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

# ---- The text ----------------------------------------------------------------------------------

sub text
{
	my ($revision, $statements, @steps) = @_;
	my $text = "-- Steps of $revision. ../README.md describes the format.\n";
	foreach my $step (@steps)
	{
		$text .= "\n";
		my $barrier = $step->{barrier} ? ', barrier' : '';
		$text .= "-- step $step->{kind}$barrier: $step->{title}\n";
		my @tables = sort {
			($BEFORE_OTHERS{$a} // 2) <=> ($BEFORE_OTHERS{$b} // 2) || $a cmp $b
		} keys %{ $step->{locks} };
		$text .= '-- lock ' . join(', ', map { "$_ $step->{locks}{$_}" } @tables) . "\n" if @tables;
		$text .= "-- undecided: $_\n" foreach @{ $step->{undecided} // [] };
		$text .= "$step->{sql}\n" if defined $step->{sql};
		foreach my $part (@{ $step->{parts} })
		{
			$text .= '-- undecided: ' . why($part) . "\n" if ($part->{does} // '') eq 'undecided';
			$text .= "$_\n" foreach @{ $part->{sqls} };
		}
		$text .= "-- undecided: $_\n" foreach @{ $step->{notes} // [] };
		$text .= "$step->{spelled}\n" if @{ $step->{rest} };
	}
	return $text;
}

1;
