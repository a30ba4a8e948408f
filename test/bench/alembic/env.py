# Alembic's side of the comparison: no models, no logging, a transaction for each revision (for the
# labels that 0027 adds can only be used after a commit). The database is PGDATABASE.
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine("postgresql+psycopg2://", poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
