# procrastinate_migrate: the build.
#
# Building and installing is PGXS, as for any extension:
#
#     make                      the library, and its bitcode where the server has a JIT
#     make install              into the server that PG_CONFIG names
#     make installcheck         pg_regress and isolation tests against a running server
#     make PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config
#     make CXX=clang++          another compiler
#     make WERROR=              a compiler that warns is no reason to stop
#
# VPATH builds work (make -f SOURCE/Makefile in an empty folder). The goals listed by `make help`
# are scripts: they need no PostgreSQL to start with, so they are kept apart from PGXS, which also
# claims the name `check`.

all:

PG_CONFIG ?= pg_config
WERROR ?= -Werror

scripted := help quickstart check check-matrix check-debug bench bench-online format lint dependencies

here := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))
in_source = $(patsubst $(here)/%,%,$(wildcard $(addprefix $(here)/,$(1))))

LIBRARY_SOURCES := $(sort $(call in_source,src/*.cpp src/*/*.cpp))
# What knows no server, and is tested without one.
CORE_SOURCES := $(sort $(call in_source,src/chain/*.cpp src/common/*.cpp)) src/catalog/drift.cpp src/catalog/repair_statements.cpp \
	src/catalog/severity.cpp src/catalog/definition_text.cpp src/upgrade/sql_text.cpp
UNIT_SOURCES := $(sort $(call in_source,test/unit/*.cpp))

# Migrations and tables are compiled in: embed.awk turns them into C++ literals.
EMBEDDED := src/embedded.inc
EMBEDDED_FROM := $(addprefix $(here)/,src/data/chain.tsv src/data/releases.tsv src/data/structure.tsv \
	src/data/upstream_bodies.tsv src/data/function_bodies.tsv $(sort $(call in_source,src/migrations/*.sql)) \
	$(sort $(call in_source,src/migrations/online/*.sql)))

# Queries: src/sql/NAME.sql becomes src/sql/NAME.hpp, which holds it as procrastinate::sql::NAME.
QUERIES := $(patsubst %.sql,%.hpp,$(sort $(call in_source,src/sql/*.sql)))

OUR_CPPFLAGS = -Isrc -I$(here)/src
OUR_CXXFLAGS = -std=c++20 -Wall -Wextra $(WERROR) -fvisibility=hidden -fvisibility-inlines-hidden
# The server's own flags are those of the compiler that built it; clang does not know all of them. And
# it warns of PG_MODULE_MAGIC in PostgreSQL 18, which names some fields of a structure and not all.
CLANG_CXXFLAGS = -Wno-unknown-warning-option -Wno-missing-designated-field-initializers

$(EMBEDDED): $(here)/src/embed.awk $(EMBEDDED_FROM)
	@mkdir -p $(@D)
	LC_ALL=C awk -f $(here)/src/embed.awk $(EMBEDDED_FROM) > $@.new
	mv -f $@.new $@

src/sql/%.hpp: $(here)/src/sql/%.sql $(here)/src/embed_query.awk
	@mkdir -p $(@D)
	LC_ALL=C awk -f $(here)/src/embed_query.awk $< > $@.new
	mv -f $@.new $@

ifneq (,$(filter $(scripted) unit,$(MAKECMDGOALS)))

# ---- Scripts ------------------------------------------------------------------------------------

.PHONY: $(scripted) unit

help:
	@$(here)/scripts/help

quickstart check check-matrix check-debug bench bench-online format lint:
	@PG_CONFIG='$(if $(filter-out undefined default file,$(origin PG_CONFIG)),$(PG_CONFIG))' \
	    SUITES='$(SUITES)' TESTS='$(TESTS)' VERSIONS='$(VERSIONS)' $(here)/scripts/$@

dependencies:
	@$(here)/scripts/dependencies check

# The part that knows no server, with GoogleTest and the sanitizers.
UNIT_FLAGS := $(OUR_CPPFLAGS) -std=c++20 -Wall -Wextra $(WERROR) -O2 -g -pthread -D_GLIBCXX_ASSERTIONS \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_OBJECTS := $(patsubst %.cpp,build/unit/%.o,$(CORE_SOURCES) $(UNIT_SOURCES))

unit: build/unit/tests

build/unit/tests: $(UNIT_OBJECTS)
	$(CXX) $(UNIT_FLAGS) -o $@ $^ -lgtest_main -lgtest

build/unit/%.o: $(here)/%.cpp | $(EMBEDDED)
	@mkdir -p $(@D)
	$(CXX) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

-include $(UNIT_OBJECTS:.o=.d)

# Goals of the other half, asked for in the same breath.
others := $(filter-out $(scripted) unit,$(MAKECMDGOALS))
ifneq (,$(others))
.PHONY: $(others)
$(others):
	+$(MAKE) -f $(firstword $(MAKEFILE_LIST)) $@
endif

else

# ---- PGXS ---------------------------------------------------------------------------------------

EXTENSION = procrastinate_migrate
MODULE_big = procrastinate_migrate
OBJS = $(LIBRARY_SOURCES:.cpp=.o)
DATA = $(call in_source,src/procrastinate_migrate--*.sql)
PGFILEDESC = "procrastinate_migrate - schema migrations of the Procrastinate job queue"

# install comes first: it makes the extension that the others find.
REGRESS = $(filter install,$(ALL_REGRESS)) $(filter-out install,$(ALL_REGRESS))
ALL_REGRESS = $(sort $(basename $(notdir $(call in_source,sql/*.sql))))
ISOLATION = $(sort $(basename $(notdir $(call in_source,test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(here)/test/isolation

# -isystem: warnings are errors in our code, not in the server's headers.
PG_CPPFLAGS = $(OUR_CPPFLAGS) -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CXXFLAGS = $(OUR_CXXFLAGS) -MMD -MP $(if $(findstring clang,$(shell $(CXX) --version)),$(CLANG_CXXFLAGS))

EXTRA_CLEAN = $(EMBEDDED) $(EMBEDDED).new $(QUERIES) $(QUERIES:=.new) $(OBJS:.o=.d) $(OBJS:.o=.bc.d) src/built_for build output_iso

# PGXS finds the sources by itself only if the server was built outside of its own.
ifneq ($(realpath $(here)),$(CURDIR))
VPATH := $(here)
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)
# Debian has the two in packages of their own.
ifneq (2,$(words $(wildcard $(PGXS) $(shell $(PG_CONFIG) --includedir-server)/postgres.h)))
$(error no PGXS or headers by $(PG_CONFIG): install the server's development files (scripts/dependencies build) or set PG_CONFIG)
endif
include $(PGXS)

# C++ is linked by the C++ compiler; PGXS would take the one for C.
override COMPILER = $(CXX) $(CXXFLAGS)
# Instances of the standard library's templates are not hidden by the compiler; the linker can.
ifneq (,$(filter linux freebsd,$(PORTNAME)))
SHLIB_LINK += -Wl,--version-script=$(here)/src/exports.map
$(MODULE_big)$(DLSUFFIX): $(here)/src/exports.map
endif

# PG_CXXFLAGS does not reach the compiler that makes the bitcode.
override BITCODE_CXXFLAGS += $(OUR_CXXFLAGS) $(CLANG_CXXFLAGS) -MMD -MP -MF $(basename $@).bc.d

BITCODES := $(OBJS:.o=.bc)
# What is generated has to be there before the first compilation; who includes it is in the .d files.
$(OBJS) $(BITCODES): src/built_for | $(EMBEDDED) $(QUERIES)

# Objects made for another server or by another compiler are made anew.
BUILT_FOR := $(shell $(PG_CONFIG) --version; $(CXX) --version | head -n 1)
src/built_for: FORCE
	@mkdir -p $(sort $(dir $(OBJS)))
	@echo '$(BUILT_FOR)' | cmp -s - $@ || echo '$(BUILT_FOR)' > $@

.PHONY: FORCE
FORCE:

-include $(OBJS:.o=.d) $(BITCODES:.bc=.bc.d)

endif
