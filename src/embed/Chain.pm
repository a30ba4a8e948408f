# Reads chain.tsv, releases.tsv and the SQL of the migrations, and checks that they agree.

package Chain;

use strict;
use warnings;

use Head;
use Sql;
use Table qw(fail files_of lines_of parsed rows_of);

sub text_of
{
	my ($path) = @_;
	return join '', map { "$_\n" } lines_of($path);
}

# True for a statement that may change rows, and so run their triggers.
sub writes_rows
{
	my ($statement) = @_;
	return $statement->{text} =~ /^(?:UPDATE|INSERT|DELETE|MERGE|TRUNCATE|COPY|WITH|DO)\b/i;
}

# The migrations, oldest first: the row of chain.tsv with `number`, `path`, `sql`, `statements` and
# `writes_rows`. A row may say in its last column, without_facts, why its revision changes no fact.
sub read_migrations
{
	my ($source) = @_;
	my $table = "$source/data/chain.tsv";
	my (@chain, %known);
	my @columns = qw(revision down_revision file title phase steps without_facts?);
	foreach my $row (rows_of($table, @columns))
	{
		my $before = @chain ? $chain[-1]{revision} : '';
		my $number = @chain + 1;
		fail($table, $row->{line}, 'the chain is not one line of revisions')
		  if $row->{revision} ne sprintf('%04d', $number) or $row->{down_revision} ne $before;
		fail($table, $row->{line}, "unknown phase: $row->{phase}")
		  unless $row->{phase} =~ /^(?:pre|post|)$/;
		my ($phase) = $row->{file} =~ /^[\d.]+_\d+_(pre|post)_/;
		$phase //= '';
		fail($table, $row->{line},
			"phase is '$row->{phase}', but the file's name says '$phase': make them the same")
		  if $row->{phase} ne $phase;
		fail($table, $row->{line}, 'has no title: write the words of the file name')
		  if $row->{title} eq '';
		check_steps($source, $table, $row);
		my $path = "$source/migrations/$row->{revision}_$row->{file}";
		fail($table, $row->{line}, "there is no file $path") unless -e $path;
		$known{$path} = 1;
		my $sql        = text_of($path);
		my @statements = parsed($path, 1, sub { Sql::statements($sql) });
		fail($path, 1, 'holds no statement') unless @statements;
		my ($open) = grep { $_->{is_open} } @statements;
		fail($path, $open->{line}, 'the statement has no end') if $open;
		foreach my $statement (@statements)
		{
			my $why = Sql::refusal($statement) or next;
			fail($path, $statement->{line}, $why);
		}
		my $writes = grep { writes_rows($_) } @statements;
		push @chain,
		  {
			%$row,
			number      => $number,
			path        => $path,
			name        => "$row->{revision}_$row->{file}",
			sql         => $sql,
			statements  => \@statements,
			writes_rows => $writes
		  };
	}
	fail($table, 1, 'has no revision') unless @chain;
	my @others = qw(README.md online);
	foreach my $path (files_of("$source/migrations", qr/^\d{4}_.*\.sql$/, 'NNNN_name.sql', @others))
	{
		fail($path, 1, 'chain.tsv has no row for this file') unless $known{$path};
	}
	return @chain;
}

# A step file that was removed or forgotten would be missed by nobody: the revision would be one
# step, with all of its locks at once.
sub check_steps
{
	my ($source, $table, $row) = @_;
	my $path = "$source/migrations/online/$row->{revision}.sql";
	fail($table, $row->{line}, "steps is yes or no, not: $row->{steps}")
	  unless $row->{steps} =~ /^(?:yes|no)$/;
	fail($table, $row->{line}, "there is no file $path, though steps is yes")
	  if $row->{steps} eq 'yes' and not -e $path;
	fail($table, $row->{line}, "there is a file $path, though steps is no")
	  if $row->{steps} eq 'no' and -e $path;
	return;
}

# A release's name as a text that sorts as the releases do; nothing if it is spelled otherwise.
sub release_key
{
	my ($release) = @_;
	return unless $release =~ /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}$/;
	return sprintf '%09d.%09d.%09d', split /\./, $release;
}

# The releases, oldest first, their revisions as numbers.
sub read_releases
{
	my ($source, $head) = @_;
	my $table = "$source/data/releases.tsv";
	my ($last, $last_key, @releases) = (0, '');
	foreach my $row (rows_of($table, qw(release head works_from works_to)))
	{
		my $key = release_key($row->{release})
		  or fail($table, $row->{line}, "no release: $row->{release}; spell it X.Y.Z");
		fail($table, $row->{line}, "release $row->{release} is there twice: remove one row")
		  if $key eq $last_key;
		fail($table, $row->{line},
			"release $row->{release} is older than the one before: sort the rows")
		  if $key lt $last_key;
		$last_key = $key;
		foreach my $column (qw(head works_from works_to))
		{
			fail($table, $row->{line}, "$column is no revision of the chain: $row->{$column}")
			  unless $row->{$column} =~ /^\d{4}$/
			  and $row->{$column} >= 1
			  and $row->{$column} <= $head;
		}
		fail($table, $row->{line}, 'its head is older than that of the release before')
		  if $row->{head} < $last;
		fail($table, $row->{line}, 'does not work on its own head')
		  if $row->{works_from} > $row->{head} or $row->{head} > $row->{works_to};
		$last = $row->{head};
		push @releases, $row;
	}
	return @releases;
}

# From 3.0 on, the name of a file begins with the release that ships it. So each such release has a
# row, and the head of a release is the last file up to its version.
sub check_heads
{
	my ($source, $chain, @releases) = @_;
	my $table = "$source/data/releases.tsv";
	my $named_by_release = release_key('3.0.0');
	my (%has_row, @files);
	foreach my $migration (@$chain)
	{
		my $version = join '.', map { $_ + 0 } split /\./, $migration->{file} =~ s/_.*//r;
		push @files, { %$migration, version => $version, key => release_key($version) };
	}
	foreach my $row (@releases)
	{
		my $key = release_key($row->{release});
		$has_row{$key} = 1;
		next if $key lt $named_by_release;
		my ($last) = grep { $_->{key} le $key } reverse @files;
		fail($table, $row->{line},
			"head of $row->{release} is $row->{head}, but its last file is $last->{name}")
		  if $row->{head} != $last->{number};
	}
	foreach my $file (grep { $_->{key} ge $named_by_release } @files)
	{
		fail($table, 1, "has no row for release $file->{version}, which ships $file->{name}")
		  unless $has_row{ $file->{key} };
	}
	return;
}

# A revision at which nothing begins or ends has no facts: it was added to the chain and forgotten
# in the tables, and a schema at it would be taken for the one before.
sub check_facts
{
	my ($chain, $facts, $bodies) = @_;
	my %changes;
	foreach my $fact (@$facts, @$bodies)
	{
		$changes{ $fact->{first} } = $changes{ $fact->{last} + 1 } = 1;
	}
	foreach my $migration (@$chain)
	{
		fail($migration->{path}, 1,
			"neither structure.tsv nor function_bodies.tsv changes at $migration->{revision}")
		  unless $changes{ $migration->{number} } or $migration->{without_facts} ne '';
		fail($migration->{path}, 1, 'without_facts in chain.tsv is undecided: say why there')
		  if $migration->{without_facts} eq 'undecided';
	}
	return;
}

# An object that a migration creates must be in the facts of its revision, unless the migration
# drops or renames it: the facts were not generated after the migration had been changed.
sub check_created
{
	my ($chain, $facts) = @_;
	my %names;
	foreach my $fact (@$facts)
	{
		my $kind = $fact->{kind} =~ /^(?:enum|composite)$/ ? 'type' : $fact->{kind};
		$names{"$kind $fact->{name} $_"} = 1 foreach $fact->{first} .. $fact->{last};
	}
	foreach my $migration (@$chain)
	{
		foreach my $statement (@{ $migration->{statements} })
		{
			my ($kind, $name) = $statement->{outer} =~ /^CREATE\s+
				(?:OR\s+REPLACE\s+|UNIQUE\s+|CONSTRAINT\s+)?
				(FUNCTION|TABLE|TYPE|INDEX|SEQUENCE|TRIGGER)\s+
				(?:IF\s+NOT\s+EXISTS\s+)?(?!ON\b)("[^"]+"|\w+)/ix
			  or next;
			$kind = lc $kind;
			$name = $name =~ /^"(.*)"$/ ? $1 : lc $name;
			next if $names{"$kind $name $migration->{number}"};
			next if grep { is_gone_by($_, $name) } @{ $migration->{statements} };
			fail($migration->{path}, $statement->{line},
				"creates $kind $name, which structure.tsv does not have at $migration->{revision}:"
				  . ' run make facts');
		}
	}
	return;
}

sub is_gone_by
{
	my ($statement, $name) = @_;
	return $statement->{outer} =~ /^(?:DROP|ALTER)\b.*\b\Q$name\E\b/is
	  && $statement->{outer} =~ /^DROP\b|\bRENAME\b/i;
}

# The text of head.sql, without its checksums. They must be those of the migrations, of the facts
# and of the text below.
sub read_head
{
	my ($source, $chain) = @_;
	my $path = "$source/data/head.sql";
	my ($revision, @lines) = map { "$_\n" } lines_of($path);
	my $head = $chain->[-1]{revision};
	fail($path, 1, "is not of revision $head, the last one of the chain: run make facts")
	  unless defined $revision and $revision eq Head::revision_line($head);
	my @sums = splice @lines, 0, @Head::SUMMED;
	fail($path, 2, 'has no checksums: run make facts')
	  if @Head::SUMMED != grep { /^-- Checksum of / } @sums;
	my $below    = join '', @lines;
	my @tables   = map { "$source/data/$_.tsv" } qw(structure function_bodies);
	my @expected = Head::sum_lines(
		Head::text_of_migrations(map { [ @$_{qw(name sql)} ] } @$chain),
		map({ text_of($_) } @tables), $below);
	my @is_same = map { $sums[$_] eq $expected[$_] } 0 .. $#sums;
	fail($path, 5, 'the text below was changed or cut after it had been generated: run make facts')
	  unless $is_same[3];
	fail($path, 2, 'the migrations were changed after this file had been generated: run make facts')
	  unless $is_same[0];
	foreach my $number (0, 1)
	{
		fail($tables[$number], 1, 'was changed after it had been generated: run make facts')
		  unless $is_same[ $number + 1 ];
	}
	return $revision . $below;
}

1;
