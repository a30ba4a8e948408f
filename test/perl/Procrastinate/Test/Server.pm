# A server whose safe_psql() keeps a psql open, since the start of a psql and of its server process
# takes longer than most queries of the tests.
#
# DISCARD ALL resets the session between two calls. What depends on more than that gets a psql of
# its own: commands of psql, changes of settings, roles and databases, looks at other sessions.
# The idle session is one more in pg_stat_activity: forget_session() ends it.

package Procrastinate::Test::Server;

use strict;
use warnings;

use parent -norequire, 'PostgreSQL::Test::Cluster';

use IPC::Open3;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils (); # its names would be methods

my $marker = 'the end of a script of a test';
# What is longer might fill the pipe to psql while psql fills that from it.
my $longest = 30_000;
my $needs_its_own = qr/^\s*\\ | \bFROM\s+stdin\b | \bDATABASE\b | \bALTER\s+(?:ROLE|SYSTEM)\b
	| \bEXTENSION\b | \bpg_reload_conf\b | \bpg_(?:cancel|terminate)_backend\b
	| \bpg_stat_ | \bSESSION\s+AUTHORIZATION\b/imx;

# As that of PostgreSQL::Test::Cluster: runs SQL that must succeed, returns its rows.
sub safe_psql
{
	my ($self, $database, $sql, %parameters) = @_;
	if (%parameters || length $sql > $longest || $sql =~ $needs_its_own)
	{
		$self->forget_session;
		return $self->SUPER::safe_psql($database, $sql, %parameters);
	}
	my $session = $self->session_for($database);
	my ($rows, $messages, $is_done) = run_script($session, $sql);
	print STDERR "#### Begin standard error\n$messages\n#### End standard error\n"
	  if $messages ne '';
	# A session whose transaction is still open refuses that.
	return $rows if $is_done && (run_script($session, 'DISCARD ALL'))[2];
	$self->forget_session;
	return $rows if $is_done;
	die "error running SQL: '$messages'\nwhile running '$sql'";
}

# The open session is closed: it would be in the way of commands on its database.
sub psql
{
	my ($self, @arguments) = @_;
	my $session = $self->{open_session};
	$self->forget_session if $session && $session->{database} ne $arguments[0];
	return $self->SUPER::psql(@arguments);
}

sub stop
{
	my ($self, @arguments) = @_;
	$self->forget_session;
	return $self->SUPER::stop(@arguments);
}

# The open session if it is one for the same database and environment that still works, else a new
# one.
sub session_for
{
	my ($self, $database) = @_;
	my $key     = join "\0", $$, $database, map { "$_=$ENV{$_}" } sort grep { /^PG/ } keys %ENV;
	my $session = $self->{open_session};
	return $session if $session && $session->{key} eq $key && (run_script($session, 'SELECT'))[2];
	$self->forget_session;
	my $path = PostgreSQL::Test::Utils::tempdir('psql') . '/stderr';
	open(my $errors, '>>', $path) or die "cannot write $path: $!";
	open(my $reader, '<', $path) or die "cannot read $path: $!";
	my $pid = open3(my $in, my $out, '>&' . fileno $errors,
		$self->installed_command('psql'), qw(-XAtq -v ON_ERROR_STOP=1 -f - -d),
		$self->connstr($database));
	$in->autoflush(1);
	return $self->{open_session} = {
		key      => $key,
		database => $database,
		pid      => $pid,
		in       => $in,
		out      => $out,
		errors   => $reader };
}

sub forget_session
{
	my ($self) = @_;
	my $session = delete $self->{open_session} or return;
	close $session->{in};
	waitpid $session->{pid}, 0 if $session->{key} =~ /^$$\0/;
	return;
}

# Returns the script's rows, its messages, and true if psql has run it to its end.
sub run_script
{
	my ($session, $sql) = @_;
	my ($rows, $is_done) = ('', 0);
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{ALRM} = sub { die "timeout of psql while running '$sql'" };
	alarm $PostgreSQL::Test::Utils::timeout_default;
	print { $session->{in} } "$sql\n;\n\\echo '$marker'\n";
	my $out = $session->{out};
	while (my $line = <$out>)
	{
		$is_done = $line =~ /^\Q$marker\E\n/ and last;
		$rows .= $line;
	}
	alarm 0;
	my $errors = $session->{errors};
	seek $errors, 0, 1;
	my $messages = join '', <$errors>;
	chomp($rows, $messages);
	return ($rows, $messages, $is_done);
}

1;
