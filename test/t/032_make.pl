# What `make` says where it cannot build: on an older server, with a compiler that does not know
# C++20, without the headers of Boost. One line each.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();

sub write_file
{
	my ($name, $text) = @_;
	append_to_file("$folder/$name", $text);
	chmod 0755, "$folder/$name";
	return "$folder/$name";
}

# make in an empty folder: its exit code, and what is on stderr.
sub make
{
	my (@arguments) = @_;
	my $build = PostgreSQL::Test::Utils::tempdir();
	my $makefile = repository() . '/Makefile';
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'make', '-s', '-C', $build, '-f', $makefile, @arguments ],
		'>' => \$out, '2>' => \$err);
	return ($? >> 8, $err);
}

my ($status, $error) = make('src/built_for');
is("$status $error", '0 ', 'this server, this compiler, these headers');

mkdir "$folder/$_" foreach qw(older include);
write_file('older/postgres.h', '');
my $pgxs = write_file('older/pgxs.mk', "MAJORVERSION = 14\nVERSION = 14.20\n");
my $older = write_file('older/pg_config', <<"SCRIPT");
#!/bin/sh
case \$1 in
    --pgxs) echo $pgxs ;;
    --includedir-server) echo $folder/older ;;
esac
SCRIPT
($status, $error) = make("PG_CONFIG=$older");
is($status, 2, 'an older server: make fails');
my $message = "PostgreSQL 15 or newer is needed, and $older is of 14.20";
like($error, qr/\A\S+:\d+: \*\*\* \Q$message\E\.  Stop\.\n\z/, 'with one line');

# The last -std counts.
my $cxx = write_file('cxx17', qq{#!/bin/sh\nexec g++ "\$@" -std=c++17\n});
($status, $error) = make("CXX=$cxx", 'src/built_for');
is($status, 2, 'a compiler without C++20: make fails');
$message = "$cxx does not compile C++20: use g++ 11 or clang 14 or newer";
like($error, qr/\A\Q$message\E\nmake: [^\n]*\n\z/, 'with one line, and its own');

PostgreSQL::Test::Utils::system_or_bail('mkdir', '-p', "$folder/include/boost/container/pmr");
write_file('include/boost/container/pmr/memory_resource.hpp', "#error\n");
$cxx = write_file('cxx', qq{#!/bin/sh\nexec g++ -I $folder/include "\$@"\n});
($status, $error) = make("CXX=$cxx", 'src/built_for');
is($status, 2, 'without the headers of Boost: make fails');
$message = 'no headers of Boost.Container: install them (Debian: libboost-dev)';
like($error, qr/\A\Q$message\E\nmake: [^\n]*\n\z/, 'with one line, and its own');

done_testing();
