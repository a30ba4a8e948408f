# Runs the generator embed.pl on a copy of src/ in which one thing is broken.

package Procrastinate::Test::Build;

use strict;
use warnings;

use Exporter 'import';
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Procrastinate::Test::Facts;
use Test::More;

our @EXPORT = qw(append copy_source copy_text edit generate refuses remove write_text);

my $source  = repository() . '/src';
my @folders = qw(data migrations migrations/online);
my $copy;

# Makes a new copy. The functions below change it, by names of files below src/.
sub copy_source
{
	$copy = tempdir(CLEANUP => 1);
	foreach my $folder (@folders)
	{
		make_path("$copy/$folder");
		copy($_, "$copy/$folder") or die "cannot copy $_: $!"
		  foreach glob "$source/$folder/*.{tsv,sql}";
	}
	return;
}

sub write_text
{
	my ($name, $text) = @_;
	open(my $file, '>', "$copy/$name") or die "cannot write $name: $!";
	print $file $text;
	close $file;
	return;
}

# Replaces the first match in a file of the copy.
sub edit
{
	my ($name, $pattern, $replacement) = @_;
	my $text = slurp("$copy/$name");
	$text =~ s/$pattern/$replacement/ or die "$name does not match $pattern";
	write_text($name, $text);
	return;
}

sub append
{
	my ($name, $text) = @_;
	write_text($name, slurp("$copy/$name") . $text);
	return;
}

sub remove
{
	my ($name) = @_;
	unlink "$copy/$name" or die "cannot remove $name: $!";
	return;
}

sub copy_text
{
	my ($name) = @_;
	return slurp("$copy/$name");
}

# The exit status of the generator and what it prints as an error.
sub generate
{
	my $errors = "$copy/errors";
	my $status = system("perl '$source/embed.pl' '$copy' > '$copy/embedded.inc' 2> '$errors'");
	return ($status >> 8, slurp($errors) =~ s/\Q$copy\E\///gr);
}

# One mistake: what breaks the copy, and the error with its file and line.
sub refuses
{
	my ($what, $break, $expected) = @_;
	copy_source();
	$break->();
	my ($status, $error) = generate();
	is($status, 1, "$what: stops the build");
	like($error, qr/^$expected\n\z/, "$what: says where");
	return;
}

1;
