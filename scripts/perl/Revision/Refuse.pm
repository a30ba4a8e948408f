# What scripts/new-revision refuses in a migration: what the facts in src/data cannot express, so
# that the head would differ from the chain, or the library would not see the difference.

package Revision::Refuse;

use strict;
use warnings;

use Exporter 'import';

use Revision::Parts qw(identifier skip split_list top_level);
use Sql qw(refusal tokens);

our @EXPORT_OK = qw(why_refused);

# By how a statement begins; the first that fits counts. Undef: allowed.
my $NO_KIND = 'structure.tsv has no such objects';
my @KINDS = (
	[ qr/^CREATE (?:UNIQUE )?INDEX\b/ => undef ],
	[ qr/^CREATE TABLE\b/ => undef ],
	[ qr/^CREATE (?:TEMP|TEMPORARY|LOCAL|GLOBAL|UNLOGGED) (?:TEMP |TEMPORARY )?(TABLE)\b/ =>
		  'structure.tsv has permanent, logged tables only' ],
	[ qr/^CREATE (?:OR REPLACE )?FUNCTION\b/             => undef ],
	[ qr/^CREATE (?:OR REPLACE )?TRIGGER\b/ => undef ],
	[ qr/^CREATE (?:OR REPLACE )?CONSTRAINT TRIGGER\b/ => $NO_KIND ],
	[ qr/^CREATE TYPE \S+ AS (?:ENUM\b|\()/              => undef ],
	[ qr/^CREATE SEQUENCE\b/ =>
		  'structure.tsv says nothing of its options; let a column own it (serial, identity)' ],
	[ qr/^CREATE\b/                                                   => $NO_KIND ],
	[ qr/^ALTER (?:FUNCTION|ROUTINE)\b/ =>
		  'the library repairs a function by its last CREATE; write CREATE OR REPLACE FUNCTION' ],
	[ qr/^(?:ALTER|DROP) (?:TABLE|INDEX|FUNCTION|TRIGGER|TYPE|SEQUENCE|ROUTINE)\b/ => undef ],
	[ qr/^(?:ALTER|DROP)\b/                                           => $NO_KIND ],
	[ qr/^(?:GRANT|REVOKE)\b/           => 'head.sql has no privileges' ],
	[ qr/^SECURITY LABEL\b/             => 'head.sql has no security labels' ],
	[ qr/^IMPORT\b/                     => $NO_KIND ]);

# Actions of ALTER that the facts do not show.
my @ACTIONS = (
	[ qr/\bOWNER TO\b/         => 'an installation belongs to the role that migrates' ],
	[ qr/\bSET SCHEMA\b/       => 'the object would leave the schema of the installation' ],
	[ qr/\bSET TABLESPACE\b/   => 'head.sql has no tablespaces' ],
	[ qr/\b(?:ATTACH|DETACH) PARTITION\b|(?<!NO )\bINHERIT\b|\bNO INHERIT\b/ => $NO_KIND ],
	[ qr/\bROW LEVEL SECURITY\b/                      => $NO_KIND ],
	[ qr/\bSET (?:UN)?LOGGED\b/ => 'structure.tsv has permanent, logged tables only' ],
	[ qr/\bDEPENDS ON EXTENSION\b/                    => $NO_KIND ]);

# What structure.tsv does not show, but the library sees: it would call the head's own schema
# changed. By how the statement begins and what its scope contains; what it is called.
my $UNSEEN = 'the library sees it, but structure.tsv does not show it';
my $FUNCTION = qr/^CREATE (?:OR REPLACE )?FUNCTION\b/;
my $TABLE = qr/^(?:CREATE|ALTER) TABLE\b/;
my @UNSEEN = (
	[ $FUNCTION => qr/\b(RETURNS NULL ON NULL INPUT|STRICT|FROM CURRENT)\b/ ],
	[ qr/^CREATE (?:UNIQUE )?INDEX\b/ => qr/ WITH \(/, 'parameters of an index' ],
	[ qr/^ALTER INDEX\b/ => qr/ (?:SET|RESET) \(/, 'parameters of an index' ],
	[ $TABLE => qr/ WITH \(/, 'parameters of an index' ],
	[ $TABLE => qr/\bGENERATED ALWAYS AS \(/, 'a generated column' ],
	[ $TABLE => qr/\b(DISABLE TRIGGER|ENABLE REPLICA TRIGGER)\b/ ],
	[ qr/^(?:CREATE|ALTER) (?:TABLE|TYPE)\b/ => qr/\b(COLLATE)\b/ ]);

# Words before the name of an object.
my $BEFORE_NAME = qr/^(?:TABLE|INDEX|FUNCTION|ROUTINE|TRIGGER|TYPE|SEQUENCE|REFERENCES|INTO|UPDATE|
  JOIN|PROCEDURE|COLUMN|ONLY|EXISTS|CONCURRENTLY)$/x;

# why_refused(STATEMENT): why it cannot be added, or undef.
sub why_refused
{
	my ($statement) = @_;
	my @tokens = @{ $statement->{tokens} };
	my @words = map { uc $_->{text} } @tokens;
	my $head = join ' ', @words;
	return 'CONCURRENTLY: a migration runs in a transaction; remove the word and run again: this'
	  . ' script writes the steps'
	  if $head =~ /^(?:CREATE (?:UNIQUE )?|DROP )INDEX CONCURRENTLY\b/;
	my $cannot_run = refusal($statement);
	return $cannot_run if defined $cannot_run;
	my ($kind) = grep { $head =~ $_->[0] } @KINDS;
	return beginning(@words) . ": $kind->[1]" if $kind && defined $kind->[1];
	if ($head =~ /^ALTER\b/)
	{
		my ($action) = grep { $head =~ $_->[0] } @ACTIONS;
		return beginning(@words) . ": $action->[1]" if $action;
	}
	if ($head =~ /^CREATE TABLE\b/)
	{
		return "CREATE TABLE: $NO_KIND as partitions and inheritance"
		  if $head =~ /\b(?:INHERITS \(|PARTITION (?:OF|BY)\b)/;
		my ($parenthesis) = grep { $tokens[$_]{text} eq '(' } 0 .. $#tokens;
		return 'CREATE TABLE AS: head.sql has no rows'
		  if grep { $_ eq 'AS' } @words[ 0 .. ($parenthesis // $#words) ];
	}
	return why_unseen($statement, $head)
	  // why_name($statement, @words)
	  // why_function($statement, $head, @words)
	  // why_label($statement, $head)
	  // why_rows($head);
}

sub beginning
{
	my (@words) = @_;
	my @kept;
	foreach my $word (@words)
	{
		last if @kept && $word !~ /^(?:OR|REPLACE|TEMP|TEMPORARY|UNLOGGED|MATERIALIZED|VIEW|
			PROCEDURE|AGGREGATE|DOMAIN|RULE|POLICY|EXTENSION|EVENT|TRIGGER|SEQUENCE|SCHEMA|OPERATOR|
			CAST|COLLATION|STATISTICS|TYPE|TABLE|ROLE|DATABASE|PUBLICATION|SUBSCRIPTION|SERVER|
			FOREIGN|FUNCTION|ROUTINE|LABEL|DEFAULT|PRIVILEGES|CONSTRAINT)$/x;
		push @kept, $word;
	}
	return join ' ', @kept;
}

sub why_unseen
{
	my ($statement, $head) = @_;
	my $scope = scope($statement, $head =~ /^CREATE (?:TABLE|TYPE)\b/ ? 1 : 0);
	foreach my $case (grep { $head =~ $_->[0] } @UNSEEN)
	{
		my (undef, $pattern, $name) = @$case;
		return ($name // $1) . ": $UNSEEN" if $scope =~ $pattern;
	}
	return;
}

# The words of a statement that stand within so many parentheses, and those parentheses themselves.
sub scope
{
	my ($statement, $wanted) = @_;
	my ($depth, @found) = (0);
	foreach my $token (@{ $statement->{tokens} })
	{
		my $text = $token->{text};
		$depth-- if $text eq ')';
		push @found, $token->{kind} =~ /^(?:word|other)$/ ? uc $text : "''" if $depth == $wanted;
		$depth++ if $text eq '(';
	}
	return join ' ', @found;
}

# Names of schemas, and names that the facts cannot hold.
sub why_name
{
	my ($statement, @words) = @_;
	my @tokens = @{ $statement->{tokens} };
	foreach my $at (0 .. $#tokens)
	{
		my ($token, $text) = ($tokens[$at], $tokens[$at]{text});
		my $name = identifier($token);
		if (defined $name && $at < $#tokens && $tokens[ $at + 1 ]{text} eq '.')
		{
			my $is_object = $at > 0 && $words[ $at - 1 ] =~ $BEFORE_NAME
			  || $at == 3 && $words[0] eq 'CREATE';
			my $column = $at > 0 && $words[ $at - 1 ] eq 'COLUMN' && $words[0] eq 'COMMENT';
			return "the name of schema $name: an installation may have any schema"
			  if $is_object && $name ne 'pg_catalog' && !$column;
		}
		my $is_code = $token->{kind} eq 'body' || $at > 0 && $words[ $at - 1 ] eq 'AS';
		return 'the name of schema public: an installation may have any schema'
		  if ($words[0] ne 'COMMENT' || defined $name) && names_public($token, $is_code);
		next if $token->{kind} ne 'quoted';
		return "the name $text: src/data has names of letters, digits and _ only"
		  if $name !~ /^[a-z_][a-z0-9_]*$/;
		return "the name $text in double quotes: structure.tsv has functions without quotes only"
		  if "@words[ 0 .. 3 ]" =~ /^(?:CREATE|ALTER|DROP) (?:OR REPLACE )?(?:FUNCTION|ROUTINE)\b/;
	}
	return;
}

# Whether a token names the schema public: as a name, in a literal, or in code that it contains.
sub names_public
{
	my ($token, $is_code) = @_;
	my ($kind, $text) = @$token{qw(kind text)};
	return (identifier($token) // '') eq 'public' if $kind !~ /^(?:string|body)$/;
	my ($value) = $text =~ /^(?:\w?&?'|\$\w*\$)(.*)(?:'|\$\w*\$)$/s;
	$value =~ s/''/'/g if $kind eq 'string';
	my @inner = $is_code ? eval { tokens($value) } : ();
	return scalar grep { names_public($_) } @inner if @inner;
	return $value =~ /^\s*"?public"?\s*$|\bpublic"?\."?\w/i;
}

# A function whose signature, body or settings the facts cannot hold.
sub why_function
{
	my ($statement, $head, @words) = @_;
	return if $head !~ $FUNCTION;
	my @tokens = @{ $statement->{tokens} };
	return 'SET search_path: an installation may have any schema'
	  if top_level(\@tokens, 0, $#tokens, sub { (identifier($_[0]) // '') eq 'search_path' });
	my ($begin, $end) = (top_level(\@tokens, 0, $#tokens, sub { $_[0]{text} eq '(' }))[0];
	$end = (top_level(\@tokens, $begin + 1, $#tokens, sub { $_[0]{text} eq ')' }))[0];
	return 'a body without quotes: function_bodies.tsv has hashes of bodies in quotes only'
	  if top_level(\@tokens, $end + 1, $#tokens, sub { $_[0]{text} =~ /^(?:RETURN|ATOMIC)$/i });
	return if $end == $begin + 1;
	foreach my $item (split_list(\@tokens, $begin + 1, $end - 1))
	{
		my ($from, $to) = @$item;
		$from++ if $words[$from] =~ /^(?:IN|OUT|INOUT|VARIADIC)$/;
		return 'an argument without a name: the types of src/data stand behind names'
		  if $from >= $to
		  || $words[ $from + 1 ] =~ /^(?:\W|(?:WITH|WITHOUT|VARYING|PRECISION|DEFAULT)$)/;
	}
	return;
}

# A label of an enum type.
sub why_label
{
	my ($statement, $head) = @_;
	return
	  if $head !~ /^CREATE TYPE \S+ AS ENUM\b/ && $head !~ /^ALTER TYPE \S+ (?:ADD|RENAME) VALUE\b/;
	foreach my $token (grep { $_->{kind} =~ /^(?:string|body)$/ } @{ $statement->{tokens} })
	{
		return "the label $token->{text}: src/data has letters, digits, _, - and blanks only"
		  if $token->{text} !~ /^'\w[\w -]*'$/;
	}
	return;
}

sub why_rows
{
	my ($head) = @_;
	return 'INSERT of values: head.sql has no rows'
	  if $head =~ /^INSERT INTO\b/ && $head !~ /\b(?:SELECT|TABLE)\b/;
	return;
}

1;
