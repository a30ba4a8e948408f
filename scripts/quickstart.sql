CREATE EXTENSION procrastinate_migrate;

SELECT procrastinate_upgrade('head');

SELECT revision, is_head, applied_by, source
  FROM procrastinate_current();

SELECT revision, down_revision, file, phase, is_current
  FROM procrastinate_history_details('-4:head');

SELECT procrastinate_defer_jobs_v1(ARRAY[
         ('default', 'send_mail', 0, NULL, NULL, '{"to": "ada"}', NULL)
       ]::procrastinate_job_to_defer_v1[]) AS deferred;

SELECT id, status, queue_name, task_name, args
  FROM procrastinate_fetch_job_v2(NULL, (SELECT worker_id FROM procrastinate_register_worker_v1()));

