-- Installs the fetch barrier, or removes it, as the setting procrastinate_script.action says. The
-- code of a DO block in a setting. It does what online/fetch_barrier.cpp does.
--
-- {{before_lock}}     parts of fetch_barrier_body.sql, as literals: what stands before the schema's
-- {{before_look}}     name, before it again, before the function's own body, and after that
-- {{before_body}}
-- {{after_body}}
-- {{create_table}}    create_fetch_barrier.sql for format(): schema
-- {{table_grant}}     fetch_barrier_grant.sql
-- {{fetch_functions}} fetch_functions.sql

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    installs CONSTANT boolean := current_setting('procrastinate_script.action') = 'install';
    before_lock CONSTANT text := {{before_lock}};
    before_look CONSTANT text := {{before_look}};
    before_body CONSTANT text := {{before_body}};
    after_body CONSTANT text := {{after_body}};
    opening CONSTANT text := before_lock || quote_ident(schema_name)
        || before_look || quote_ident(schema_name) || before_body;
    barrier CONSTANT oid := (
        SELECT c.oid FROM pg_class c
         WHERE c.relnamespace = schema_oid AND c.relname = 'procrastinate_fetch_barrier'
           AND c.relkind = 'r'
           AND EXISTS (SELECT FROM pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attname = 'closed_until'));
    fetcher record;
    own text;      -- the function's body without the barrier
    its_name text; -- that the barrier gives the schema, which may have been renamed since
    its_opening text;
    tag text;
    table_grant text;
BEGIN
    IF installs THEN
        IF barrier IS NULL THEN
            EXECUTE format($create$
{{create_table}}$create$, schema_name);
        END IF;
        EXECUTE $grant$
{{table_grant}}$grant$ INTO table_grant USING schema_oid;
        IF table_grant IS NOT NULL THEN
            EXECUTE table_grant;
        END IF;
    END IF;
    FOR fetcher IN EXECUTE $functions$
SELECT * FROM (
{{fetch_functions}}) f (definition, body, signature, name, settings, resets)$functions$
        USING schema_oid
    LOOP
        own := fetcher.body;
        IF left(own, length(before_lock)) = before_lock THEN
            its_name := substr(own, length(before_lock) + 1);
            its_name := left(its_name, greatest(strpos(its_name, before_look) - 1, 0));
            its_opening := before_lock || its_name || before_look || its_name || before_body;
            IF left(own, length(its_opening)) = its_opening
               AND right(own, length(after_body)) = after_body THEN
                own := substr(own, length(its_opening) + 1,
                              length(own) - length(its_opening) - length(after_body));
            END IF;
        END IF;
        IF installs AND (own !~* 'end;\s*$' OR own ~ '^(\s|--[^\n]*\n|/\*.*?\*/)*#') THEN
            RAISE WARNING 'function % is not one of Procrastinate''s', fetcher.signature
                USING DETAIL = 'The fetch barrier cannot be installed in it: a call that runs '
                    'while columns change may fail with SQLSTATE 42804.';
            CONTINUE;
        END IF;
        IF installs THEN
            own := opening || own || after_body;
        END IF;
        CONTINUE WHEN own = fetcher.body;
        IF fetcher.settings IS NOT NULL THEN
            RAISE EXCEPTION 'cannot replace the fetch functions of schema "%"', schema_name
                USING ERRCODE = '42501',
                    DETAIL = format('Function %s sets %s, which role "%s" may not set.',
                                    fetcher.signature, fetcher.settings, current_user),
                    HINT = E'As a superuser:\n' || fetcher.resets;
        END IF;
        -- The definition ends with AS, a dollar quote, the body, and the same dollar quote.
        tag := substring(fetcher.definition FROM '(\$[a-z]+\$)\n$');
        EXECUTE left(fetcher.definition, length(fetcher.definition) - 2 * length(tag)
                                       - length(fetcher.body) - 1) || quote_literal(own);
    END LOOP;
    IF NOT installs AND barrier IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I.procrastinate_fetch_barrier', schema_name);
    END IF;
END
