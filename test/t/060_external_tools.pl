# Runs the lines of docs/from-alembic.md by Alembic and Django, and those of docs/deploy.md and
# docs/managed-servers.md, and checks that the tables of Alembic and Django are kept in step.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use File::Path qw(make_path);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node   = start_server();
my $manual = slurp(repository() . '/docs/from-alembic.md');
my $folder = PostgreSQL::Test::Utils::tempdir();

# The n-th piece of code in the manual's line on a subject, which is how the line begins.
sub line_of
{
	my ($subject, $n) = @_;
	my ($text) = $manual =~ /^- \*\*\Q$subject\E\b[^*]*\*\*:\s+(.*?)(?=^- |^\n)/ms
	  or die "the manual has no line on: $subject";
	my @code = $text =~ /`([^`]+)`/g;
	return $code[ $n // 0 ] // die "the manual shows no code on: $subject";
}

sub write_file
{
	my ($name, $text) = @_;
	my ($parent) = "$folder/$name" =~ m{^(.*)/};
	make_path($parent);
	open(my $file, '>', "$folder/$name") or die "cannot write $name: $!";
	print $file $text;
	close $file;
	return;
}

# Runs a command in the folder with the database as the client's default; its output, both streams.
sub runs
{
	my ($database, $name, @command) = @_;
	local %ENV = (
		%ENV,
		PGHOST                  => $node->host,
		PGPORT                  => $node->port,
		PGDATABASE              => $database,
		PYTHONDONTWRITEBYTECODE => 1);
	my $output = '';
	my $ran    = IPC::Run::run(
		\@command, '<', '/dev/null', '>', \$output, '2>', \$output,
		init => sub { chdir $folder or die "cannot enter $folder: $!" });
	ok($ran, $name) or diag $output;
	return $output;
}

# Asserts that history and catalog of the schema public are at a revision.
sub is_recorded_at
{
	my ($database, $revision, $name) = @_;
	is( $node->safe_psql($database, 'SELECT revision FROM procrastinate_current()'),
		revision_name($revision), $name);
	my $differences = differences($node, $database, 'public', $revision);
	$differences =~ s/^> \w+ (?:UNIQUE )?(?:alembic|django)_.*\n//mg;    # the tools' own tables
	is($differences, '', "$name: the catalog too");
	return;
}

# The revision of the release that the manual's line names.
sub revision_in
{
	my ($line) = @_;
	return release_revision($line =~ /'([0-9.]+)'/);
}

# ---- Alembic ------------------------------------------------------------------------------------

my $database = new_database($node);
write_file('alembic.ini',       "[alembic]\nscript_location = migrations\n");
write_file('migrations/env.py', <<'PYTHON');
from alembic import context
from sqlalchemy import create_engine

with create_engine("postgresql+psycopg2://").connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
PYTHON
write_file('migrations/versions/one.py', <<"PYTHON");
from alembic import op

revision = "one"
down_revision = None


def upgrade():
    @{[ line_of('Alembic') ]}
PYTHON
my @alembic = qw(/usr/bin/alembic upgrade head);
runs($database, 'Alembic runs the line', @alembic);
my $revision = revision_in(line_of('Alembic'));
is_recorded_at($database, $revision, "Alembic brings the schema to the manual's release");
is( $node->safe_psql($database, 'SELECT version_num FROM alembic_version'),
	'one', 'and has its own revision written down');
runs($database, 'Alembic again', @alembic);

# Alembic's own template, with the manual's logger.
{
	my ($loggers, $logger) = $manual =~ /^```ini\n(\[loggers\]\nkeys = [^\n]*\n)\n(.*?)^```$/ms
	  or die 'the manual shows no logger';
	my $logged_database = new_database($node);
	runs($logged_database, 'Alembic makes a project',
		'sh', '-c', 'mkdir logged && cd logged && exec /usr/bin/alembic init migrations');
	my $ini = slurp("$folder/logged/alembic.ini");
	$ini =~ s{^(sqlalchemy\.url = ).*}{$1postgresql+psycopg2://}m;
	write_file('logged/migrations/versions/one.py', slurp("$folder/migrations/versions/one.py"));
	my @upgrade = ('sh', '-c', 'cd logged && exec /usr/bin/alembic upgrade head');
	write_file('logged/alembic.ini', $ini);
	unlike(runs($logged_database, 'Alembic upgrades', @upgrade),
		qr/NOTICE/, 'Alembic does not show NOTICEs by itself');
	$logged_database = new_database($node);
	$ini =~ s/^\[loggers\]\nkeys = .*\n/$loggers/m or die 'alembic.ini has no loggers';
	write_file('logged/alembic.ini', "$ini\n$logger");
	like(
		runs($logged_database, 'Alembic upgrades with the logger', @upgrade),
		qr/^INFO  \[sqlalchemy\.dialects\.postgresql\] NOTICE:  (?:Running|Installing) /m,
		"with the manual's logger it shows them");
}

# ---- Django -------------------------------------------------------------------------------------

$database = new_database($node);
write_file('settings.py', <<'PYTHON');
import os

SECRET_KEY = "of a test"
USE_TZ = True
INSTALLED_APPS = ["jobs"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
    }
}
PYTHON
write_file('jobs/__init__.py',                      '');
write_file('jobs/migrations/__init__.py',           '');
write_file('jobs/migrations/0001_procrastinate.py', <<"PYTHON");
from django.db import migrations


class Migration(migrations.Migration):
    operations = [
        @{[ line_of('Django') ]},
    ]
PYTHON
my @django =
  ('/usr/bin/python3', '-m', 'django', 'migrate', '--settings=settings', '--pythonpath=.');
runs($database, 'Django runs the line', @django);
$revision = revision_in(line_of('Django'));
is_recorded_at($database, $revision, "Django brings the schema to the manual's release");
runs(
	$database, 'Django takes it back, which is no operation',
	@django[ 0 .. 3 ], 'jobs', 'zero', @django[ 4 .. 5 ]);
is_recorded_at($database, $revision, 'and leaves it there');
runs($database, 'Django again', @django);

# ---- Both, outside of a transaction -------------------------------------------------------------

my ($call, $block, $not_atomic) = map { line_of('Both', $_) } 0 .. 2;

$database = new_database($node);
write_file('migrations/versions/one.py', <<"PYTHON");
from alembic import op

revision = "one"
down_revision = None


def upgrade():
    $block
        op.execute("$call")
PYTHON
runs($database, 'Alembic calls procrastinate_migrate() in an autocommit block', @alembic);
$revision = revision_in($call);
is_recorded_at($database, $revision, "which brings the schema to the manual's release");

$database = new_database($node);
write_file('jobs/migrations/0001_procrastinate.py', <<"PYTHON");
from django.db import migrations


class Migration(migrations.Migration):
    $not_atomic
    operations = [migrations.RunSQL("$call", migrations.RunSQL.noop)]
PYTHON
runs($database, 'Django calls procrastinate_migrate() in a migration that is not atomic', @django);
is_recorded_at($database, $revision, 'which brings the schema there, too');

# ---- External version tables, and Alembic kept in step ------------------------------------------

# A project whose Alembic runs a package of this chain, in either numbering, beside a branch of its
# own.
sub alembic_project
{
	my ($project, @ids) = @_;
	write_file("$project/alembic.ini",                "[alembic]\nscript_location = migrations\n");
	write_file("$project/migrations/env.py",          slurp("$folder/migrations/env.py"));
	write_file("$project/migrations/versions/own.py", "revision = 'own'\ndown_revision = None\n");
	foreach my $i (0 .. $#ids)
	{
		my $before = $i ? "'$ids[$i - 1]'" : 'None';
		write_file(
			"$project/migrations/versions/$ids[$i].py",
			"revision = '$ids[$i]'\ndown_revision = $before\n\n\ndef upgrade():\n    pass\n");
	}
	return sub {
		my ($to, $name, @command) = @_;
		return runs(
			$to, $name, 'sh', '-c', 'cd "$0" && exec /usr/bin/alembic "$@"', $project,
			@command);
	};
}

my @stems = map { s/\.sql$//r } map { (split /\t/)[2] } grep { /^\d/ } split /\n/,
  slurp(data_file('chain.tsv'));
my %numbering = (
	files      => [ map { revision_name($_) . "_$stems[$_ - 1]" } 1 .. $HEAD ],
	plain      => [ map { revision_name($_) } 1 .. $HEAD ],
	zero_based => [ map { sprintf 'procrastinate_%04d', $_ - 1 } 1 .. $HEAD ]);
foreach my $numbering (sort keys %numbering)
{
	my @ids     = @{ $numbering{$numbering} };
	my $alembic = alembic_project($numbering, @ids);
	$database = new_database($node);
	upgrade($node, $database, 28);
	$node->safe_psql($database,
		'DROP TABLE procrastinate_schema_history;'
		  . ' CREATE TABLE alembic_version (version_num varchar(128) PRIMARY KEY)');
	$alembic->($database, "$numbering: Alembic is told that it is at 0028", 'stamp', $ids[27],
		'own');

	my (undef, undef, $err) = $node->psql($database, 'SELECT procrastinate_adopt()');
	unlike($err, qr/WARNING/, "$numbering: Alembic and the catalog agree");

	$node->safe_psql($database, 'DROP TABLE procrastinate_schema_history');
	$alembic->($database, "$numbering: Alembic is told a lie", 'stamp', '--purge', $ids[25], 'own');
	(undef, undef, $err) = $node->psql($database, 'SELECT procrastinate_adopt()');
	like(
		$err, qr/WARNING:  .* is at 0028, but another tool/,
		"$numbering: the catalog wins over Alembic");
	like(
		$err, qr/^DETAIL:  Table public\.alembic_version says $ids[25](?:, which is 0026)?\.$/m,
		"$numbering: and the contradiction is told");
	like($err, qr/^alembic stamp $ids[27]$/m, "$numbering: with what sets Alembic right");

	$alembic->($database, "$numbering: Alembic is set right", 'stamp', '--purge', $ids[27], 'own');
	my $in_step = q{SET procrastinate_migrate.alembic_version = 'public.alembic_version'};
	$node->safe_psql($database, "$in_step; SELECT procrastinate_upgrade('0030')");
	like(
		$alembic->($database, "$numbering: Alembic is asked", 'current'),
		qr/^$ids[29]$/m, "$numbering: an upgrade takes Alembic along");
	$node->safe_psql($database, "$in_step; BEGIN; SELECT procrastinate_upgrade(); ROLLBACK");
	like(
		$alembic->($database, "$numbering: Alembic is asked again", 'current'),
		qr/^$ids[29]$/m, "$numbering: and back with a rollback");
	$node->safe_psql($database, "$in_step; CALL procrastinate_migrate()");
	my $current = $alembic->($database, "$numbering: Alembic is asked at head", 'current');
	like($current, qr/^$ids[-1] \(head\)$/m, "$numbering: so does a migration");
	like($current, qr/^own \(head\)$/m,      "$numbering: another branch is left alone");
	unlike(
		$alembic->($database, "$numbering: Alembic has nothing to do", 'upgrade', 'heads'),
		qr/Running upgrade/, "$numbering: and nothing runs");
}

# Django's own table, its migrations recorded by Django.
{
	$database = new_database($node);
	upgrade($node, $database, 28);
	$node->safe_psql($database, 'DROP TABLE procrastinate_schema_history');
	write_file('procrastinate/__init__.py',            '');
	write_file('procrastinate/migrations/__init__.py', '');

	# Three of Django's migrations carry no SQL of the chain.
	my $migrations = $HEAD + 3;
	foreach my $number (1 .. $migrations)
	{
		my $before = $number > 1 ? sprintf q{[("procrastinate", "%04d_step")]}, $number - 1 : '[]';
		write_file(sprintf('procrastinate/migrations/%04d_step.py', $number), <<"PYTHON");
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = $before
    operations = []
PYTHON
	}
	write_file(
		'with_app.py',
		slurp("$folder/settings.py") . qq{INSTALLED_APPS = ["procrastinate"]\n});
	my @migrate = (
		'/usr/bin/python3', '-m', 'django', 'migrate', '--settings=with_app',
		'--pythonpath=.',   'procrastinate');
	runs($database, 'Django records its 0029', @migrate, '0029');
	my (undef, undef, $err) = $node->psql($database, 'SELECT procrastinate_adopt()');
	unlike($err, qr/WARNING/, 'Django and the catalog agree: its 0029 is 0028');
	$node->safe_psql($database, 'DROP TABLE procrastinate_schema_history');
	runs($database, 'Django goes back', @migrate, '0027');
	(undef, undef, $err) = $node->psql($database, 'SELECT procrastinate_adopt()');
	like(
		$err, qr/^DETAIL:  Table public\.django_migrations says 0027, which is 0026\.$/m,
		'the catalog wins over Django, with a warning');
	like($err, qr/^manage\.py migrate --fake procrastinate 0029$/m, 'with what sets Django right');

	# In step, by the names that Django prints.
	my @show = map { s/^migrate$/showmigrations/r } @migrate;
	runs($database, 'Django is set right', @migrate, '0029', '--fake');
	my $names   = runs($database, 'Django tells its names', @show);
	my $in_step = "SET procrastinate_migrate.django_migrations = 'public.django_migrations';"
	  . "SET procrastinate_migrate.django_names = '$names'";
	my $applied = sub {
		my ($revision) = @_;
		my $shown = runs($database, "Django is asked at $revision", @show);
		return scalar(() = $shown =~ /\[X\]/g) . ' of ' . scalar(() = $shown =~ /\[.\]/g);
	};
	is($applied->('0028'), "29 of $migrations", 'Django is where the schema is');
	$node->safe_psql($database, "$in_step; SELECT procrastinate_upgrade('0031')");
	is($applied->('0031'), "33 of $migrations", 'an upgrade takes Django along');
	$node->safe_psql($database, "$in_step; BEGIN; SELECT procrastinate_upgrade(); ROLLBACK");
	is($applied->('0031 again'), "33 of $migrations", 'and back with a rollback');
	$node->safe_psql($database, "$in_step; CALL procrastinate_migrate()");
	is($applied->($HEAD_NAME), "$migrations of $migrations", 'so does a migration');
	like(
		runs($database, 'Django has nothing to do', @migrate), qr/No migrations to apply/,
		'and Django runs nothing');
}

# ---- Scripts ------------------------------------------------------------------------------------

$database = new_database($node);
my ($deploy) = slurp(repository() . '/docs/deploy.md') =~
  /^## Deploy script\n.*?^```console\n(.*?)^```$/ms;
like(
	runs($database, 'the deploy script', 'sh', '-c', $deploy),
	qr/^NOTICE: .*-> 0037, /m, 'the deploy script prints NOTICEs of its steps');
is_at($node, $database, 'public', 37, 'the deploy script goes as far as 3.9.0 needs');
like(
	runs($database, 'the deploy script again', 'sh', '-c', $deploy),
	qr/nothing to do/, 'and then there is nothing to do');

# The commands of docs/managed-servers.md: each pair writes a file, and runs it on another server.
my ($pair, $check) =
  grep { /&&\n/ } slurp(repository() . '/docs/managed-servers.md') =~ /^```console\n(.*?)^```$/msg;
my ($makes, $uses) = split /&&\n/, $pair;
$database = new_database($node);
upgrade($node, $database, 26);
$node->safe_psql($database, 'DROP EXTENSION procrastinate_migrate');
my $elsewhere = new_database($node);
runs($elsewhere, 'the script for another server', 'sh', '-c', $makes);
runs($database,  'it runs there',                 'sh', '-c', $uses);
my ($makes_query, $runs_query) = split /&&\n/, $check;
runs($elsewhere, 'the query for another server', 'sh', '-c', $makes_query);
like(runs($database, 'it runs there, too', 'sh', '-c', $runs_query),
	qr/ $HEAD_NAME +\| t /, 'and finds the revision');
$node->safe_psql($database, 'CREATE EXTENSION procrastinate_migrate');
is_recorded_at($database, $HEAD, 'the script brings a server without the extension to head');

done_testing();
