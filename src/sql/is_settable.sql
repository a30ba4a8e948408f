-- Whether the current role may give a setting to a function (ALTER FUNCTION ... SET) in a
-- security-restricted operation. A template: an expression of copied_grants.sql and
-- fetch_functions.sql.
--
-- {{name}}          name of the setting, an expression
-- {{has_privilege}} whether the role has been granted SET on it, or is a superuser, an expression

({{name}} not in ('role', 'session_authorization')
            and ({{has_privilege}}
                 or exists (select from pg_settings s
                             where s.name = {{name}} and s.context = 'user'
                               and s.short_desc <> 'GUC placeholder variable')))
