"""What the programs that measure share: databases, timed processes, lines of a table."""

import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

import psycopg2

RUNS = int(os.environ.get("RUNS") or 10)
TEMPLATE = "bench_template"


def connect(database):
    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    return connection


def query(connection, sql, *parameters):
    """The first column of the first row, if the statement returns rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchone()[0] if cursor.description else None


class Databases:
    """Databases of one run each, about 8 MB. They go with the server, not before: ext4 looks long for a
    free inode where files have just been deleted, and the next run would pay for that."""

    def __init__(self):
        self.admin = connect("postgres")
        self.count = 0

    def make_template(self):
        query(self.admin, f"CREATE DATABASE {TEMPLATE}")
        with_extension = connect(TEMPLATE)
        query(with_extension, "CREATE EXTENSION procrastinate_migrate")
        with_extension.close()

    def fresh(self, template=TEMPLATE):
        self.count += 1
        name = f"bench_{self.count}"
        query(self.admin, f"CREATE DATABASE {name} TEMPLATE {template}")
        connect(name).close()
        return name


def spent(command, database):
    """Milliseconds from the start of the command to its end."""
    environment = dict(os.environ, PGDATABASE=database)
    with tempfile.TemporaryFile() as output, open(os.devnull, "rb") as nothing:
        redirections = [
            (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
        ]
        begin = time.perf_counter()
        process = os.posix_spawnp(command[0], command, environment, file_actions=redirections)
        _, status = os.waitpid(process, 0)
        end = time.perf_counter()
        if status != 0:
            output.seek(0)
            sys.exit(f"{' '.join(command)[:200]} failed:\n{output.read().decode()[-2000:]}")
    return (end - begin) * 1000


class Comparison:
    """Two commands in turns; databases is None where both leave the database as it is."""

    def __init__(self, ours, others, databases=None, names=(None, None), template=TEMPLATE):
        times = ([], [])
        for run in range(RUNS + 1):
            order = (0, 1) if run % 2 == 0 else (1, 0)
            made = [databases.fresh(template) if databases else name for name in names]
            for side in order:
                took = spent((ours, others)[side], made[side])
                if run > 0:  # the first one of each warms the machine's caches
                    times[side].append(took)
        self.ours, self.others = (statistics.median(side) for side in times)
        self.ratio = self.ours / self.others


def line(what, against, measured, to_reach, missed=False):
    row = f"{what:<33} {against:<28} {measured:<19} {to_reach:<10}{'missed' if missed else ''}"
    print(row.rstrip(), flush=True)


def compare(what, against, most, comparison):
    """most is None where there is no figure to reach."""
    times = f"{comparison.ours:.0f}/{comparison.others:.0f} ms"
    measured = f"{comparison.ratio:.3f}  {times}"
    if most is None:
        line(what, against, measured, "-")
    else:
        line(what, against, measured, f"<= {most}", comparison.ratio > most)


def machine():
    names = [text.split(":")[1].strip() for text in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if text.startswith("model name")]
    load = os.getloadavg()[0]
    return f"{platform.machine()}, {os.cpu_count()} x {names[0] if names else 'CPU'}, load {load:.1f}"


def psql(*arguments):
    return ["psql", "-X", "-v", "ON_ERROR_STOP=1", *arguments]


def print_heading(database, about):
    """The machine, the server's settings, and the table's head."""
    version = query(database, "SHOW server_version")
    settings = ", ".join(f"{name} {query(database, 'SHOW ' + name)}"
                         for name in ("fsync", "synchronous_commit", "shared_buffers"))
    print(machine())
    print(f"PostgreSQL {version}: {settings}")
    print(about)
    print()
    line("what", "against", "measured", "to reach")
    print("-" * 99)
