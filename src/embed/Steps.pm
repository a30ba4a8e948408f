# Reads and checks the step files in migrations/online: a mistake there would be found only in
# production. The library gets typed steps and parses none of this.

package Steps;

use strict;
use warnings;

use LockModes qw(@LOCK_MODES);
use Sql;
use StepChecks;
use Table qw(fail lines_of parsed);

# The steps of a file, in order, as hashes. A step has `line`, `kind`, `title`, `sql` and its
# `statements`. It may have `table` (whose rows it changes, or which gets its index), `index`,
# `barrier`, `rewrites`, `ahead of`, `locks` (hashes of `table`, `mode` and `may_be_gone`) and
# `rest` (a hash of `kind`, `beginnings` and `line`).
sub read_steps
{
	my ($path, $migration, $chain, $facts) = @_;
	my @lines = lines_of($path);
	my $file  = {
		path      => $path,
		migration => $migration,
		head      => $chain->[-1]{number},
		facts     => $facts,
		tables    => tables_at($migration, $facts, @lines),
		steps     => []
	};
	my ($number, $is_in_comment) = (0, 0);
	foreach my $line (@lines)
	{
		$number++;
		my ($keyword, $words) = keyword($path, $number, $line);
		if (defined $keyword)
		{
			add_step($file, $number, $words) if $keyword eq 'step';
			add_locks($file, $number, $words) if $keyword eq 'lock';
			add_rest($file, $number, $words) if $keyword eq 'rest';
			$is_in_comment = 0;
			next;
		}
		my ($word) = $line =~ /^-- ([a-z]+)\b/;
		fail($path, $number, "unknown keyword: $word")
		  if @{ $file->{steps} } and defined $word and not $is_in_comment;
		# A comment that begins with a capital letter may go on over lines.
		$is_in_comment = $line =~ /^--/ && ($is_in_comment || !defined $word);
		add_text($file, $number, $line);
	}
	fail($path, 1, 'has no step') unless @{ $file->{steps} };
	end_step($file);
	my $last = $file->{steps}[-1];
	fail($path, $last->{line},
		'the last step completes the revision: it cannot be ahead of another')
	  if $last->{'ahead of'};
	StepChecks::check($file);
	return @{ $file->{steps} };
}

# The keyword of a line, and what follows it; nothing for another line. A line that almost has one
# is refused wherever it stands: it would be a comment, and the step would miss what it says.
sub keyword
{
	my ($path, $line, $text) = @_;
	my ($word) = $text =~ /^\s*--\s*(step|lock|rest|undecided)\b/i;
	return check_comment($path, $line, $text) unless defined $word;
	fail($path, $line, 'is undecided: decide, then remove this line') if lc $word eq 'undecided';
	my $known = lc $word;
	my ($words) = $text =~ /^-- $known(?= |\z)(.*)$/;
	fail($path, $line,
		"looks like a keyword, which is spelled \"-- $known\" at the beginning of a line: spell it"
		  . ' so, or begin the comment with another word')
	  unless defined $words;
	fail($path, $line, 'ends with a blank: remove it') if $text =~ /\s$/;
	return ($known, $words);
}

# Refuses a comment that may be a misspelled keyword, or the end of a line that was broken.
sub check_comment
{
	my ($path, $line, $text) = @_;
	my ($word) = $text =~ /^\s*--\s*((?i:locks|rests)|steps|brief|batched|concurrent|validated|
		barrier|rewrites|ahead)\b/x;
	fail($path, $line, "begins with $word, as a line of a step may: begin it with another word")
	  if defined $word;
	return;
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
	my ($file, $line, $table) = @_;
	fail($file->{path}, $line, "no fact has a table $table at this revision or the one before")
	  unless $file->{tables}{$table};
	return;
}

# "-- step <kind>[ <table>][, barrier][, rewrites][, ahead of <revision>]: <title>"
sub add_step
{
	my ($file, $line, $words) = @_;
	my $path = $file->{path};
	end_step($file) if @{ $file->{steps} };
	my ($kind, $table, $options, $title) = $words =~ /^ (\w+)(?: (\w+))?((?:, [^:,]+)*): (\S.*)$/
	  or fail($path, $line, 'a step needs a kind and a title: -- step brief: change the index');
	fail($path, $line, "unknown kind of step: $kind")
	  unless $kind =~ /^(?:brief|batched|concurrent|validated)$/;
	fail($path, $line, 'a batched step names its table, and no other step does')
	  if ($kind eq 'batched') != defined $table;
	check_table($file, $line, $table) if defined $table;
	my %step = (kind => $kind, line => $line, title => $title, table => $table, sql => '');
	my %kind_of = (barrier => 'brief', rewrites => 'batched', 'ahead of' => 'concurrent');
	foreach my $option (split /, /, $options =~ s/^, //r)
	{
		my ($word, $revision) = $option =~ /^(ahead of) (.*)$/ ? ($1, $2) : ($option, 1);
		fail($path, $line, "unknown keyword: $option") unless $kind_of{$word};
		fail($path, $line, "only a $kind_of{$word} step can have: $word")
		  unless $kind eq $kind_of{$word};
		fail($path, $line, "$word twice: remove one") if $step{$word};
		check_ahead($file, $line, $revision) if $word eq 'ahead of';
		$step{$word} = $revision + 0;
	}
	push @{ $file->{steps} }, \%step;
	return;
}

sub check_ahead
{
	my ($file, $line, $revision) = @_;
	fail($file->{path}, $line, "ahead of no revision: $revision") unless $revision =~ /^\d{4}$/;
	fail($file->{path}, $line, "ahead of $revision, which is no later revision of the chain")
	  unless $revision > $file->{migration}{number} and $revision <= $file->{head};
	return;
}

# The step that a line of the file belongs to.
sub step_at
{
	my ($file, $line, $keyword) = @_;
	fail($file->{path}, $line, "-- $keyword outside of a step") unless @{ $file->{steps} };
	return $file->{steps}[-1];
}

# "-- lock <table> <mode>[ if there], ..."
sub add_locks
{
	my ($file, $line, $words) = @_;
	my $path = $file->{path};
	my $step = step_at($file, $line, 'lock');
	fail($path, $line, 'a second lock in a step: name all tables in one line') if $step->{locks};
	fail($path, $line, 'a lock after statements or rest: move it up to its step')
	  if $step->{has_statement} or $step->{rest};
	fail($path, $line, "a $step->{kind} step takes the locks of its kind")
	  if $step->{kind} =~ /^(?:batched|concurrent)$/;
	fail($path, $line, 'names no table: name one and a lock mode') if $words eq '';
	fail($path, $line, 'ends with a comma: remove it') if $words =~ /,$/;
	foreach my $lock (split /,/, $words, -1)
	{
		my ($table, $mode, $may_be_gone) = $lock =~ /^ (\w+) ([A-Z ]+?)( if there)?$/;
		fail($path, $line, "not a table and a lock mode:$lock") unless defined $mode;
		fail($path, $line, "unknown lock mode: $mode") unless grep { $_ eq $mode } @LOCK_MODES;
		check_table($file, $line, $table);
		fail($path, $line, "locks $table twice: name the stronger mode only")
		  if grep { $_->{table} eq $table } @{ $step->{locks} };
		push @{ $step->{locks} },
		  { table => $table, mode => $mode, may_be_gone => defined $may_be_gone };
	}
	@$step{qw(sql sql_line)} = ('', undef);
	return;
}

# "-- rest[ without <beginning of statement>, ...| only <beginning of statement>, ...]"
sub add_rest
{
	my ($file, $line, $words) = @_;
	my $path = $file->{path};
	my $step = step_at($file, $line, 'rest');
	fail($path, $line, 'a second rest in a step: write one list') if $step->{rest};
	$step->{rest} = { kind => 'without', beginnings => [], line => $line };
	return if $words eq '';
	fail($path, $line, 'ends with a comma: remove it') if $words =~ /,$/;
	my ($kind, $list) = $words =~ /^ (without|only) (\S.*)$/
	  or fail($path, $line, "unknown keyword:$words");
	$step->{rest}{kind} = $kind;
	foreach my $beginning (split /, /, $list, -1)
	{
		fail($path, $line, 'has two commas without a beginning of a statement: remove one')
		  if $beginning eq '';
		fail($path, $line, "names a beginning twice: $beginning")
		  if grep { $_ eq $beginning } @{ $step->{rest}{beginnings} };
		fail($path, $line, "no statement of the migration begins with: $beginning")
		  unless grep { index($_->{text}, $beginning) == 0 } @{ $file->{migration}{statements} };
		push @{ $step->{rest}{beginnings} }, $beginning;
	}
	return;
}

# A line that has no keyword. The SQL of a step is what its file has between the keywords, with
# comments.
sub add_text
{
	my ($file, $line, $text) = @_;
	my $path         = $file->{path};
	my ($step)       = $file->{steps}[-1];
	my $is_statement = $text =~ /\S/ && $text !~ /^--/;
	fail($path, $line, 'a statement outside of a step') if $is_statement and not $step;
	fail($path, $line, 'a statement outside of a step, after its rest')
	  if $is_statement and $step->{rest};
	return if not $step or $step->{rest};
	$step->{has_statement} ||= $is_statement;
	$step->{sql} .= "$text\n";
	$step->{sql_line} //= $line;
	return;
}

# Checks the last step, once all of it has been read.
sub end_step
{
	my ($file) = @_;
	my ($path, $step) = ($file->{path}, $file->{steps}[-1]);
	my ($line, $kind) = @$step{qw(line kind)};
	my @statements =
	  parsed($path, $step->{sql_line} // $line, sub { Sql::statements($step->{sql}) });
	fail($path, $line, 'the step does nothing') unless @statements or $step->{rest};
	fail($path, $line, 'the last statement of the step has no end')
	  if @statements and $statements[-1]{is_open};
	$_->{line} += $step->{sql_line} - 1 foreach @statements;
	$step->{statements} = \@statements;
	foreach my $statement (@statements)
	{
		my $why = Sql::refusal($statement, may_be_concurrent => $kind eq 'concurrent') or next;
		fail($path, $statement->{line}, $why);
	}
	check_concurrent($file, $step) if $kind eq 'concurrent';
	check_batched($file, $step)    if $kind eq 'batched';
	return;
}

sub check_concurrent
{
	my ($file, $step) = @_;
	my @statements = @{ $step->{statements} };
	fail($file->{path}, $step->{line},
		'a concurrent step is one CREATE INDEX CONCURRENTLY name ON table')
	  unless @statements == 1
	  and not $step->{rest}
	  and $statements[0]{text} =~ /^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)\s+ON (\w+) /;
	@$step{qw(index table)} = ($1, $2);
	check_table($file, $statements[0]{line}, $step->{table});
	return;
}

sub check_batched
{
	my ($file, $step) = @_;
	my @statements = @{ $step->{statements} };
	my ($not_less, $not_greater) = map { qr/(?:$_|OPERATOR\(pg_catalog\.$_\))/ } qw(>= <=);
	my $object = @statements ? StepChecks::object_of($statements[0]{outer}) : undef;
	fail($file->{path}, $statements[0]{line},
		"changes rows of $object, but the step is batched $step->{table}")
	  if defined $object and $object ne $step->{table};
	fail($file->{path}, $step->{line},
		'a batched step is one statement over ids with id >= $1 and id <= $2')
	  unless @statements == 1
	  and not $step->{rest}
	  and $statements[0]{outer} =~ /\bid\s*$not_less\s*\$1\b/
	  and $statements[0]{outer} =~ /\bid\s*$not_greater\s*\$2\b/;
	# The library counts the rows that a batch left unchanged, by the same condition.
	fail($file->{path}, $statements[0]{line},
		'the statement of a batched step has one WHERE, in upper case, which begins a line')
	  unless 1 == (() = $statements[0]{text} =~ /^WHERE /mg)
	  and $statements[0]{outer} =~ /^WHERE /m;
	return;
}

1;
