# What the TAP tests share: a server with fast settings, databases that have the extension,
# schemas put at a revision, the facts of src/data, and jobs as the clients of a revision make them.
#
# A revision is a plain number in Perl (1 .. 38, 0 is base) and four digits in SQL: revision_name(7)
# is '0007'. The modules below are those of PostgreSQL itself, of any version from 15 on.

package Procrastinate::Test;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test::Session;

our @EXPORT = qw(
  $HEAD $ODD_SCHEMA
  chain data_file repository revision_name slurp statuses structure
  all_called called_before differences is_at same_lines
  await_recovery new_database new_session start_server upgrade walk_revisions
  call_of defer forms insert_jobs lit name scenario
);

our $HEAD       = 38;
our $ODD_SCHEMA = 'odd "name"';

# Which test file looks at which functions: each function of structure.tsv belongs to one subject.
our %SUBJECT = (
	fetch         => qr/^procrastinate_fetch_job/,
	finish        => qr/^procrastinate_(?:finish|retry|cancel)_job/,
	defer         => qr/^procrastinate_defer_job/,
	periodic      => qr/^procrastinate_defer_periodic_job/,
	triggers      => qr/^procrastinate_(?:trigger_|unlink_|sync_)/,
	notifications => qr/^procrastinate_notify_/,
	workers       => qr/^procrastinate_(?:register_|unregister_|update_heartbeat|prune_)/,);

my $servers   = 0;
my $databases = 0;
my $locks     = 0;

# ------------------------------------------------------------------------------------------------
# Files and facts
# ------------------------------------------------------------------------------------------------

# The top folder of the repository, found from the running test, wherever it was started.
sub repository
{
	my $folder = $FindBin::RealBin;
	until (-e "$folder/procrastinate_migrate.control" or -e "$folder/test/catalog.sql")
	{
		$folder =~ s{/[^/]+$}{} or die "no repository above $FindBin::RealBin";
	}
	return $folder;
}

sub data_file
{
	my ($name) = @_;
	return repository() . "/src/data/$name";
}

sub slurp
{
	my ($path) = @_;
	open(my $file, '<', $path) or die "cannot open $path: $!";
	local $/ = undef;
	my $text = <$file>;
	close $file;
	return $text;
}

# The rows of a file with a header line and tabs, as references to hashes.
sub rows_of
{
	my ($name) = @_;
	my ($header, @lines) = split /\n/, slurp(data_file($name));
	my @columns = split /\t/, $header;
	my @rows;
	foreach my $line (@lines)
	{
		my %row;
		@row{@columns} = split /\t/, $line, -1;
		push @rows, \%row;
	}
	return @rows;
}

# The 38 rows of chain.tsv, oldest first.
sub chain
{
	return rows_of('chain.tsv');
}

# The lines, in byte order, that a schema at this revision shows in the words of structure.tsv.
sub structure
{
	my ($revision) = @_;
	my $at = revision_name($revision);
	return sort map { "$_->{kind} $_->{definition}" }
	  grep { $_->{first} le $at and $_->{last} ge $at } rows_of('structure.tsv');
}

sub revision_name
{
	my ($revision) = @_;
	return sprintf '%04d', $revision;
}

# The labels of procrastinate_job_status at a revision.
sub statuses
{
	my ($revision) = @_;
	my @labels = qw(todo doing succeeded failed);
	push @labels, qw(cancelled aborting aborted) if $revision >= 27;
	return @labels;
}

# ------------------------------------------------------------------------------------------------
# Quoting
# ------------------------------------------------------------------------------------------------

# A literal for SQL; undef is NULL.
sub lit
{
	my ($value) = @_;
	return 'NULL' if not defined $value;
	$value =~ s/'/''/g;
	return $value =~ s/\\/\\\\/g ? " E'$value'" : "'$value'";
}

# An identifier for SQL.
sub name
{
	my ($identifier) = @_;
	$identifier =~ s/"/""/g;
	return qq("$identifier");
}

# ------------------------------------------------------------------------------------------------
# Servers, databases, schemas
# ------------------------------------------------------------------------------------------------

# start_server(name => ..., conf => "more lines of postgresql.conf", init => [ more of init() ])
# A started server that forgets everything in a crash and counts the calls of functions.
sub start_server
{
	my (%options) = @_;
	$servers++;
	my $node = PostgreSQL::Test::Cluster->new($options{name} // "server_$servers");
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ], @{ $options{init} // [] });
	$node->append_conf('postgresql.conf', <<"CONF");
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
jit = off
log_statement = none
timezone = 'UTC'
track_functions = pl
@{[ $options{conf} // '' ]}
CONF
	$node->start;
	return $node;
}

# Waits until a server that a killed backend has brought down takes connections again. Nothing is
# written to psql: it may be gone before it reads.
sub await_recovery
{
	my ($node) = @_;
	foreach my $try (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($out, $err);
		return 1
		  if IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT true' ],
			'<' => '/dev/null', '>' => \$out, '2>' => \$err);
		usleep(100_000);
	}
	return 0;
}

# A fresh database that has the extension; returns its name.
sub new_database
{
	my ($node) = @_;
	my $database = empty_database($node);
	$node->safe_psql($database, 'CREATE EXTENSION procrastinate_migrate');
	return $database;
}

sub empty_database
{
	my ($node) = @_;
	$databases++;
	my $database = "procrastinate_$databases";
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	return $database;
}

# Puts a schema, created when it is missing, at a revision (a number, or any target's name).
sub upgrade
{
	my ($node, $database, $target, $schema) = @_;
	$schema //= 'public';
	$target = revision_name($target) if $target =~ /^[0-9]+$/;
	my $quoted = name($schema);
	$node->safe_psql($database,
		"SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS $quoted; "
		  . 'SELECT procrastinate_upgrade('
		  . lit($target) . ', '
		  . lit($quoted)
		  . '::regnamespace)');
	return;
}

# How a schema differs from the facts of a revision: '' or lines, '<' missing and '>' extra.
sub differences
{
	my ($node, $database, $schema, $revision) = @_;
	my $live = $node->safe_psql(
		$database,
		slurp(repository() . '/test/catalog.sql'),
		extra_params => [ '-v', "schema=$schema" ]);
	my %live  = map { $_ => 1 } split /\n/, $live;
	my %facts = map { $_ => 1 } structure($revision);
	my @missing = map { "< $_\n" } sort grep { !$live{$_} } keys %facts;
	my @extra   = map { "> $_\n" } sort grep { !$facts{$_} } keys %live;
	return join '', @missing, @extra;
}

# Asserts that a schema is what the facts say of a revision.
sub is_at
{
	my ($node, $database, $schema, $revision, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(differences($node, $database, $schema, $revision), '', $name);
}

# A session of its own whose search_path is the schema and nothing else.
sub new_session
{
	my ($node, $database, $schema) = @_;
	my $session = Procrastinate::Test::Session->new($node, $database);
	$session->query('SET search_path = ' . name($schema // 'public'));
	return $session;
}

# Calls the code with (session, revision, label, schema, database) for a schema at each of the 38
# revisions, reached one by one, and for one more that got head at once. Every call is a subtest
# of its own, and the tables are empty when it begins. Option first: begin at that revision.
sub walk_revisions
{
	my ($node, $code, %options) = @_;
	my $database = new_database($node);
	my $session  = new_session($node, $database, $ODD_SCHEMA);
	my $visit    = sub {
		my ($in, $revision, $label, $schema) = @_;
		subtest $label => sub {
			$in->query(truncation($in));
			$code->($in, $revision, $label, $schema, $database);
		};
	};
	foreach my $revision (($options{first} // 1) .. $HEAD)
	{
		upgrade($node, $database, $revision, $ODD_SCHEMA);
		$visit->($session, $revision, 'at revision ' . revision_name($revision), $ODD_SCHEMA);
	}
	$session->close;

	upgrade($node, $database, 'head', 'public');
	my $other = new_session($node, $database, 'public');
	$visit->($other, $HEAD, 'at head that was installed at once', 'public');
	$other->close;
	return;
}

sub truncation
{
	my ($session) = @_;
	my $tables = $session->query(
		q{SELECT string_agg(quote_ident(relname), ', ') FROM pg_class}
		  . q{ WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'}
		  . q{ AND relname !~ '^procrastinate_schema_history'});
	return "TRUNCATE $tables RESTART IDENTITY CASCADE";
}

# Runs the code in a transaction that is rolled back: rows are gone afterwards.
sub scenario
{
	my ($session, $code) = @_;
	$session->query('BEGIN');
	$code->();
	$session->query('ROLLBACK');
	return;
}

# ------------------------------------------------------------------------------------------------
# What was called
# ------------------------------------------------------------------------------------------------

# How often the functions of the session's schema were called so far: signature => count.
sub called_before
{
	my ($session) = @_;
	$session->query('SELECT pg_stat_force_next_flush()');
	my $calls = $session->query(
		q{SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', f.calls}
		  . q{ FROM pg_stat_user_functions f JOIN pg_proc p ON p.oid = f.funcid}
		  . q{ WHERE p.pronamespace = quote_ident(current_schema())::regnamespace});
	return { map { split /\|/, $_, 2 } split /\n/, $calls };
}

# Asserts that every function of this subject that lives at the revision was called since then.
sub all_called
{
	my ($session, $before, $subject, $revision) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $now = called_before($session);
	my @missed;
	foreach my $line (grep { /^function / } structure($revision))
	{
		my ($signature) = $line =~ /^function (.*?\)) returns /;
		next if $signature !~ $SUBJECT{$subject};
		push @missed, $signature if ($now->{$signature} // 0) == ($before->{$signature} // 0);
	}
	return is(join("\n", @missed), '', "every function of this revision about $subject was called");
}

# Compares two lists of lines and shows only the lines that differ.
sub same_lines
{
	my ($got, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $same = @$got == @$expected;
	my @shown;
	foreach my $i (0 .. ($#$got > $#$expected ? $#$got : $#$expected))
	{
		my ($left, $right) = ($got->[$i] // '(nothing)', $expected->[$i] // '(nothing)');
		push @shown, "     got: $left\nexpected: $right" if $left ne $right;
	}
	my $result = ok($same && !@shown, $name);
	diag(join "\n", @shown > 12 ? (@shown[ 0 .. 11 ], '...') : @shown) if !$result;
	return $result;
}

# ------------------------------------------------------------------------------------------------
# Jobs as clients make them
# ------------------------------------------------------------------------------------------------

# Of a list of [ first, last, anything ... ] those that live at the revision.
sub forms
{
	my ($revision, @all) = @_;
	return grep { $_->[0] <= $revision and $revision <= $_->[1] } @all;
}

# A call with its arguments, each given as SQL.
sub call_of
{
	my ($function, @arguments) = @_;
	return "$function(" . join(', ', @arguments) . ')';
}

# Inserts rows into procrastinate_jobs as they are given, hashes of column => value. Before 0008
# every client gave every job a lock, and so does this.
sub insert_jobs
{
	my ($session, $revision, @jobs) = @_;
	my $sql = '';
	foreach my $job (@jobs)
	{
		my %row = (queue_name => 'default', task_name => 'task', %$job);
		$row{lock} //= "own lock of $row{id}" if $revision < 8;
		my @columns = sort keys %row;
		$sql .=
			'INSERT INTO procrastinate_jobs ('
		  . join(', ', map { name($_) } @columns)
		  . ') VALUES ('
		  . join(', ', map { lit($row{$_}) } @columns) . ");\n";
	}
	$session->query($sql);
	return;
}

# Defers a job as a client of the revision does, and returns its id. Keys: queue, task, priority,
# lock, queueing_lock, args, scheduled_at.
sub defer
{
	my ($session, $revision, %job) = @_;
	my %value = (queue => 'default', task => 'task', priority => 0, args => '{}', %job);
	$value{lock} //= 'own lock ' . ++$locks if $revision < 8;
	my ($queue, $task, $priority, $lock, $queueing_lock, $args, $scheduled_at) =
	  map { lit($value{$_}) } qw(queue task priority lock queueing_lock args scheduled_at);

	if ($revision < 9)
	{
		my ($column, $more) = $revision < 7 ? ('', '') : (', queueing_lock', ", $queueing_lock");
		return $session->query('INSERT INTO procrastinate_jobs'
			  . " (queue_name, task_name, lock, args, scheduled_at$column)"
			  . " VALUES ($queue, $task, $lock, $args, $scheduled_at$more) RETURNING id");
	}
	my @six = ($lock, $queueing_lock, $args, $scheduled_at);
	my $call =
	    $revision < 25 ? call_of('procrastinate_defer_job',    $queue, $task, @six)
	  : $revision < 30 ? call_of('procrastinate_defer_job',    $queue, $task, $priority, @six)
	  : $revision < 34 ? call_of('procrastinate_defer_job_v1', $queue, $task, $priority, @six)
	  : '(procrastinate_defer_jobs_v1(ARRAY['
	  . call_of('ROW', $queue, $task, $priority, @six)
	  . '::procrastinate_job_to_defer_v1]))[1]';
	return $session->query("SELECT $call");
}

1;
