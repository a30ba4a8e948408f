-- The result of the statement that a connection ($1) has sent: its command tag. Raises its error.
SELECT r.status FROM dblink_get_result($1) AS r (status text)
