-- The event 'deferred' is written for jobs that are inserted as 'todo'. Before, it was written for
-- jobs that were inserted as 'doing'.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs for a moment.
-- Not CREATE OR REPLACE TRIGGER, which takes a weaker lock but needs PostgreSQL 14.

DROP TRIGGER procrastinate_trigger_status_events_insert ON procrastinate_jobs;

CREATE TRIGGER procrastinate_trigger_status_events_insert
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_status_events_procedure_insert();
