# Checks the step files in migrations/online: a mistake there would be found only in production.
# chain::parse_steps reads the same format at run time.

package Steps;

use strict;
use warnings;

use LockModes qw(@LOCK_MODES);
use Sql;
use Table qw(fail lines_of parsed);

# The text of a step file after its checks.
sub read_steps
{
	my ($path, $migration, $chain, $facts) = @_;
	my @lines = lines_of($path);
	my $steps = {
		path      => $path,
		migration => $migration,
		head      => $chain->[-1]{number},
		tables    => tables_at($migration, $facts, @lines)
	};
	my ($step, $number, $is_in_comment) = (undef, 0, 0);
	foreach my $line (@lines, undef)
	{
		$number++;
		if (not defined $line or $line =~ /^-- step\b/)
		{
			end_step($steps, $step) if $step;
			$step = begin_step($steps, $number, $line) if defined $line;
			$is_in_comment = 0;
			next;
		}
		fail($path, $number, 'is undecided: decide, then remove this line')
		  if $line =~ /^-- undecided\b/;
		my ($word, $words) = $line =~ /^-- ([a-z]+)\b(.*)$/;
		if (not $step)
		{
			fail($path, $number, 'a statement outside of a step')
			  if $line =~ /\S/ and $line !~ /^--/;
			fail($path, $number, "-- $word outside of a step")
			  if not $is_in_comment and defined $word and $word =~ /^(?:lock|rest)$/;
		}
		elsif (defined $word and not $is_in_comment)
		{
			if    ($word eq 'lock') { add_locks($steps, $step, $number, $words) }
			elsif ($word eq 'rest') { add_rest($steps, $step, $number, $words) }
			else                    { fail($path, $number, "unknown keyword: $word") }
		}
		elsif ($line =~ /\S/ and $line !~ /^--/)
		{
			fail($path, $number, 'a statement outside of a step, after its rest') if $step->{rest};
			$step->{sql} .= "$line\n";
			$step->{sql_line} //= $number;
		}
		elsif ($step->{sql} ne '')
		{
			# The lines keep their numbers.
			$step->{sql} .= "\n";
		}
		# A comment that begins with a capital letter may go on over lines.
		$is_in_comment = $line =~ /^--/ && ($is_in_comment || !defined $word);
	}
	fail($path, 1, 'has no step') unless $step;
	return join '', map { "$_\n" } @lines;
}

# Tables that the revision or the one before has, or that the step file itself creates.
sub tables_at
{
	my ($migration, $facts, @lines) = @_;
	my $number = $migration->{number};
	my %tables = map { ($_->{name} => 1) }
	  grep { $_->{kind} eq 'table' and $_->{first} <= $number and $number <= $_->{last} + 1 }
	  @$facts;
	foreach my $line (@lines)
	{
		$tables{$1} = 1 if $line =~ /^\s*CREATE TABLE (?:IF NOT EXISTS )?(\w+)/;
	}
	return \%tables;
}

sub check_table
{
	my ($steps, $line, $table) = @_;
	fail($steps->{path}, $line, "no fact has a table $table at this revision or the one before")
	  unless $steps->{tables}{$table};
	return;
}

# "-- step <kind>[ <table>][, barrier][, rewrites][, ahead of <revision>]: <title>"
sub begin_step
{
	my ($steps, $line, $text) = @_;
	my $path = $steps->{path};
	my ($kind, $table, $options) = $text =~ /^-- step (\w+)(?: (\w+))?((?:, [^:,]+)*): \S/
	  or fail($path, $line, 'a step needs a kind and a title: -- step brief: change the index');
	fail($path, $line, "unknown kind of step: $kind")
	  unless $kind =~ /^(?:brief|batched|concurrent|validated)$/;
	fail($path, $line, 'a batched step names its table, and no other step does')
	  if ($kind eq 'batched') != defined $table;
	check_table($steps, $line, $table) if defined $table;
	my %step = (kind => $kind, line => $line, sql => '');
	foreach my $option (split /, /, $options =~ s/^, //r)
	{
		if ($option =~ /^ahead of (.*)$/)
		{
			my $revision = $1;
			fail($path, $line, "ahead of no revision: $revision") unless $revision =~ /^\d{4}$/;
			fail($path, $line, "ahead of $revision, which is no later revision of the chain")
			  unless $revision > $steps->{migration}{number} and $revision <= $steps->{head};
			fail($path, $line, 'only a concurrent step can be ahead') unless $kind eq 'concurrent';
		}
		elsif ($option eq 'barrier')
		{
			fail($path, $line, 'only a brief step has a barrier') unless $kind eq 'brief';
		}
		elsif ($option eq 'rewrites')
		{
			fail($path, $line, 'only a batched step rewrites rows') unless $kind eq 'batched';
		}
		else
		{
			fail($path, $line, "unknown keyword: $option");
		}
	}
	return \%step;
}

# "-- lock <table> <mode>[ if there], ..."
sub add_locks
{
	my ($steps, $step, $line, $text) = @_;
	my $path = $steps->{path};
	fail($path, $line, 'a second lock in a step: name all tables in one line') if $step->{has_lock};
	fail($path, $line, 'a lock after statements or rest') if $step->{sql} ne '' or $step->{rest};
	fail($path, $line, "a $step->{kind} step takes the locks of its kind")
	  if $step->{kind} =~ /^(?:batched|concurrent)$/;
	$step->{has_lock} = 1;
	fail($path, $line, 'names no table') unless $text =~ /\S/;
	foreach my $lock (split /,/, $text)
	{
		my ($table, $mode) = $lock =~ /^ (\w+) ([A-Z ]+?)(?: if there)?$/;
		fail($path, $line, "not a table and a lock mode:$lock") unless defined $mode;
		fail($path, $line, "unknown lock mode: $mode") unless grep { $_ eq $mode } @LOCK_MODES;
		check_table($steps, $line, $table);
	}
	return;
}

# "-- rest[ without <beginning of statement>, ...| only <beginning of statement>, ...]"
sub add_rest
{
	my ($steps, $step, $line, $text) = @_;
	my $path = $steps->{path};
	fail($path, $line, 'a second rest in a step') if $step->{rest};
	$step->{rest} = 1;
	return if $text eq '';
	my ($list) = $text =~ /^ (?:without|only) (\S.*)$/
	  or fail($path, $line, "unknown keyword:$text");
	foreach my $beginning (split /, /, $list)
	{
		fail($path, $line, "no statement of the migration begins with: $beginning")
		  unless grep { index($_->{text}, $beginning) == 0 } @{ $steps->{migration}{statements} };
	}
	return;
}

sub end_step
{
	my ($steps, $step) = @_;
	my ($path, $line, $kind) = ($steps->{path}, $step->{line}, $step->{kind});
	my $begin = $step->{sql_line} // $line;
	my @statements = parsed($path, $begin, sub { Sql::statements($step->{sql}) });
	fail($path, $line, 'the step does nothing') unless @statements or $step->{rest};
	fail($path, $line, 'the last statement of the step has no end')
	  if @statements and $statements[-1]{is_open};
	if ($kind eq 'concurrent')
	{
		fail($path, $line, 'a concurrent step is one CREATE INDEX CONCURRENTLY name ON table')
		  unless @statements == 1
		  and not $step->{rest}
		  and $statements[0]{text} =~ /^CREATE (?:UNIQUE )?INDEX CONCURRENTLY \w+\s+ON (\w+) /;
		check_table($steps, $step->{sql_line}, $1);
	}
	fail($path, $line, 'a batched step is one statement over ids from $1 to $2')
	  if $kind eq 'batched'
	  and not(@statements == 1
		and not $step->{rest}
		and $statements[0]{text} =~ /\$1\b/
		and $statements[0]{text} =~ /\$2\b/);
	return;
}

1;
