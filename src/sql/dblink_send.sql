-- Sends a statement ($2) by a connection ($1), and does not wait for its end.
SELECT dblink_send_query($1, $2)::text
