-- A label that the next migration uses. A label can be used only after the commit of the
-- transaction that has added it, so no single transaction can run both.
ALTER TYPE procrastinate_job_event_type ADD VALUE 'paused';
