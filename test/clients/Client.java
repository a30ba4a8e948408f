import java.sql.*;

/** Calls the functions as JDBC sends parameters: setString() is character varying. */
public class Client {
    private static PreparedStatement prepared(Connection connection, String sql, String... texts)
            throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int i = 0; i < texts.length; ++i) statement.setString(i + 1, texts[i]);
        return statement;
    }

    private static String value(Connection connection, String sql, String... texts)
            throws SQLException {
        try (PreparedStatement statement = prepared(connection, sql, texts);
                ResultSet rows = statement.executeQuery()) {
            rows.next();
            return rows.getString(1);
        }
    }

    private static void call(Connection connection, String sql, String... texts)
            throws SQLException {
        try (PreparedStatement statement = prepared(connection, sql, texts)) {
            statement.execute();
        }
    }

    public static void main(String[] arguments) throws SQLException {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            System.out.println(value(connection, "SELECT procrastinate_upgrade(?, schema => ?)",
                    "0025+1", "Tenant-7"));
            call(connection, "CALL procrastinate_migrate(?, ?, ?, ?)", "0031", "Tenant-7",
                    "200 ms", "5 s");
            call(connection, "CALL procrastinate_migrate(schema => ?)", "Tenant-7");
            call(connection, "CALL procrastinate_wait(?, ?, ?)", "head", "1 s", "Tenant-7");
            System.out.println(value(connection,
                    "SELECT count(*) FROM procrastinate_check(schema => ?)", "Tenant-7"));
            System.out.println(value(connection, "SELECT revision FROM pg_namespace,"
                    + " procrastinate_current(nspname) WHERE nspname = ?", "Tenant-7"));
            try {
                value(connection, "SELECT procrastinate_upgrade('head', ?)", "\"Tenant-7\"");
            } catch (org.postgresql.util.PSQLException error) {
                System.out.println(error.getSQLState() + " "
                        + error.getServerErrorMessage().getHint());
            }
        }
    }
}
