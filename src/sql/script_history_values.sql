-- Values that an offline script appends to the history for one migration. A template: it becomes
-- {{values}} of append_history.sql.
--
-- {{event}}    event: install or upgrade
-- {{from}}     revision before the migration
-- {{to}}       revision after it
-- {{version}}  version of the library that made the script

'{{event}}', '{{from}}', '{{to}}',
        make_interval(secs => (extract(epoch FROM clock_timestamp())
            - current_setting('procrastinate_script.started')::numeric)::float8),
        '{{version}}'
