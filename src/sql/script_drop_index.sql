-- Drops an index that an interrupted procrastinate_migrate() may have built ahead of a migration.
-- A template for the DO block of script_step.sql.
--
-- {{index}} name of the index, which needs no quotes

    IF to_regclass(format('%I.{{index}}', current_setting('procrastinate_script.schema')))
       IS NOT NULL THEN
        EXECUTE format('DROP INDEX %I.{{index}}', current_setting('procrastinate_script.schema'));
    END IF;
