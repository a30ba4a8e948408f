-- Whether the current role may give a setting to a function (ALTER FUNCTION ... SET) in a
-- security-restricted operation. A template: an expression of copied_grants.sql and
-- fetch_functions.sql.
--
-- {{name}} name of the setting, an expression

({{name}} not in ('role', 'session_authorization')
            and (has_parameter_privilege({{name}}, 'SET')
                 or exists (select from pg_settings s
                             where s.name = {{name}} and s.context = 'user'
                               and s.short_desc <> 'GUC placeholder variable')))
