# Turn a query of src/sql into a C++ header that defines it as a string, named after the file.
#
#     LC_ALL=C awk -f embed_query.awk src/sql/blockers.sql > src/sql/blockers.hpp
#
# The comment at the top of the file is left out of the string, because pg_stat_activity shows it.
# Ends with status 1 if the text contains a byte that cannot be embedded.

function fail(message) {
    print "embed_query.awk: " FILENAME ":" FNR ": " message > "/dev/stderr"
    failed = 1
    exit 1
}

/[^\t -~]/ { fail("only printable ASCII can be embedded") }
index($0, ")sql\"") { fail("holds the delimiter of the raw string literal") }

FNR == 1 {
    name = FILENAME
    sub(/^.*\//, "", name)
    sub(/\.sql$/, "", name)
    if ($0 !~ /^-- /)
        fail("a query begins with a comment that says what it is for")
    print "// Made by embed_query.awk from " name ".sql; do not edit."
    print "#pragma once"
    print "namespace procrastinate::sql"
    print "{"
    printf "inline constexpr char %s[] = R\"sql(", name
    in_comment = 1
}

in_comment && /^--/ { next }
in_comment && $0 == "" { next }
{
    in_comment = 0
    print
}

END {
    if (failed)
        exit 1
    print ")sql\";"
    print "} // namespace procrastinate::sql"
}
