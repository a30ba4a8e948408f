-- Closes a connection ($1), after it has cancelled the statement that runs.
SELECT dblink_cancel_query($1), dblink_disconnect($1)
