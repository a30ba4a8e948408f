-- The event "deferred" is written for jobs inserted as 'todo'; so far it was for those inserted as 'doing'.
-- SHARE ROW EXCLUSIVE on procrastinate_jobs, for a moment: writers wait, readers do not.

CREATE OR REPLACE TRIGGER procrastinate_trigger_status_events_insert
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_status_events_procedure_insert();
