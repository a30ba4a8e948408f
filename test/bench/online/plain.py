"""The steps of procrastinate_plan() as somebody would run them by hand: statement after statement, a
transaction a step, rows ten thousand at a time, indexes built concurrently. Without what procrastinate_migrate()
does beside them: short locks, the fetch barrier, pauses. A step that fails is tried again, a few times.
"""

import re

import psycopg2

ROWS = 10_000  # a batch
MOST = 5  # tries


class Plain:
    """Of a database that stands before `end`."""

    def __init__(self, connection, end):
        self.connection = connection
        self.failures = []
        self.gave_up = ""  # at a step
        with connection.cursor() as cursor:
            cursor.execute("SELECT revision, step, kind, statement FROM procrastinate_plan_details(%s)", (end,))
            self.steps = cursor.fetchall()

    def go_to(self, revision):
        """False where it does not come so far."""
        while not self.gave_up and self.steps and self.steps[0][0] <= revision:
            self.step(*self.steps.pop(0))
        return not self.gave_up

    def step(self, revision, number, kind, statement):
        if statement.startswith("-- CREATE OR REPLACE FUNCTION"):
            return  # the fetch barrier
        work = {"batched": self.batches, "concurrent": self.build}.get(kind, self.transaction)
        for _ in range(MOST):
            try:
                work(statement)
                return
            except psycopg2.Error as error:
                self.failures.append(f"{revision}.{number}: {error.pgcode} {str(error).splitlines()[0]}")
        self.gave_up = f"{revision}.{number}"

    def build(self, text):
        index = re.search(r"CONCURRENTLY (\S+)", text)[1]
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (index,))
            valid = cursor.fetchone()
        if valid == (True,):
            return  # built ahead
        if valid:
            self.execute(f"DROP INDEX {index}")  # of another try
        self.execute(text)

    def execute(self, text):
        with self.connection.cursor() as cursor:
            cursor.execute(text)

    def transaction(self, text):
        if text:
            self.execute(text)  # several statements in one message are one transaction

    def batches(self, text):
        table = re.match(r"UPDATE (\S+)", text)[1]
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT coalesce(min(id), 1) - 1, coalesce(max(id), 0) FROM {table}")
            low, high = cursor.fetchone()
            cursor.execute("DEALLOCATE ALL")  # of another try
            cursor.execute(f"PREPARE batch (bigint, bigint) AS {text}")
            while low < high:
                cursor.execute("EXECUTE batch (%s, %s)", (low, low + ROWS))
                low += ROWS
