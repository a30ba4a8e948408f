# Online scripts of procrastinate_sql(), run as a role that is no superuser, end with the same
# catalog, rows and history as procrastinate_migrate(): from each revision, in one run, or in one
# run for each step, or the rest by the other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Rows;
use Procrastinate::Test::Script;

my $node     = start_server(name => 'online');
my $database = new_database($node);
create_rows_of($node, $database);
$node->safe_psql($database, 'CREATE ROLE app LOGIN');

# A schema of the role's at a revision, with rows.
sub installation
{
	my ($schema, $revision) = @_;
	$node->safe_psql($database, "CREATE SCHEMA $schema AUTHORIZATION app");
	return if $revision == 0;
	upgrade($node, $database, $revision, $schema);
	add_rows($node, $database, $schema, $revision);
	return;
}

sub migrate
{
	my ($schema) = @_;
	return $node->safe_psql($database,
		"SET client_min_messages = warning; CALL procrastinate_migrate('head', '$schema')");
}

# Without the positions of batches, which depend on the machine.
sub history
{
	my ($schema) = @_;
	return [
		split /\n/,
		$node->safe_psql(
			$database, "SELECT event, from_revision, to_revision
			  FROM $schema.procrastinate_schema_history WHERE event NOT LIKE '%, %' ORDER BY id") ];
}

sub is_head
{
	my ($schema, $call, $label) = @_;
	is_at($node, $database, $schema, $HEAD, "$label: the catalog is that of head");
	is($node->safe_psql($database, "SELECT count(*) FROM procrastinate_check('head', '$schema')"),
		'0', "$label: so are the bodies of the functions");
	same_lines(
		rows_of($node, $database, $schema),
		rows_of($node, $database, $call),
		"$label: the rows are those of the call");
	is( $node->safe_psql(
			$database, "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = relowner
			 WHERE relnamespace = '$schema'::regnamespace AND rolname <> 'app'"),
		'0',
		"$label: all is the role's");
	return;
}

# From each revision in one run, and once more.
foreach my $revision (0 .. $HEAD - 1)
{
	my ($script, $call) = ("script_$revision", "call_$revision");
	installation($_, $revision) foreach $script, $call;
	migrate($call);
	my $path = script_file(
		script_text($node, $database, 'current:head', $script, 'online => true'));
	my ($status, $err, $out) = run_script($node, $database, $path, '-U', 'app');
	is($status, 0,  "$revision: the script ends without an error") || diag($err);
	is($out,    '', "$revision: it prints nothing but notices");
	# The test's own session is a superuser's, whose queries the role may not see.
	unlike($err, qr/ERROR|WARNING:  (?!could not check whether functions)/,
		"$revision: it warns of nothing else");
	is_head($script, $call, "from $revision");
	same_lines(history($script), history($call), "$revision: the history is that of the call");
	($status, $err) = run_script($node, $database, $path, '-U', 'app');
	is($status, 0, "$revision: run again, it ends without an error");
	like($err, qr/NOTICE:  schema "$script" is at $HEAD_NAME: nothing to do/,
		"$revision: and says that there is nothing to do");
	unlike($err, qr/Running|step/, "$revision: and does nothing");
}

# The script's steps, each with all before it: what a run has done that ended there.
sub beginnings
{
	my ($text) = @_;
	my @parts = split /(?<=^\\endif\n)(?=\n--\ (?:step|Running))/mx, $text;
	return map { join('', @parts[ 0 .. $_ ]) . ($_ < $#parts ? "\\endif\n" : '') } 1 .. $#parts;
}

# Ended after each step.
{
	my ($script, $call) = ('each_step', 'call_1');
	installation($script, 1);
	my $text = script_text($node, $database, 'base:head', $script, 'online => true');
	my @beginnings = beginnings($text);
	cmp_ok(scalar @beginnings, '>', $HEAD, 'the script has more steps than migrations');
	my $failed = 0;
	foreach my $beginning (@beginnings)
	{
		my ($status, $err) = run_script($node, $database, script_file($beginning), '-U', 'app');
		next if $status == 0;
		diag($err);
		$failed++;
	}
	is($failed, 0, 'a run for each step ends without an error');
	is_head($script, $call, 'a run for each step');
	same_lines(history($script), history($call), 'a run for each step: the history is the same');
}

# The rest by the other. The call ends early because its lock is held; the script goes on.
{
	my $text = script_text($node, $database, 'base:head', 'public', 'online => true');
	my $count = () = beginnings($text);
	for (my $ended = 3; $ended < $count; $ended += 7)
	{
		my $schema = "ended_$ended";
		installation($schema, 1);
		my $text = script_text($node, $database, 'base:head', $schema, 'online => true');
		my $path = script_file((beginnings($text))[$ended]);
		my ($status, $err) = run_script($node, $database, $path, '-U', 'app');
		is($status, 0, "ended after $ended steps") || diag($err);
		migrate($schema);
		is_head($schema, 'call_1', "the call after $ended steps");
		same_lines(history($schema), history('call_1'),
			"the call after $ended steps: the history is the same");
	}
}

done_testing();
