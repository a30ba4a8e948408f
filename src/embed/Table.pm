# Reads the tables in src/data: a row a line, fields between tabs, lines with # at the top.

package Table;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(fail files_of lines_of parsed rows_of why_not_embedded);

# Stops the build, with the place of the mistake.
sub fail
{
	my ($path, $line, $message) = @_;
	print STDERR "$path:$line: $message\n";
	exit 1;
}

# Returns what a function of Sql returns. Stops the build if it dies with "line N: ...". $line is
# the line of the file in which the text begins.
sub parsed
{
	my ($path, $line, $parse) = @_;
	my @result = eval { $parse->() };
	return @result unless $@;
	my ($number, $message) = $@ =~ /^line (\d+): (.*)$/ or die $@;
	fail($path, $line + $number - 1, $message);
}

# The paths of the files in a folder, in the order of their names, without those that are hidden or
# listed in `others`. Each other name must match the pattern; `rule` tells it to users. A file that
# the build left out would be missed by nobody.
sub files_of
{
	my ($folder, $pattern, $rule, @others) = @_;
	opendir(my $handle, $folder) or fail($folder, 0, "cannot be read: $!");
	my @names = sort grep { !/^\./ } readdir $handle;
	closedir $handle;
	my @paths;
	foreach my $name (@names)
	{
		next if grep { $_ eq $name } @others;
		fail("$folder/$name", 1, "unexpected name: rename the file to $rule, or remove it")
		  unless $name =~ $pattern;
		push @paths, "$folder/$name";
	}
	return @paths;
}

# Why a line cannot stand in a C++ raw string literal; nothing if it can.
sub why_not_embedded
{
	my ($line) = @_;
	return 'holds )sql", which ends a raw string literal' if $line =~ /\)sql"/;
	my ($character) = $line =~ /(\xef\xbb\xbf|[^\t -~])/ or return;
	my %names = ("\r" => 'a carriage return', "\xef\xbb\xbf" => 'a byte order mark');
	my $name = $names{$character} // sprintf 'byte 0x%02x', ord $character;
	return "holds $name: only printable ASCII and tabs can be embedded";
}

# The lines of a file without their ends.
sub lines_of
{
	my ($path) = @_;
	open(my $file, '<:raw', $path) or fail($path, 0, "cannot be read: $!");
	my @lines = <$file>;
	close $file;
	my $number = 0;
	foreach my $line (@lines)
	{
		$number++;
		$line =~ s/\n\z// or fail($path, $number, 'the last line has no end');
		my $why = why_not_embedded($line);
		fail($path, $number, $why) if defined $why;
	}
	return @lines;
}

# The rows of a table as hashes by column, with their place in `file` and `line`. The heading must
# name exactly these columns. Those that end in ? may be missing, and are then empty.
sub rows_of
{
	my ($path, @columns) = @_;
	my ($number, $has_heading, @rows) = (0, 0);
	my @needed = grep { !/\?$/ } @columns;
	s/\?$// foreach @columns;
	foreach my $line (lines_of($path))
	{
		$number++;
		next if not $has_heading and $line =~ /^#/;
		if (not $has_heading)
		{
			grep { $line eq join "\t", @$_ } \@columns, \@needed
			  or fail($path, $number, "the heading must be: @needed");
			$has_heading = 1;
			next;
		}
		my @fields = split /\t/, $line, -1;
		fail($path, $number, 'has ' . @fields . ' fields instead of ' . @needed)
		  if @fields < @needed or @fields > @columns;
		my %row = (file => $path, line => $number);
		@row{@columns} = map { defined $_ ? $_ : '' } @fields[ 0 .. $#columns ];
		my ($padded) = grep { $row{$_} =~ /^ | $/ } @columns;
		fail($path, $number, "$padded begins or ends with a blank: remove it") if defined $padded;
		push @rows, \%row;
	}
	$has_heading or fail($path, 1, 'has no heading');
	return @rows;
}

1;
