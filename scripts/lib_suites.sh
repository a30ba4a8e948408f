# Test suites, their selection by TESTS, and the count of their results; sourced by lib.sh.
# shellcheck shell=bash disable=SC2154

# ---- Results -------------------------------------------------------------------------------------

passed=0
failed=0
table=()
tests=${TESTS:-}
logs= # the folder of the logs; the script sets it

# record SUITE PASSED FAILED SECONDS: count a suite. A suite that ran nothing has failed.
record() {
    local note=
    if [ $(($2 + $3)) = 0 ]; then
        note='   nothing ran'
        set -- "$1" 0 1 "$4"
    fi
    passed=$((passed + $2))
    failed=$((failed + $3))
    table+=("$(printf '  %-10s %6d passed %4d failed %5d s%s' "$1" "$2" "$3" "$4" "$note")")
}

# conclude TITLE: print the recorded suites and their sum. Fails unless all passed.
conclude() {
    heading "$1"
    printf '%s\n' "${table[@]}"
    if [ $failed != 0 ]; then say "Logs: $logs"; fi
    say
    say "$passed passed, $failed failed"
    [ $failed = 0 ] && [ $passed != 0 ]
}

# select_tests DEFAULT SUFFIX: the files that match TESTS, or DEFAULT, and end in SUFFIX; as paths
# in the checkout.
select_tests() {
    local pattern
    for pattern in ${tests:-$1}; do
        case $pattern in *"$2") (cd "$root" && compgen -G "$pattern") || true ;; esac
    done | sort -u
}

# The suites that TESTS belong to.
suites_of_tests() {
    local found=
    case " $tests" in *.sql*) found+=' regress' ;; esac
    case " $tests" in *.spec*) found+=' isolation' ;; esac
    case " $tests" in *test/t/*) found+=' tap' ;; esac
    case " $tests" in *test/faults/*) found+=' faults' ;; esac
    [ -n "$found" ] ||
        die "TESTS: test/t/*.pl, test/faults/*.pl, sql/*.sql or test/isolation/specs/*.spec;" \
            "not $tests"
    echo "$found"
}

# number SED-SCRIPT FILE [DEFAULT]: the last number that the script prints, else DEFAULT or 0.
number() {
    local found
    found=$(sed -n "$1" "$2" 2> /dev/null | tail -n 1)
    echo "${found:-${3:-0}}"
}

# ---- The suites that need a server: each sets good and bad, the numbers of tests -----------------

need_server() {
    if [ ! -d "$work/server" ]; then start_server "$work/server"; fi
}

# pg_regress SUITE PROGRAM INPUT TEST...: run pg_regress or pg_isolation_regress on the throwaway
# server.
pg_regress() {
    local suite=$1 program=$2 input=$3
    shift 3
    good=0 bad=0
    [ $# != 0 ] || return 0
    need_server
    mkdir -p "$work/$suite"
    own "$work/$suite"
    as_server_user "$(dirname "$("$pg_config" --pgxs)")/../test/$program" --bindir="$stage_bin" \
        --inputdir="$input" --outputdir="$work/$suite" --host="$work/server" --user=postgres \
        --dbname="$suite" "$@" > "$logs/$suite.log" 2>&1 || true
    good=$(number 's/.*All \([0-9]*\) tests passed.*/\1/p' "$logs/$suite.log")
    bad=$(number 's/.*[^0-9]\([0-9]*\) of [0-9]* tests failed.*/\1/p' "$logs/$suite.log")
    if [ "$bad" != 0 ]; then
        good=$(number 's/.*[^0-9][0-9]* of \([0-9]*\) tests failed.*/\1/p' "$logs/$suite.log")
        good=$((good - bad))
    elif [ "$good" = 0 ]; then
        bad=1
    fi
    if [ "$bad" != 0 ]; then
        tail -n 30 "$logs/$suite.log"
        if [ -s "$work/$suite/regression.diffs" ]; then
            cp "$work/$suite/regression.diffs" "$logs/$suite.diffs"
            head -n 200 "$logs/$suite.diffs"
            say "All differences: $logs/$suite.diffs; results: $logs/$suite"
        fi
        rm -rf "${logs:?}/$suite"
        cp -r "$work/$suite/results" "$logs/$suite" 2> /dev/null || true
    fi
}

# test_regress [NAME]
test_regress() {
    local names
    # install comes first: it creates the extension that the other tests use.
    mapfile -t names < <(select_tests 'sql/*.sql' .sql | sed 's,.*/,,; s,\.sql$,,' |
        awk '{ print ($0 == "install" ? 0 : 1), $0 }' | sort -s -n -k 1,1 | cut -d ' ' -f 2)
    pg_regress "${1:-regress}" regress/pg_regress "$tree" "${names[@]}"
}

test_isolation() {
    local names
    mapfile -t names < <(select_tests 'test/isolation/specs/*.spec' .spec |
        sed 's,.*/,,; s,\.spec$,,')
    pg_regress isolation isolation/pg_isolation_regress "$tree/test/isolation" "${names[@]}"
}

# test_tap [SUITE [FOLDER]]: run the tests of test/t, of the folder named after the suite, or of
# FOLDER. Each suite has servers and logs of its own.
test_tap() {
    local files pgxs suite=${1:-tap} folder=${2:-${1:-t}}
    good=0 bad=0
    mapfile -t files < <(select_tests "test/$folder/*.pl" .pl | grep "^test/$folder/")
    [ ${#files[@]} != 0 ] || return 0
    pgxs=$(dirname "$("$pg_config" --pgxs)")/..
    mkdir -p "$work/$suite/log"
    own "$work/$suite"
    # Tests copy it instead of running initdb for each cluster.
    as_server_user initdb -D "$work/$suite/template" --auth=trust --encoding=UTF8 --locale=C \
        --no-sync > "$logs/$suite-template.log" 2>&1 || true
    (
        cd "$tree"
        as_server_user TMPDIR="$work" TESTDIR="$work/$suite" \
            TESTDATADIR="$work/$suite/tmp_check" TESTLOGDIR="$work/$suite/log" \
            PG_TEST_PORT_DIR="$work/$suite" INITDB_TEMPLATE="$work/$suite/template" \
            PG_REGRESS="$pgxs/test/regress/pg_regress" APPLICATION_ROLE="${APPLICATION_ROLE:-}" \
            PERL5LIB="$pgxs/test/perl:$tree/test/perl" \
            perl scripts/tap "${JOBS:-$cores}" "${files[@]}"
    ) 2>&1 | tee "$logs/$suite.log" || true
    good=$(number 's/^tap: \([0-9]*\) passed.*/\1/p' "$logs/$suite.log")
    bad=$(number 's/^tap: .* \([0-9]*\) failed$/\1/p' "$logs/$suite.log" 1)
    if [ "$bad" != 0 ]; then
        rm -rf "${logs:?}/$suite"
        mkdir -p "$logs/$suite"
        find "$work/$suite" -name '*.log' -exec cp {} "$logs/$suite" \; 2> /dev/null || true
        cp "$work/$suite"/tmp_check/log/* "$work/$suite"/log/* "$logs/$suite" 2> /dev/null || true
        say "Logs of the tests and their servers: $logs/$suite"
    fi
}
