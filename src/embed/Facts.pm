# Reads structure.tsv and the hashes of function bodies, and takes each definition apart once: the
# library gets typed parts and parses no definition.

package Facts;

use strict;
use warnings;

use Sql;
use Table qw(fail parsed rows_of);

my $list = qr/(\((?:[^()']|'(?:[^']|'')*'|(?-1))*\))/;

# Each takes a definition and gives its parts, or nothing where it does not read so. The parts are
# those of chain::Definition; name and table are in each.
my %parts_of = (
	table => sub {
		my ($text) = @_;
		return $text =~ /^(\w+)$/ ? { name => $1 } : undef;
	},
	column => sub {
		my ($text) = @_;
		my $generated = qr/generated (?:always(?: as identity)?|by default as identity)/;
		$text =~ /^(\w+)\.(\w+) (.+?)( not null)?(?: default (.+?))?(?: ($generated))?$/ or return;
		return {
			table         => $1,
			name          => $2,
			type          => $3,
			is_not_null   => defined $4,
			default_value => $5,
			generated     => $6
		};
	},
	constraint => sub {
		my ($text) = @_;
		my %types = (
			'PRIMARY KEY' => 'primary_key',
			'UNIQUE'      => 'unique',
			'CHECK'       => 'check',
			'FOREIGN KEY' => 'foreign_key',
			'EXCLUDE'     => 'exclusion'
		);
		my $words = join '|', sort keys %types;
		$text =~ /^(\w+)\.(\w+) (($words)\b ?(.*))$/ or return;
		return {
			table           => $1,
			name            => $2,
			clause          => $3,
			constraint_type => "ConstraintType::$types{$4}",
			condition       => $4 eq 'CHECK' ? $5 : undef
		};
	},
	index => sub {
		my ($text) = @_;
		$text =~ /^(UNIQUE )?(\w+) ON ((\w+) USING \w+ $list(.*))$/ or return;
		my %parts = (is_unique => defined $1, name => $2, clause => $3, table => $4);
		my ($columns, $rest) = ($5, $6);
		$parts{columns}   = substr $columns, 1, -1;
		$parts{condition} = $1 if $rest =~ / WHERE (.*)$/;
		return \%parts;
	},
	enum => sub {
		my ($text) = @_;
		$text =~ /^(\w+) \((\w[^()']*)\)$/ or return;
		return { name => $1, labels => [ split /, /, $2 ] };
	},
	composite => sub {
		my ($text) = @_;
		return $text =~ /^(\w+) \(.*\)$/ ? { name => $1 } : undef;
	},
	sequence => sub {
		my ($text) = @_;
		$text =~ /^(\w+) (\w+)(?: owned by (\w+)\.(\w+))?$/ or return;
		return { name => $1, type => $2, table => $3, columns => $4 };
	},
	function => sub {
		my ($text) = @_;
		$text =~ /^((\w+)$list(?: returns .+?)?) language \w+.*$/ or return;
		my ($declaration, $name, $list) = ($1, $2, $3);
		my @arguments = arguments(substr $list, 1, -1);
		return {
			name        => $name,
			declaration => $declaration,
			signature   => "$name(" . join(', ', @arguments) . ')',
			key         => "$name(" . join(', ', types_of(@arguments)) . ')'
		};
	},
	trigger => sub {
		my ($text) = @_;
		$text =~ /^(\w+) (?:BEFORE|AFTER) .*? ON (\w+) / or return;
		return { name => $1, table => $2, key => "$2.$1" };
	});

# The arguments of a function without their defaults, as pg_get_function_identity_arguments() gives
# them.
sub arguments
{
	my ($list) = @_;
	return map { s/ (?:DEFAULT|=) .*//isr } Sql::items($list);
}

# The types of the arguments that a caller gives.
sub types_of
{
	my @arguments = @_;
	return map { s/^(?:IN|INOUT|VARIADIC) //ir =~ s/^\w+ //r } grep { !/^OUT /i } @arguments;
}

sub revision_of
{
	my ($row, $column, $head) = @_;
	my $text = $row->{$column};
	return $head if $column eq 'last' and $text eq '';
	fail($row->{file}, $row->{line}, "$column is no revision of the chain: $text")
	  unless $text =~ /^\d{4}$/ and $text >= 1 and $text <= $head;
	return $text + 0;
}

sub place
{
	my ($row, $head) = @_;
	my ($first, $last) = map { revision_of($row, $_, $head) } qw(first last);
	fail($row->{file}, $row->{line}, 'ends before it begins') if $last < $first;
	return (%$row, first => $first, last => $last);
}

# The facts of structure.tsv, typed. `last` is the head where the fact still holds.
sub read_structure
{
	my ($path, $head) = @_;
	my (@facts, %seen);
	foreach my $row (rows_of($path, qw(first last kind definition)))
	{
		my $parse = $parts_of{ $row->{kind} }
		  or fail($path, $row->{line}, "unknown kind: $row->{kind}");
		my ($parts) = parsed($path, $row->{line}, sub { $parse->($row->{definition}) });
		fail($path, $row->{line}, "a $row->{kind} is not defined so: $row->{definition}")
		  unless $parts;
		my %fact = (place($row, $head), %$parts);
		$fact{key} = ($fact{kind} =~ /^(?:column|constraint)$/ ? "$fact{table}." : '') . $fact{name}
		  unless defined $fact{key};
		foreach my $revision ($fact{first} .. $fact{last})
		{
			my $other = $seen{"$fact{kind} $fact{key} $revision"}++;
			fail($path, $row->{line}, "two facts of $fact{kind} $fact{key} hold at one revision")
			  if $other;
		}
		push @facts, \%fact;
	}
	return @facts;
}

# The hashes of function bodies: upstream's, then ours.
sub read_bodies
{
	my ($folder, $head, $facts) = @_;
	my (%revisions, %seen); # by the functions' signatures
	foreach my $fact (grep { $_->{kind} eq 'function' } @$facts)
	{
		$revisions{ $fact->{signature} }{$_} = 1 foreach $fact->{first} .. $fact->{last};
	}
	my @rows = (
		rows_of("$folder/upstream_bodies.tsv", qw(first last function md5 fails_before)),
		rows_of("$folder/function_bodies.tsv", qw(first last function md5 stripped_md5)));
	my @bodies;
	foreach my $row (@rows)
	{
		my %body = place($row, $head);
		$body{fails_before} = 0 unless defined $body{fails_before} and $body{fails_before} ne '';
		fail($body{file}, $body{line}, 'fails_before is no number')
		  unless $body{fails_before} =~ /^\d+$/;
		foreach my $hash (grep { defined } @body{qw(md5 stripped_md5)})
		{
			fail($body{file}, $body{line}, "no hash: $hash") unless $hash =~ /^[0-9a-f]{32}$/;
		}
		fail($body{file}, $body{line}, "structure.tsv has no function $body{function}")
		  unless $revisions{ $body{function} };
		end_with_function(\%body, $revisions{ $body{function} })
		  if $row->{file} =~ /upstream/ and $row->{last} eq '';
		check_body(\%body, $revisions{ $body{function} }, \%seen);
		push @bodies, \%body;
	}
	return @bodies;
}

# No program writes upstream's bodies: an empty `last` there is the last revision of the function.
sub end_with_function
{
	my ($body, $revisions) = @_;
	$body->{last} = $body->{first};
	$body->{last}++ while $revisions->{ $body->{last} + 1 };
	return;
}

# A body holds only while its function exists. One of ours is the only one at its revisions;
# upstream may have several.
sub check_body
{
	my ($body, $revisions, $seen) = @_;
	my ($file, $line, $function) = @$body{qw(file line function)};
	my ($what) = $file =~ m{([^/]*)$};
	$what .= " $function";
	$what .= " $body->{md5}" if $file =~ /upstream/;
	foreach my $revision ($body->{first} .. $body->{last})
	{
		my $name = sprintf '%04d', $revision;
		fail($file, $line,
			"structure.tsv has no function $function at $name: correct first and last")
		  unless $revisions->{$revision};
		fail($file, $line, "a second row of $function at $name: remove one")
		  if $seen->{"$what $revision"}++;
	}
	return;
}

1;
