"""Calls the functions as a driver of Python sends parameters: psycopg as text of no type, psycopg2
in the text of the statement. Arguments: the connection string, the driver."""

import importlib
import sys

driver = importlib.import_module(sys.argv[2])
connection = driver.connect(sys.argv[1])
connection.autocommit = True
cursor = connection.cursor()


def value(sql, parameters):
    cursor.execute(sql, parameters)
    return cursor.fetchone()[0]


print(value("SELECT procrastinate_upgrade(%s, schema => %s)", ("0025+1", "Tenant-7")))
cursor.execute("CALL procrastinate_migrate(%s, %s, %s, %s)", ("0031", "Tenant-7", "200 ms", "5 s"))
cursor.execute("CALL procrastinate_migrate(schema => %s)", ("Tenant-7",))
cursor.execute("CALL procrastinate_wait(%s, %s, %s)", ("head", "1 s", "Tenant-7"))
print(value("SELECT count(*) FROM procrastinate_check(schema => %s)", ("Tenant-7",)))
print(
    value(
        "SELECT revision FROM pg_namespace, procrastinate_current(nspname) WHERE nspname = %s",
        ("Tenant-7",),
    )
)
try:
    cursor.execute("SELECT procrastinate_upgrade('head', %s)", ('"Tenant-7"',))
except driver.Error as error:
    print(getattr(error, "sqlstate", None) or error.pgcode, error.diag.message_hint)
