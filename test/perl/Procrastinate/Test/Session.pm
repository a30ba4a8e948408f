# A client session that stays open: a psql that gets its queries one by one.
#
# Values come as psql prints them unaligned: columns parted by '|', rows by newlines, NULL as
# 'NULL'. Errors carry their SQLSTATE. A query may be sent without waiting for it, and
# notifications that the session receives are kept apart from the rows.

package Procrastinate::Test::Session;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;

my $notification = qr/^Asynchronous\ notification\ "(.*?)"(?:\ with\ payload\ "(.*)")?
	\ received\ from\ server\ process\ with\ PID\ [0-9]+\.\n/mx;
my $limit = $PostgreSQL::Test::Utils::timeout_default;

# Functions of the session, for tests that make many calls at once: outcome() gives a call's first
# value, or its SQLSTATE and message; drain() repeats a fetch until nothing comes.
my $helpers = <<'SQL';
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE call INTO result;
	RETURN coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ': ' || sqlerrm;
END $$;
CREATE FUNCTION pg_temp.drain(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	fetched text;
	result text[] := '{}';
BEGIN
	FOR i IN 1 .. 10000 LOOP
		EXECUTE 'SELECT id::text FROM ' || call INTO fetched;
		IF fetched IS NULL THEN
			RETURN array_to_string(result, ' ');
		END IF;
		result := result || fetched;
	END LOOP;
	RAISE 'the fetch never ends';
END $$;
CREATE TEMP TABLE remembered (id bigint PRIMARY KEY, job jsonb NOT NULL);
SQL

sub new
{
	my ($class, $node, $database) = @_;
	my $self = bless {
		in    => '',
		out   => '',
		err   => '',
		count => 0,
		heard => [],
		timer => IPC::Run::timeout($limit),
	}, $class;
	$self->{run} = IPC::Run::start(
		[ $node->installed_command('psql'), qw(-XAtq -f - -d), $node->connstr($database) ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timer});
	$self->query("\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\n\\pset null NULL\n"
		  . 'SET client_min_messages = warning');
	$self->query("SET plpgsql.variable_conflict = error;\n$helpers");
	$self->{pid} = $self->query('SELECT pg_backend_pid()');
	return $self;
}

# Sends a query and does not wait. One query at a time: wait() must follow before the next.
sub send
{
	my ($self, $sql) = @_;
	die 'the query before is still under way' if $self->{marker};
	$self->{timer}->start($limit);
	$self->{marker} = 'query ' . ++$self->{count} . ' is done';
	$self->{in} .= "$sql\n;\n\\echo '$self->{marker}'\n\\warn '$self->{marker}'\n";
	$self->{run}->pump_nb;
	return;
}

# Waits for the query that was sent. Returns its rows as text and its error: '' or 'SQLSTATE: text'.
sub wait
{
	my ($self) = @_;
	my $marker = $self->{marker} or die 'there is no query under way';
	my $end = qr/^\Q$marker\E\n/m;
	$self->{run}->pump until $self->{out} =~ $end and $self->{err} =~ $end;
	$self->{marker} = undef;
	my ($out, $err) = @$self{qw(out err)};
	@$self{qw(out err)} = ('', '');
	$_ =~ s/$end.*//s foreach $out, $err;

	while ($out =~ s/$notification//)
	{
		push @{ $self->{heard} }, [ $1, $2 // '' ];
	}
	$out =~ s/\n\z//;
	my ($sqlstate, $message) = $err =~ /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC):  (\w{5}): (.*)$/m;
	return ($out, defined $sqlstate ? "$sqlstate: $message" : '');
}

# Waits for a notice that matches, of the query that was sent; its text.
sub notice
{
	my ($self, $pattern) = @_;
	my $text;
	until (($text) = grep { /$pattern/ } $self->{err} =~ /^(?:psql:\S+ )?NOTICE:  \w{5}: (.*)\n/mg)
	{
		$self->{run}->pump;
	}
	return $text;
}

# Runs SQL that must succeed, returns its rows as text.
sub query
{
	my ($self, $sql) = @_;
	$self->send($sql);
	my ($rows, $error) = $self->wait;
	die "$error\nin: $sql\n" if $error ne '';
	return $rows;
}

# Runs SQL, returns its error as 'SQLSTATE: text', or 'no error'. Rows are thrown away.
sub refusal
{
	my ($self, $sql) = @_;
	$self->send($sql);
	my ($rows, $error) = $self->wait;
	return $error eq '' ? 'no error' : $error;
}

# Runs calls, each [ id, SQL ], one after the other in one statement. An error of one leaves the
# others alone. Returns references to [ id, first value or error ].
sub outcomes
{
	my ($self, @calls) = @_;
	my @values;
	foreach my $call (@calls)
	{
		(my $sql = $call->[1]) =~ s/'/''/g;
		push @values, "($call->[0], '$sql')";
	}
	my $values = join ",\n", @values;
	return map { [ split /\|/, $_, 2 ] } split /\n/,
	  $self->query("SELECT id, pg_temp.outcome(call) FROM (VALUES $values) AS c (id, call)");
}

# Remembers the jobs as they are now, for changes(). Lasts as long as the transaction.
sub remember
{
	my ($self) = @_;
	$self->query('DELETE FROM remembered;'
		  . ' INSERT INTO remembered SELECT id, to_jsonb(j) FROM procrastinate_jobs j');
	return;
}

# What became of the jobs since: a hash id => '' | 'gone' | 'new' | 'attempts=1 status=doing'.
sub changes
{
	my ($self) = @_;
	my $lines = $self->query(<<'SQL');
SELECT id,
       CASE WHEN j.id IS NULL THEN 'gone'
            WHEN r.id IS NULL THEN 'new'
            ELSE (SELECT string_agg(n.key || '=' || coalesce(n.value, 'NULL'), ' ' ORDER BY n.key)
                    FROM jsonb_each_text(to_jsonb(j)) AS n
                   WHERE n.value IS DISTINCT FROM r.job ->> n.key)
       END
  FROM remembered r FULL JOIN procrastinate_jobs j USING (id)
SQL
	my %changes = map { split /\|/, $_, 2 } split /\n/, $lines;
	$_ eq 'NULL' and $_ = '' foreach values %changes;
	return %changes;
}

# What the session heard since it was last asked, each as 'channel payload'. Everything that others
# committed before this call is in it: notifications come in the order of commits, and one of our
# own is awaited.
sub notifications
{
	my ($self) = @_;
	$self->query('LISTEN the_end; NOTIFY the_end');
	my @heard = map { "$_->[0] $_->[1]" } grep { $_->[0] ne 'the_end' } @{ $self->{heard} };
	$self->{heard} = [];
	return @heard;
}

# SQL for another session: true if this session's query waits for a lock.
sub waits_for_lock
{
	my ($self) = @_;
	return "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $self->{pid}"
	  . " AND wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0";
}

# SQL for another session: true if this session's query pauses.
sub pauses
{
	my ($self) = @_;
	return "SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE pid = $self->{pid}";
}

sub close
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	$self->{run}->finish;
	return;
}

1;
