// Calls the functions as node-postgres sends parameters: as text of no type.
const { Client } = require("pg");

async function main() {
  const client = new Client({ connectionString: process.argv[2] });
  await client.connect();
  const value = async (sql, parameters) =>
    Object.values((await client.query(sql, parameters)).rows[0])[0];
  console.log(await value("SELECT procrastinate_upgrade($1, schema => $2)", ["0025+1", "Tenant-7"]));
  await client.query("CALL procrastinate_migrate($1, $2, $3, $4)", ["0031", "Tenant-7", "200 ms", "5 s"]);
  await client.query("CALL procrastinate_migrate(schema => $1)", ["Tenant-7"]);
  await client.query("CALL procrastinate_wait($1, $2, $3)", ["head", "1 s", "Tenant-7"]);
  console.log(await value("SELECT count(*) FROM procrastinate_check(schema => $1)", ["Tenant-7"]));
  const { rows } = await client.query(
    "SELECT revision FROM pg_namespace, procrastinate_current(nspname) WHERE nspname = $1", ["Tenant-7"]);
  console.log(rows[0].revision);
  try {
    await client.query("SELECT procrastinate_upgrade('head', $1)", ['"Tenant-7"']);
  } catch (error) {
    console.log(error.code, error.hint);
  }
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
