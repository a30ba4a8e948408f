-- Runs statements without a result ($2) by a connection ($1).
SELECT dblink_exec($1, $2)
