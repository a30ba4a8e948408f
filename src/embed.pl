# embed.pl: turns the facts and the migrations into the C++ tables that chain/chain.cpp includes.
#
#     perl src/embed.pl src > src/embedded.inc
#
# Reads data/*.tsv, migrations/*.sql and migrations/online/*.sql below the folder that it is given.
# Prints FILE:LINE: MESSAGE and stops with status 1 at the first mistake: it would install a wrong
# schema and call it head. Needs no module beyond Perl's core.

use strict;
use warnings;

use lib $0 =~ s{[^/]*$}{embed}r;

use Chain;
use Facts;
use Functions;
use Labels;
use StepChecks;
use Steps;
use Table qw(fail files_of);

my ($source) = @ARGV;
die "usage: embed.pl FOLDER\n" unless @ARGV == 1 and -d "$source/data";

my @chain    = Chain::read_migrations($source);
my $head     = @chain;
my @releases = Chain::read_releases($source, $head);
my @facts    = Facts::read_structure("$source/data/structure.tsv", $head);
my @bodies   = Facts::read_bodies("$source/data", $head, \@facts);
Chain::check_facts(\@chain, \@facts, \@bodies);
Chain::check_created(\@chain, \@facts);
my @sources   = Functions::sources(\@chain, \@facts, \@bodies);
my @labels    = Labels::added(\@chain, \@facts);
my @changes   = Labels::changes(\@chain);
my $head_text = Chain::read_head($source, \@chain);
Chain::check_heads($source, \@chain, @releases);

my %steps;
foreach my $path (files_of("$source/migrations/online", qr/^\d{4}\.sql$/, 'NNNN.sql'))
{
	my ($revision) = $path =~ m{/(\d{4})\.sql$};
	my ($migration) = grep { $_->{revision} eq $revision } @chain;
	fail($path, 1, 'is named after no revision of the chain') unless $migration;
	$steps{$revision} = [ Steps::read_steps($path, $migration, \@chain, \@facts) ];
}
StepChecks::check_ahead("$source/migrations/online", \%steps);

# A C++ string literal; undefined is empty.
sub quoted
{
	my ($text) = @_;
	return '""' unless defined $text;
	return '"' . $text =~ s/([\\"])/\\$1/gr =~ s/\n/\\n/gr =~ s/\t/\\t/gr . '"';
}

sub raw
{
	my ($text) = @_;
	return "R\"sql($text)sql\"";
}

# One table: its element type, its name and its rows. C++ knows no empty array.
sub table
{
	my ($type, $name, @rows) = @_;
	my $size = @rows;
	print "inline constexpr std::array<$type, $size> $name\{\{\n";
	print map { "    {$_},\n" } @rows;
	print "}};\n";
	return;
}

# The parts of a definition that are not empty, in the order of chain::Definition.
sub definition
{
	my ($fact, $labels) = @_;
	my %kinds = (enum => 'enum_type');
	my @parts = ('.kind = Kind::' . ($kinds{ $fact->{kind} } // $fact->{kind}));
	push @parts, '.text = ' . quoted($fact->{definition});
	push @parts, ".$_ = " . quoted($fact->{$_})
	  foreach grep { defined $fact->{$_} and $fact->{$_} ne '' }
	  qw(key name table clause type default_value generated columns condition signature
	  declaration);
	push @parts, ".$_ = true" foreach grep { $fact->{$_} } qw(is_not_null is_unique);
	push @parts, ".constraint_type = $fact->{constraint_type}" if $fact->{constraint_type};
	push @parts, ".labels = $labels" if defined $labels;
	return join(', ', @parts);
}

# The name of an array with these elements, which it prints; an empty span if there are none.
my $arrays = 0;

sub array
{
	my ($type, @elements) = @_;
	return '{}' unless @elements;
	my $name = 'array_' . ++$arrays;
	print "inline constexpr $type ${name}[] = {", join(', ', @elements), "};\n";
	return $name;
}

# The parts of a step that are not empty, in the order of chain::WrittenStep.
sub step
{
	my ($migration, $step) = @_;
	my @parts = (".revision = $migration->{number}", ".kind = StepKind::$step->{kind}");
	push @parts, ".$_ = " . quoted($step->{$_})
	  foreach grep { defined $step->{$_} } qw(title table index);
	my @locks = map {
		my @fields = map { quoted($_) } @$_{qw(table mode)};
		'{' . join(', ', @fields, $_->{may_be_gone} ? 'true' : ()) . '}'
	} @{ $step->{locks} // [] };
	push @parts, '.locks = ' . array('StepLock', @locks) if @locks;
	push @parts, '.sql = ' . raw($step->{sql})           if $step->{sql} ne '';
	if (my $rest = $step->{rest})
	{
		my $beginnings = array('std::string_view', map { quoted($_) } @{ $rest->{beginnings} });
		push @parts, ".rest = {Rest::$rest->{kind}, $beginnings}";
	}
	push @parts, ".ahead_of = $step->{'ahead of'}" if $step->{'ahead of'};
	push @parts, '.has_barrier = true'             if $step->{barrier};
	push @parts, '.is_rewrite = true'              if $step->{rewrites};
	return join ', ', @parts;
}

sub step_table
{
	my @rows;
	foreach my $migration (@chain)
	{
		push @rows, map { step($migration, $_) } @{ $steps{ $migration->{revision} } // [] };
	}
	table('WrittenStep', 'step_table', @rows);
	return;
}

print "// Made by embed.pl from data/ and migrations/; do not edit.\n";
table(
	'Migration',
	'migration_table',
	map {
		join ', ', $_->{number}, map({ quoted($_) } @$_{qw(revision file title)}),
		  'Phase::' . ($_->{phase} || 'none'), ($_->{writes_rows} ? 'true' : 'false'),
		  raw($_->{sql})
	} @chain);
print "inline constexpr std::string_view head_text = ", raw($head_text), ";\n";
step_table();
table(
	'Release',
	'release_table',
	map {
		join ', ', quoted($_->{release}), map { $_ + 0 } @$_{qw(head works_from works_to)}
	} @releases);

my @rows;
foreach my $fact (@facts)
{
	my $labels;
	$labels = array('std::string_view', map { quoted($_) } @{ $fact->{labels} })
	  if $fact->{labels};
	push @rows, '{' . definition($fact, $labels) . "}, $fact->{first}, $fact->{last}";
}
table('Fact', 'fact_table', @rows);
table(
	'FunctionBody',
	'function_body_table',
	map {
		join ', ', @$_{qw(first last)},
		  map({ quoted($_) } @$_{qw(function md5 stripped_md5)}),
		  $_->{fails_before}
	} @bodies);
table(
	'FunctionSource',
	'function_source_table',
	map {
		join ', ', $_->{made_by}, quoted($_->{signature}), raw($_->{declaration}), raw($_->{body})
	} @sources);
table(
	'AddedLabel',
	'added_label_table',
	map {
		join ', ', map({ quoted($_) } @$_{qw(type label)}), @$_{qw(created_by added_by used_by)}
	} @labels);
table(
	'LabelChange',
	'label_change_table',
	map { join ', ', $_->{revision}, map { quoted($_) } @$_{qw(table column before after)} }
	  @changes);
close STDOUT or die "cannot write: $!\n";
