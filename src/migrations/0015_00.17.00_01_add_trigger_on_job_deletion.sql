-- A job can be deleted although a periodic record refers to it. The reference becomes NULL, and
-- the tick stays deferred.
-- Locks: SHARE ROW EXCLUSIVE on procrastinate_jobs for a moment. Writers wait, readers do not.

CREATE FUNCTION procrastinate_unlink_periodic_defers()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_periodic_defers AS defers
    SET job_id = NULL
    WHERE defers.job_id = OLD.id;
    RETURN OLD;
END;
$$;

CREATE TRIGGER procrastinate_trigger_delete_jobs
    BEFORE DELETE ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_unlink_periodic_defers();
