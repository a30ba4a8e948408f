-- Notifies the workers of all queues, as the triggers of procrastinate_jobs do for a new job.
--
-- $1 channel of a queue, without '#' and the queue's name
-- $2 channel of all queues
-- $3 payload
-- {{schema}} name of the schema, quoted
--
-- The recursion reads one entry of the index on queue_name for each queue, not every job. The
-- server refuses channels of 64 bytes and more.

with recursive queue(name) as (
    (select min(queue_name) from {{schema}}.procrastinate_jobs)
    union all
    select (select min(j.queue_name)
              from {{schema}}.procrastinate_jobs j
             where j.queue_name > q.name)
      from queue q
     where q.name is not null)
select pg_notify($1 || '#' || name, $3) from queue where octet_length($1 || '#' || name) < 64
union all
select pg_notify($2, $3)
