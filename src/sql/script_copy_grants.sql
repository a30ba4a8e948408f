-- Gives the objects that a migration of an offline script has created the privileges of those that
-- they succeed. A template. The block does what upgrade::CopiedGrants does.
--
-- {{copied_grants}} copied_grants.sql

DO $grants$
DECLARE
    copied record;
BEGIN
    FOR copied IN
{{copied_grants}}    LOOP
        IF copied.warning IS NULL THEN
            EXECUTE copied.statement;
        ELSE
            RAISE WARNING '%', copied.warning
                USING DETAIL = 'Only a superuser can set it.', HINT = copied.statement || ';';
        END IF;
    END LOOP;
END
$grants$;
