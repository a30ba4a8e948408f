-- Opens a connection ($1) to a foreign server ($2).
SELECT dblink_connect($1, $2)
