"""The SQL that the extension carries, laid out for psql and for Alembic.

psql gets it as files, Alembic as one revision each; both run what the library runs.
"""

import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parent.parent / "src"


def head_text():
    """head.sql for schema public, as the library completes it."""
    text = (SOURCES / "data" / "head.sql").read_text()
    return "SET check_function_bodies = off;\n" + re.sub(r"\{\{schema(_in_literal)?\}\}", "public", text)


def migration_files():
    return sorted((SOURCES / "migrations").glob("[0-9]*.sql"))


def write_head(folder):
    file = folder / "head.sql"
    file.write_text(head_text())
    return [file]


def write_chain(folder, server_major):
    """The migrations for a run in one transaction.

    Before PostgreSQL 17 such a run fails at 0029: a label that ALTER TYPE adds cannot be used in its
    own transaction. There each enum type is created with all the labels that it has at head, as the
    extension does when it runs the chain in one transaction.
    """
    files = migration_files()
    if server_major >= 17:
        return files
    labels = enum_labels_at_head()

    def with_all_labels(statement):
        quoted = ", ".join(f"'{label}'" for label in labels[statement.group(1)])
        return f"CREATE TYPE {statement.group(1)} AS ENUM ({quoted});\n"

    written = []
    for source in files:
        text = re.sub(r"CREATE TYPE (\w+) AS ENUM \(.*?\);\n", with_all_labels, source.read_text(), flags=re.S)
        written.append(folder / source.name)
        written[-1].write_text(text)
    return written


def enum_labels_at_head():
    """The labels of each enum type, by structure.tsv."""
    labels = {}
    for row in (SOURCES / "data" / "structure.tsv").read_text().splitlines():
        _, last, kind, definition = row.split("\t")
        if kind == "enum" and last == "":
            name, listed = definition.rstrip(")").split(" (")
            labels[name] = listed.split(", ")
    return labels


def write_steps(folder):
    """The migrations, each with a transaction around it."""
    steps = folder / "steps"
    steps.mkdir()
    files = []
    for source in migration_files():
        files.append(steps / source.name)
        files[-1].write_text("BEGIN;\n" + source.read_text() + "COMMIT;\n")
    return files


def write_alembic(folder):
    """An Alembic environment with one revision for each migration; its configuration file."""
    environment = folder / "alembic"
    shutil.copytree(HERE / "alembic", environment)
    versions = environment / "versions"
    versions.mkdir()
    previous = None
    for source in migration_files():
        revision = source.name[:4]
        # In SQLAlchemy's text() a colon before a word is a parameter, unless it is escaped.
        text = re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", source.read_text())
        (versions / f"{source.stem}.py").write_text(
            "from alembic import op\n\n"
            f"revision = {revision!r}\n"
            f"down_revision = {previous!r}\n\n\n"
            "def upgrade():\n"
            f"    op.execute({text!r})\n"
        )
        previous = revision
    return environment / "alembic.ini"
