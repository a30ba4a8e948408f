-- Runs a query ($2) by a connection ($1): its rows of one column.
SELECT r.value FROM dblink($1, $2) AS r (value text)
