// Calls the functions as lib/pq sends parameters: as text of no type.
package main

import (
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/lib/pq"
)

func main() {
	db, err := sql.Open("postgres", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	value := func(query string, parameters ...interface{}) (text string) {
		if err := db.QueryRow(query, parameters...).Scan(&text); err != nil {
			log.Fatal(query, ": ", err)
		}
		return text
	}
	call := func(query string, parameters ...interface{}) {
		if _, err := db.Exec(query, parameters...); err != nil {
			log.Fatal(query, ": ", err)
		}
	}
	fmt.Println(value("SELECT procrastinate_upgrade($1, schema => $2)", "0025+1", "Tenant-7"))
	call("CALL procrastinate_migrate($1, $2, $3, $4)", "0031", "Tenant-7", "200 ms", "5 s")
	call("CALL procrastinate_migrate(schema => $1)", "Tenant-7")
	call("CALL procrastinate_wait($1, $2, $3)", "head", "1 s", "Tenant-7")
	fmt.Println(value("SELECT count(*) FROM procrastinate_check(schema => $1)", "Tenant-7"))
	fmt.Println(value("SELECT revision FROM pg_namespace, procrastinate_current(nspname)"+
		" WHERE nspname = $1", "Tenant-7"))
	_, err = db.Exec("SELECT procrastinate_upgrade('head', $1)", "\"Tenant-7\"")
	if refused, ok := err.(*pq.Error); ok {
		fmt.Println(refused.Code, refused.Hint)
	}
}
