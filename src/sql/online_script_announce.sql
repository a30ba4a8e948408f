-- Says which step of an online script begins. The code of a DO block in a setting.

DECLARE
    revision CONSTANT text := current_setting('procrastinate_script.revision');
    about CONSTANT text := current_setting('procrastinate_script.about');
    now CONSTANT text := clock_timestamp()::text;
BEGIN
    PERFORM set_config('procrastinate_script.began', now, false),
            set_config('procrastinate_script.failures', '0', false),
            set_config('procrastinate_script.since', '', false);
    IF revision <> current_setting('procrastinate_script.running') THEN
        PERFORM set_config('procrastinate_script.running', revision, false),
                set_config('procrastinate_script.migration_began', now, false);
        RAISE NOTICE '%', current_setting('procrastinate_script.message');
    END IF;
    IF about <> '' THEN
        RAISE NOTICE '%', about;
    END IF;
END
