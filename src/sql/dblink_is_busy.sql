-- 1 while the statement of a connection ($1) runs.
SELECT dblink_is_busy($1)::text
