# procrastinate_migrate: build rules.
#
# Building and installing is PGXS, as for any extension:
#
#     make                      build the library
#     make install              install it into the server that PG_CONFIG names
#     make installcheck         run pg_regress and isolation tests on a running server
#     make PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config
#     make CXX=clang++          build with another compiler
#     make WERROR=-Werror       treat warnings as errors, as the tests and CI do
#     make with_llvm=yes        build and install the bitcode too
#
# VPATH builds work (make -f SOURCE/Makefile in an empty folder). The other goals that `make help`
# lists are scripts. They run without PostgreSQL, and PGXS has a goal `check` of its own, so they
# are kept apart from PGXS.

all:

PG_CONFIG ?= pg_config
# Empty here: a newer compiler's new warnings must not stop the build of a release.
WERROR ?=

scripted := help quickstart facts scripts docs drill check check-matrix check-debug bench \
	bench-online format lint dependencies deb dist

here := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))
in_source = $(patsubst $(here)/%,%,$(wildcard $(addprefix $(here)/,$(1))))

LIBRARY_SOURCES := $(sort $(call in_source,src/*.cpp src/*/*.cpp))
# Sources that include no server header; the unit tests link them.
CORE_SOURCES := $(sort $(call in_source,src/chain/*.cpp src/common/*.cpp)) src/catalog/drift.cpp \
	src/catalog/object_comparison.cpp src/catalog/renames.cpp src/catalog/repair_statements.cpp \
	src/catalog/creation_statements.cpp src/catalog/revision_evidence.cpp \
	src/catalog/revision_match.cpp src/catalog/severity.cpp \
	src/catalog/definition_text.cpp src/upgrade/sql_text.cpp src/online/next_action.cpp
UNIT_SOURCES := $(sort $(call in_source,test/unit/*.cpp))

# embed.pl checks migrations and tables and turns them into C++ literals. One source file includes
# the result. The time of a folder says that a file has come or gone.
EMBEDDED := src/embedded.inc
EMBEDDED_FROM := $(addprefix $(here)/,src/embed.pl src/migrations src/migrations/online \
	$(sort $(call in_source,src/embed/*.pm src/data/*.tsv src/data/*.sql src/migrations/*.sql \
	src/migrations/online/*.sql)))

# src/sql/NAME.sql becomes src/sql/NAME.hpp, which defines the string procrastinate::sql::NAME.
QUERIES := $(patsubst %.sql,%.hpp,$(sort $(call in_source,src/sql/*.sql)))

OUR_CPPFLAGS = -Isrc -I$(here)/src
OUR_CXXFLAGS = -std=c++20 -Wall -Wextra $(WERROR) -fvisibility=hidden -fvisibility-inlines-hidden
# PGXS passes the flags of the compiler that built the server, and clang does not know all of them.
# clang also warns about PG_MODULE_MAGIC in PostgreSQL 18, which initialises some fields only.
CLANG_CXXFLAGS = -Wno-unknown-warning-option -Wno-missing-designated-field-initializers

$(EMBEDDED): $(EMBEDDED_FROM)
	@mkdir -p $(@D)
	LC_ALL=C perl $(here)/src/embed.pl $(here)/src > $@.new
	mv -f $@.new $@

src/sql/%.hpp: $(here)/src/sql/%.sql $(here)/src/embed_query.awk
	@mkdir -p $(@D)
	LC_ALL=C awk -f $(here)/src/embed_query.awk $< > $@.new
	mv -f $@.new $@

ifneq (,$(filter $(scripted) unit fuzz,$(MAKECMDGOALS)))

# ---- Scripts ------------------------------------------------------------------------------------

.PHONY: $(scripted) unit fuzz

help:
	@$(here)/scripts/help

quickstart facts scripts docs drill check check-matrix check-debug bench bench-online format lint \
deb dist:
	@PG_CONFIG='$(if $(filter-out undefined default file,$(origin PG_CONFIG)),$(PG_CONFIG))' \
	    SUITES='$(SUITES)' TESTS='$(TESTS)' VERSIONS='$(VERSIONS)' $(here)/scripts/$@

dependencies:
	@$(here)/scripts/dependencies check

# Unit tests: the sources without a server header, with GoogleTest and the sanitizers.
UNIT_FLAGS := $(OUR_CPPFLAGS) -std=c++20 -Wall -Wextra $(WERROR) -O2 -g -pthread \
	-D_GLIBCXX_ASSERTIONS -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
UNIT_OBJECTS := $(patsubst %.cpp,build/unit/%.o,$(CORE_SOURCES) $(UNIT_SOURCES))

unit: build/unit/tests

build/unit/tests: $(UNIT_OBJECTS)
	$(CXX) $(UNIT_FLAGS) -o $@ $^ -lgtest_main -lgtest

build/unit/%.o: $(here)/%.cpp | $(EMBEDDED)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

-include $(UNIT_OBJECTS:.o=.d)

# Fuzz targets: the same sources, with clang's libFuzzer and the sanitizers. make check-debug runs
# them.
FUZZ_CXX ?= clang++
FUZZ_FLAGS := $(OUR_CPPFLAGS) -std=c++20 -Wall -Wextra $(WERROR) -O1 -g -fno-sanitize-recover=all
FUZZ_PROGRAMS := $(patsubst test/fuzz/%.cpp,build/fuzz/%,$(call in_source,test/fuzz/*.cpp))
FUZZ_OBJECTS := $(patsubst %.cpp,build/fuzz/%.o,$(CORE_SOURCES))

fuzz: $(FUZZ_PROGRAMS)

build/fuzz/fuzz_%: build/fuzz/test/fuzz/fuzz_%.o $(FUZZ_OBJECTS)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^

build/fuzz/%.o: $(here)/%.cpp | $(EMBEDDED)
	@mkdir -p $(@D)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

.SECONDARY: $(FUZZ_OBJECTS) $(FUZZ_PROGRAMS:build/fuzz/%=build/fuzz/test/fuzz/%.o)
-include $(FUZZ_OBJECTS:.o=.d) $(FUZZ_PROGRAMS:build/fuzz/%=build/fuzz/test/fuzz/%.d)

# PGXS goals in the same command line (make check install): a second make builds them.
others := $(filter-out $(scripted) unit fuzz,$(MAKECMDGOALS))
ifneq (,$(others))
.PHONY: $(others)
$(others):
	+$(MAKE) -f $(firstword $(MAKEFILE_LIST)) $@
endif

else

# ---- PGXS ---------------------------------------------------------------------------------------

# For static analysis, which needs the generated headers and no library.
.PHONY: generated
generated: $(EMBEDDED) $(QUERIES)

EXTENSION = procrastinate_migrate
MODULE_big = procrastinate_migrate
OBJS = $(LIBRARY_SOURCES:.cpp=.o)
DATA = $(call in_source,src/procrastinate_migrate--*.sql)
# make scripts writes dist/, which need not be there.
DOCS = $(call in_source,README.md docs/*.md dist/*.sql)
PGFILEDESC = "procrastinate_migrate - schema migrations of the Procrastinate job queue"

# install comes first: it creates the extension that the other tests use.
REGRESS = $(filter install,$(ALL_REGRESS)) $(filter-out install,$(ALL_REGRESS))
ALL_REGRESS = $(sort $(basename $(notdir $(call in_source,sql/*.sql))))
ISOLATION = $(sort $(basename $(notdir $(call in_source,test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(here)/test/isolation

# -isystem: no warnings about the server's headers.
# -U: a compiler that predefines _FORTIFY_SOURCE would warn when the server's flags define it again.
PG_CPPFLAGS = $(OUR_CPPFLAGS) -isystem $(shell $(PG_CONFIG) --includedir-server) \
	$(if $(findstring -D_FORTIFY_SOURCE,$(CPPFLAGS) $(CXXFLAGS)),-U_FORTIFY_SOURCE)
# PGXS adds COPT to the flags of the C compiler only.
PG_CXXFLAGS = $(OUR_CXXFLAGS) -MMD -MP \
	$(if $(findstring clang,$(shell $(CXX) --version)),$(CLANG_CXXFLAGS)) $(COPT)

EXTRA_CLEAN = $(EMBEDDED) $(EMBEDDED).new $(QUERIES) $(QUERIES:=.new) $(OBJS:.o=.d) \
	$(OBJS:.o=.bc.d) src/built_for build output_iso

# Bitcode lets the JIT inline functions into a query. It adds about 70 % to the CPU time of a build,
# and no query gains from it: measured with jit on, 20,000 calls of procrastinate_migration_sql()
# took 137 ms without it and 157 ms with it, most of it spent in the JIT compiler.
# `override`, because the server's Makefile.global assigns with_llvm too.
override with_llvm := $(or $(with_llvm),no)

# PGXS sets VPATH only if the server itself was built outside of its source tree.
ifneq ($(realpath $(here)),$(CURDIR))
VPATH := $(here)
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)
# Debian ships PGXS and the headers in a package of their own.
ifneq (2,$(words $(wildcard $(PGXS) $(shell $(PG_CONFIG) --includedir-server)/postgres.h)))
$(error $(PG_CONFIG) names no PGXS or no headers: install the server's development files \
(scripts/dependencies build) or set PG_CONFIG)
endif
include $(PGXS)

ifneq (,$(filter 7.% 8.% 9.% 10 11 12 13 14,$(MAJORVERSION)))
$(error PostgreSQL 15 or newer is needed, and $(PG_CONFIG) is of $(VERSION))
endif

# PGXS installs the documents of all extensions into one folder, where another extension's README.md
# would take the place of ours.
docmoduledir := $(docmoduledir)/$(EXTENSION)

# PGXS installs docs/NAME as NAME, but would remove docs/NAME.
.PHONY: uninstall-docs
uninstall: uninstall-docs
uninstall-docs:
	rm -rf '$(DESTDIR)$(docdir)/$(docmoduledir)'

# PGXS links with the C compiler; a C++ library needs the C++ compiler.
override COMPILER = $(CXX) $(CXXFLAGS)
# -fvisibility=hidden does not hide instances of the standard library's templates; the linker does.
ifneq (,$(filter linux freebsd,$(PORTNAME)))
SHLIB_LINK += -Wl,--version-script=$(here)/src/exports.map
$(MODULE_big)$(DLSUFFIX): $(here)/src/exports.map
endif

# PG_CXXFLAGS does not reach the compiler that makes the bitcode.
override BITCODE_CXXFLAGS += $(OUR_CXXFLAGS) $(CLANG_CXXFLAGS) -MMD -MP -MF $(basename $@).bc.d

BITCODES := $(OBJS:.o=.bc)
# A VPATH build has no folders yet. Absolute names, because VPATH would find those of the sources.
FOLDERS := $(addprefix $(CURDIR)/,$(sort $(dir $(OBJS))))
$(FOLDERS):
	@mkdir -p $@

# Generated headers must exist before the first compilation, hence order-only. The .d files say
# which objects include which of them, so that a changed query recompiles its users only.
$(OBJS) $(BITCODES): src/built_for | $(EMBEDDED) $(QUERIES) $(FOLDERS)

# probe MESSAGE: compile standard input, or fail with a message instead of the compiler's hundreds.
probe = { $(CXX) $(CPPFLAGS) -std=c++20 -fsyntax-only -x c++ - 2> /dev/null || \
	{ echo '$(strip $(1))' >&2; exit 1; }; }

# Another server or another compiler: compile everything again.
BUILT_FOR := $(shell $(PG_CONFIG) --version; $(CXX) --version | head -n 1)
ifneq ($(BUILT_FOR),$(shell cat src/built_for 2> /dev/null))
src/built_for: FORCE
endif
src/built_for: | $(FOLDERS)
	@printf '#if __cplusplus < 202002L\n#error\n#endif\n' | $(call probe,\
	    $(CXX) does not compile C++20: use g++ 11 or clang 14 or newer)
	@echo '#include <boost/container/pmr/memory_resource.hpp>' | $(call probe,\
	    no headers of Boost.Container: install them (Debian: libboost-dev))
	@echo '$(BUILT_FOR)' > $@

.PHONY: FORCE
FORCE:

-include $(OBJS:.o=.d) $(BITCODES:.bc=.bc.d)

endif
