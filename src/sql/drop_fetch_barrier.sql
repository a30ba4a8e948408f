-- Drops the table whose lock is the fetch barrier.
--
-- {{schema}} the installation's schema, quoted

drop table {{schema}}.procrastinate_fetch_barrier
