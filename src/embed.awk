# embed.awk: turns the facts and the migrations into the C++ tables that chain/chain.cpp includes.
#
#   LC_ALL=C awk -f embed.awk chain.tsv releases.tsv structure.tsv \
#       upstream_bodies.tsv function_bodies.tsv 0001_*.sql ... early_types.sql head.sql online/0003.sql ...
#
# Works with mawk and gawk. Stops with status 1 on anything that could not be embedded to the byte.

BEGIN { FS = "\t" }

function fail(message) {
    print "embed.awk: " FILENAME ":" FNR ": " message > "/dev/stderr"
    failed = 1
    exit 1
}

function base_name(path) {
    sub(/^.*\//, "", path)
    return path
}

# A C++ string literal of a field that holds no backslash.
function quoted(text) {
    if (index(text, "\\"))
        fail("a backslash in a table")
    gsub(/"/, "\\\"", text)
    return "\"" text "\""
}

# Revisions are numbers in C++; base is 0.
function number(revision) { return revision + 0 }

# A fact that still holds has no last revision: it holds at head.
function last(revision) { return revision == "" ? revision_count : number(revision) }

# Gathers the name and the arguments of a function, which may go over lines, as the facts spell them.
function sign(line) {
    if (signature ~ /\)$/)
        return
    sub(/^CREATE (OR REPLACE )?FUNCTION /, "", line)
    sub(/^ +/, signature ~ /,$/ ? " " : "", line)
    sub(/\).*$/, ")", line)
    signature = signature line
}

# Lines that say how a table was made.
/^#/ && FILENAME ~ /\.tsv$/ { skipped[FILENAME]++; next }

/[^\t -~]/ { fail("only printable ASCII can be embedded") }
index($0, ")sql\"") { fail("holds the delimiter of the raw string literal") }

FNR == 1 + skipped[FILENAME] {
    name = base_name(FILENAME)
    is_script = name ~ /\.sql$/
    if (FILENAME ~ /online\/[^\/]*$/)
        script = "online " substr(name, 1, 4)
    else if (is_script)
        script = name ~ /^[0-9]/ ? substr(name, 1, 4) : substr(name, 1, length(name) - 4)
    else
        table = name
    copying = ""
    if (!is_script)
        next # the heading of a table
}

table == "chain.tsv" && !is_script {
    revisions[++revision_count] = $1
    if (number($1) != revision_count || ($2 "" != (revision_count == 1 ? "" : revisions[revision_count - 1])))
        fail("the chain is not one line of revisions")
    file[$1] = $3
    title[$1] = $4
    phase[$1] = $5 == "" ? "none" : $5
    next
}

table == "releases.tsv" && !is_script {
    releases[++release_count] = "    {" quoted($1) ", " number($2) ", " number($3) ", " number($4) "},"
    next
}

table == "structure.tsv" && !is_script {
    facts[++fact_count] = "    {" number($1) ", " last($2) ", " quoted($3) ", " quoted($4) "},"
    next
}

(table == "function_bodies.tsv" || table == "upstream_bodies.tsv") && !is_script {
    bodies[++body_count] = "    {" number($1) ", " last($2) ", " quoted($3) ", " quoted($4) ", " ($5 == "" ? 0 : $5) "},"
    next
}

!is_script { fail("a table that nothing embeds") }

FNR == 1 && script ~ /^[0-9]/ && name != script "_" file[script] {
    fail("the chain knows no such file")
}

{ text[script] = text[script] $0 "\n" }

# Outside of functions statements begin a line.
/^(UPDATE|INSERT|DELETE|MERGE|TRUNCATE|COPY|WITH|DO) / { writes_rows[script] = "true" }

/^CREATE (OR REPLACE )?FUNCTION / {
    copying = $0
    sub(/^CREATE (OR REPLACE )?FUNCTION /, "", copying)
    sub(/\(.*$/, "", copying)
    start = length(text[script]) - length($0) - 1
    signature = ""
    sign($0)
    next
}

copying != "" {
    sign($0)
    if ($0 == "$$;") {
        copying = ""
        if (script ~ /^[0-9]/)
            sources[++source_count] = "    {" number(script) ", " quoted(signature) ",\n     migration_table[" \
                number(script) - 1 "].sql.substr(" start ", " length(text[script]) - start ")},"
    }
}

END {
    if (failed)
        exit 1
    print "// Made by embed.awk from data/ and migrations/; do not edit."
    print "inline constexpr Migration migration_table[] = {"
    for (i = 1; i <= revision_count; i++) {
        revision = revisions[i]
        if (!(revision in text)) {
            print "embed.awk: no file for revision " revision > "/dev/stderr"
            exit 1
        }
        print "    {" i ", " quoted(revision) ", " quoted(file[revision]) ", " quoted(title[revision]) ", Phase::" phase[revision] ", " (revision in writes_rows ? "true" : "false") ","
        printf "     R\"sql(%s)sql\"},\n", text[revision]
    }
    print "};"
    scripts = split("head early_types", script_names, " ")
    for (i = 1; i <= scripts; i++) {
        if (!(script_names[i] in text)) {
            print "embed.awk: no " script_names[i] ".sql" > "/dev/stderr"
            exit 1
        }
        printf "inline constexpr std::string_view %s_text = R\"sql(%s)sql\";\n", script_names[i], text[script_names[i]]
    }
    print "inline constexpr std::string_view online_texts[] = {"
    for (i = 1; i <= revision_count; i++)
        printf "    R\"sql(%s)sql\",\n", text["online " revisions[i]]
    print "};"
    print "inline constexpr Release release_table[] = {"
    for (i = 1; i <= release_count; i++)
        print releases[i]
    print "};"
    print "inline constexpr Fact fact_table[] = {"
    for (i = 1; i <= fact_count; i++)
        print facts[i]
    print "};"
    print "inline constexpr FunctionBody function_body_table[] = {"
    for (i = 1; i <= body_count; i++)
        print bodies[i]
    print "};"
    print "inline constexpr FunctionSource function_source_table[] = {"
    for (i = 1; i <= source_count; i++)
        print sources[i]
    print "};"
}
