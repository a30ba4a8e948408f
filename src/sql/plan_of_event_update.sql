-- Plans an update of the events as the batches of 0024 run it. The server refuses it if a
-- publication keeps the table's rows from being updated.
--
-- {{schema}} the installation's schema, quoted

explain update {{schema}}.procrastinate_events set job_id = job_id where false
