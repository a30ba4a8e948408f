# Checks the steps of a revision against its migration, the facts, and the steps of later revisions:
# each statement runs once, tables are there before they are locked, and an index that a step builds
# is the one that the migration creates.

package StepChecks;

use strict;
use warnings;

use Sql;
use Table qw(fail);

# A statement that makes an object of these kinds cannot run twice.
my $ONCE = qr/^CREATE\s+(?:UNIQUE\s+)?(INDEX|TABLE|TYPE|SEQUENCE)\b/i;

# Checks a file that Steps has read: a hash of `path`, `migration`, `facts` and `steps`.
sub check
{
	my ($file) = @_;
	my @statements = @{ $file->{migration}{statements} };
	check_coverage($file, $_) foreach @statements;
	foreach my $rest (grep { defined } map { $_->{rest} } @{ $file->{steps} })
	{
		fail($file->{path}, $rest->{line}, 'runs no statement of the migration: remove it')
		  unless grep { takes($rest, $_) } @statements;
	}
	check_once($file, $_) foreach @statements;
	check_tables($file);
	check_index($file, $_) foreach grep { $_->{kind} eq 'concurrent' } @{ $file->{steps} };
	return;
}

# True if a step's rest runs a statement, as chain::Rest::takes() decides it.
sub takes
{
	my ($rest, $statement) = @_;
	return 0 unless $rest;
	my $is_listed = grep { index($statement->{text}, $_) == 0 } @{ $rest->{beginnings} };
	return $rest->{kind} eq 'only' ? $is_listed : !$is_listed;
}

# The name of the object that a statement creates, changes or drops; nothing if it has none.
sub object_of
{
	my ($text) = @_;
	my $kind =
	  qr/FUNCTION|PROCEDURE|TRIGGER|TABLE|TYPE|SEQUENCE|VIEW|RULE|DOMAIN|INDEX(?!\s+ON\b)/i;
	return $1 if $text =~ /^(?:CREATE|ALTER|DROP)\b[\w\s]*?\b$kind\s+
		(?:CONCURRENTLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?"?(\w+)/ix;
	return $1 if $text =~ /^CREATE\s+(?:UNIQUE\s+)?INDEX\s+ON\s+(?:ONLY\s+)?"?(\w+)/i;
	return $1 if $text =~ /^(?:UPDATE|DELETE\s+FROM|INSERT\s+INTO)\s+(?:ONLY\s+)?"?(\w+)/i;
	return;
}

# The statements that the steps have themselves, in their order.
sub own_statements
{
	my ($file) = @_;
	return map { @{ $_->{statements} } } @{ $file->{steps} };
}

sub place_of
{
	my ($file, $statement) = @_;
	return "line $statement->{line} of $file->{migration}{name}";
}

# Each statement of the migration runs once: in one step's rest, or in another way, by a statement
# of a step that begins with the same word and names the same object. An index may come by a new
# name. Locks are taken by "-- lock".
sub check_coverage
{
	my ($file, $statement) = @_;
	my ($first, @others) = grep { takes($_->{rest}, $statement) } @{ $file->{steps} };
	my $place = place_of($file, $statement);
	fail($file->{path}, $others[0]{rest}{line},
		"runs $place, which the rest in line $first->{rest}{line} runs: leave it out of one")
	  if @others;
	return if $first or $statement->{text} =~ /^LOCK\b/i;
	my ($word) = $statement->{text} =~ /^(\w+)/;
	$word .= '|ALTER' if $statement->{text} =~ /^CREATE\s+(?:UNIQUE\s+)?INDEX\b/i;
	my $object = object_of($statement->{outer}) // '';
	fail($file->{path}, 1,
		"no step runs $place: add it to a rest, or write a step that does the same")
	  unless grep { $_->{text} =~ /^(?:$word)\b/i and $_->{outer} =~ /\b\Q$object\E\b/i }
	  own_statements($file);
	return;
}

# What a rest creates, no step creates by a statement of its own. Rows that a batched step changes,
# no rest changes.
sub check_once
{
	my ($file, $statement) = @_;
	my ($step) = grep { takes($_->{rest}, $statement) } @{ $file->{steps} } or return;
	my $object = lc(object_of($statement->{outer}) // '');
	fail($file->{path}, $step->{rest}{line},
		'runs ' . place_of($file, $statement)
		  . ", but a batched step changes rows of $object too: leave it out")
	  if $statement->{text} =~ /^(?:UPDATE|DELETE|INSERT)\b/i
	  and grep { $_->{kind} eq 'batched' and $_->{table} eq $object } @{ $file->{steps} };
	my ($kind) = $statement->{text} =~ $ONCE or return;
	my @made = map { lc final_name($file, object_of($_->{outer}) // '') }
	  grep { $_->{text} =~ $ONCE and uc $1 eq uc $kind } own_statements($file);
	fail($file->{path}, $step->{rest}{line},
		'runs ' . place_of($file, $statement) . ", but a step creates $object too: leave it out")
	  if grep { $_ eq $object } @made;
	return;
}

# A table that the revision before does not have is there from the step on that creates it.
sub check_tables
{
	my ($file) = @_;
	my $before = $file->{migration}{number} - 1;
	my %is_there = map { $_->{name} => 1 }
	  grep { $_->{kind} eq 'table' and $_->{first} <= $before and $before <= $_->{last} }
	  @{ $file->{facts} };
	foreach my $step (@{ $file->{steps} })
	{
		my @locked = map { $_->{table} } grep { !$_->{may_be_gone} } @{ $step->{locks} // [] };
		foreach my $table (@locked, $step->{table} // ())
		{
			fail($file->{path}, $step->{line}, "uses table $table, which no step before creates")
			  unless $is_there{$table};
		}
		my @run = grep { takes($step->{rest}, $_) } @{ $file->{migration}{statements} };
		$is_there{ object_of($_->{outer}) } = 1
		  foreach grep { $_->{text} =~ /^CREATE\s+TABLE\b/i } @{ $step->{statements} }, @run;
	}
	return;
}

# The name that an index has after all steps: ALTER may rename it.
sub final_name
{
	my ($file, $name) = @_;
	foreach my $statement (own_statements($file))
	{
		$name = $1
		  if $statement->{outer} =~ /^ALTER\s+INDEX\s+\Q$name\E\s+RENAME\s+TO\s+(\w+)/i
		  or $statement->{outer} =~ /\bCONSTRAINT\s+(\w+)\s+UNIQUE\s+USING\s+INDEX\s+\Q$name\E\b/i;
	}
	return $name;
}

# An index that a concurrent step builds has a name that is free, and is the index that the
# migration creates.
sub check_index
{
	my ($file, $step) = @_;
	my ($statement) = @{ $step->{statements} };
	my ($index, $before) = ($step->{index}, $file->{migration}{number} - 1);
	fail($file->{path}, $statement->{line},
		sprintf 'index %s is there at %04d: build it under another name, then rename it', $index,
		$before)
	  if grep {
		      $_->{kind} eq 'index'
		  and $_->{name} eq $index
		  and $_->{first} <= $before
		  and $before <= $_->{last}
	  } @{ $file->{facts} };
	my $name = final_name($file, $index);
	my $built = definition($statement);
	foreach my $other (@{ $file->{migration}{statements} })
	{
		my $wanted = definition($other, $name) or next;
		fail($file->{path}, $statement->{line},
			'not the index of ' . place_of($file, $other) . ", which is $wanted")
		  if $built ne $wanted;
	}
	return;
}

# What a statement indexes, in one spelling; nothing if it makes no index, or not that of the name.
sub definition
{
	my ($statement, $name) = @_;
	my ($unique, $made, $rest);
	if ($statement->{outer} =~ /^CREATE\s+(UNIQUE\s+)?INDEX\b/i)
	{
		$unique = defined $1;
		($made, $rest) = $statement->{outer} =~ /INDEX\s+(?:CONCURRENTLY\s+)?
			(?:IF\s+NOT\s+EXISTS\s+)?"?(\w+)"?\s+ON\s+(?:ONLY\s+)?(.*)/isx;
	}
	elsif ($statement->{outer} =~ /^ALTER\s+TABLE\s+(?:ONLY\s+)?(\w+)\b.*?
		\bCONSTRAINT\s+(\w+)\s+UNIQUE\s*(\([^()]*\)(?:\s*INCLUDE\s*\([^()]*\))?)/isx)
	{
		($unique, $made, $rest) = (1, $2, "$1 $3");
	}
	return if not defined $made or defined $name and lc $made ne lc $name;
	my @words = map { $_->{kind} eq 'word' ? lc $_->{text} : $_->{text} }
	  grep { $_->{kind} ne 'blank' } Sql::tokens($rest);
	my $text = join ' ', $unique ? 'a unique index on' : 'an index on', @words;
	return $text =~ s/ operator \( pg_catalog \. (\S+) \)/ $1/gr;
}

# An index that is built on the way to a later revision is one that a step of that revision builds.
# Takes the steps by revision.
sub check_ahead
{
	my ($folder, $steps) = @_;
	foreach my $revision (sort keys %$steps)
	{
		foreach my $step (grep { $_->{'ahead of'} } @{ $steps->{$revision} })
		{
			my $later = sprintf '%04d', $step->{'ahead of'};
			my ($same) = grep { ($_->{index} // '') eq $step->{index} } @{ $steps->{$later} // [] };
			fail("$folder/$revision.sql", $step->{line},
				"ahead of $later, where no step builds index $step->{index}")
			  unless $same;
			my ($built, $wanted) = map { definition($_->{statements}[0]) } $step, $same;
			fail("$folder/$revision.sql", $step->{statements}[0]{line},
				"not the index that a step of $later builds, which is $wanted")
			  if $built ne $wanted;
		}
	}
	return;
}

1;
