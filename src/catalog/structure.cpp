#include "catalog/structure.hpp"

#include "catalog/function_settings.hpp"
#include "catalog/readable.hpp"
#include "common/quoting.hpp"
#include "server/definition_size.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "sql/structure.hpp"

namespace procrastinate::catalog
{

namespace
{

namespace spi = server::spi;

constinit spi::PlannedQuery structure_query{[] { return std::string(sql::structure); }};

// True if the function has a body that fails on this version of the server.
bool fails_here(const CatalogObject &function)
{
    const auto bodies = chain::function_bodies();
    return !function.body.empty() &&
           std::any_of(bodies.begin(), bodies.end(), [&function](const auto &one) {
               return (one.md5 == function.body || one.md5 == function.lf_body) &&
                      one.fails_before > server::major_version;
           });
}

// The installation's schema as it stands before a name, in plain text and in a string literal.
struct Qualifiers
{
    std::string plain;
    std::string in_literal;

    explicit Qualifiers(const char *quoted_schema)
        : plain(std::string(quoted_schema) + "."), in_literal(common::doubled(plain, "'"))
    {
    }
};

bool is_part_of_identifier(char one)
{
    return static_cast<unsigned char>(one) >= 0x80 || (one >= '0' && one <= '9') ||
           (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || one == '_' || one == '$' ||
           one == '"' || one == '.';
}

void remove_qualifier(std::string &text, std::string_view qualifier, std::size_t from)
{
    constexpr std::string_view ours = "procrastinate_";
    for (std::size_t at = text.find(qualifier, from); at != std::string::npos;
         at = text.find(qualifier, at))
    {
        if ((at > 0 && is_part_of_identifier(text[at - 1])) ||
            text.compare(at + qualifier.size(), ours.size(), ours) != 0)
        {
            ++at;
            continue;
        }
        text.erase(at, qualifier.size());
    }
}

// The text without the installation's schema, as the facts spell it. Leaves the first `from` bytes.
std::string_view unqualified(std::string_view text, const Qualifiers &qualifiers, std::size_t from,
                             server::pmr::memory_resource &memory)
{
    if (text.find('.', from) == std::string_view::npos)
        return text;
    std::string short_text(text);
    remove_qualifier(short_text, qualifiers.plain, from);
    if (qualifiers.in_literal != qualifiers.plain)
        remove_qualifier(short_text, qualifiers.in_literal, from);
    if (short_text.size() == text.size())
        return text;
    auto *const copy = static_cast<char *>(memory.allocate(short_text.size(), 1));
    std::copy(short_text.begin(), short_text.end(), copy);
    return {copy, short_text.size()};
}

// The elements of a text[], in the memory of the row.
std::span<const std::string_view> elements_of(std::optional<Datum> array,
                                              server::pmr::memory_resource &memory)
{
    if (!array)
        return {};
    struct Elements
    {
        Datum *values;
        int count;
    };
    const Elements elements = server::call([&array] {
        Elements found{};
        deconstruct_array(DatumGetArrayTypeP(*array), TEXTOID, -1, false, TYPALIGN_INT,
                          &found.values, nullptr, &found.count);
        return found;
    });
    const auto count = static_cast<std::size_t>(elements.count);
    auto *const views = static_cast<std::string_view *>(
        memory.allocate(count * sizeof(std::string_view), alignof(std::string_view)));
    for (std::size_t i = 0; i < count; ++i)
    {
        const auto *const text = reinterpret_cast<const varlena *>(elements.values[i]);
        new (&views[i]) std::string_view(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
    }
    return {views, count};
}

// Turns the rows of structure.sql into objects.
class Reader
{
  public:
    Reader(const spi::Rows &rows, const Installation &installation, const Qualifiers &qualifiers,
           server::pmr::memory_resource &memory)
        : rows_(rows), installation_(installation), qualifiers_(qualifiers), memory_(memory)
    {
    }

    CatalogObject object(std::uint64_t row) const
    {
        CatalogObject object{};
        object.kind = chain::kind_named(word(row, 1)).value_or(chain::Kind::relation);
        object.key = word(row, 2);
        object.name = word(row, 3);
        object.table = word(row, 4);
        // The dot in "procrastinate_jobs.lock" follows a table, even if a schema has that name.
        const bool is_part =
            object.kind == chain::Kind::column || object.kind == chain::Kind::constraint;
        object.text =
            unqualified(word(row, 5), qualifiers_, is_part ? object.key.size() : 0, memory_);
        read_parts(object, row);
        object.body = word(row, 13);
        object.flaw = fails_here(object) ? Flaw::broken : flaw_named(word(row, 14));
        object.owner = word(row, 15);
        object.class_id = DatumGetObjectId(rows_.datum(row, 16).value_or(0));
        object.object_id = DatumGetObjectId(rows_.datum(row, 17).value_or(0));
        object.sub_id = DatumGetInt32(rows_.datum(row, 18).value_or(0));
        return object;
    }

  private:
    std::string_view word(std::uint64_t row, int column) const
    {
        return rows_.text(row, column).value_or("");
    }

    std::string_view part(std::uint64_t row, int column) const
    {
        return unqualified(word(row, column), qualifiers_, 0, memory_);
    }

    void read_parts(CatalogObject &object, std::uint64_t row) const
    {
        switch (object.kind)
        {
        case chain::Kind::table:
            object.is_plain_table = rows_.boolean(row, 11);
            break;
        case chain::Kind::column:
            object.type = part(row, 6);
            object.collation = word(row, 7);
            object.default_value = part(row, 8);
            object.generated = word(row, 9);
            object.is_not_null = rows_.boolean(row, 11);
            break;
        case chain::Kind::constraint:
            object.clause = part(row, 6);
            break;
        case chain::Kind::index:
            object.clause = part(row, 6);
            object.is_unique = rows_.boolean(row, 11);
            break;
        case chain::Kind::enum_type:
            object.labels = elements_of(rows_.datum(row, 12), memory_);
            break;
        case chain::Kind::sequence:
            object.type = word(row, 6);
            object.settings = word(row, 7);
            object.columns = word(row, 10);
            break;
        case chain::Kind::function:
            object.key = part(row, 2);
            object.declaration = part(row, 6);
            object.settings = part(row, 7);
            object.lf_body = word(row, 8);
            object.stripped_body = word(row, 9);
            object.kind_of_settings = settings_of(object, row);
            break;
        case chain::Kind::trigger:
            object.is_constraint_trigger = rows_.boolean(row, 11);
            break;
        default:
            break;
        }
    }

    Settings settings_of(const CatalogObject &function, std::uint64_t row) const
    {
        if (function.settings.empty())
            return Settings::none;
        // There may be thousands of others, and each look at a path takes its time.
        const auto facts = chain::facts();
        if (std::none_of(facts.begin(), facts.end(), [&function](const chain::Fact &fact) {
                return fact.kind == chain::Kind::function && fact.key == function.key;
            }))
            return Settings::others;
        return kind_of_settings(elements_of(rows_.datum(row, 12), memory_), installation_,
                                word(row, 15));
    }

    const spi::Rows &rows_;
    const Installation &installation_;
    const Qualifiers &qualifiers_;
    server::pmr::memory_resource &memory_;
};

// pg_get_constraintdef() and the like print what is committed, not what the query's snapshot sees.
// Under the locks the two are the same. Returns false if `lock` has for one of the tables.
bool lock_tables(Oid schema, bool (*lock)(Oid table))
{
    bool are_locked = true;
    for (const chain::Fact &fact : chain::facts())
        if (fact.kind == chain::Kind::table)
        {
            const std::string table(fact.name);
            are_locked = are_locked && server::call([&table, schema, lock] {
                             const Oid oid = get_relname_relid(table.c_str(), schema);
                             return !OidIsValid(oid) || lock(oid);
                         });
        }
    server::call([] { AcceptInvalidationMessages(); });
    return are_locked;
}

bool lock_after_waiting(Oid table)
{
    LockRelationOid(table, AccessShareLock);
    return true;
}

// pg_get_expr() and the like open the table, also that of an index which only has a name of ours.
void require_readable_tables(Oid schema)
{
    std::vector<Oid> tables;
    for (const chain::Fact &fact : chain::facts())
    {
        const std::string name(fact.name);
        const bool is_table = fact.kind == chain::Kind::table;
        const Oid table = server::call([&name, schema, is_table] {
            const Oid oid = get_relname_relid(name.c_str(), schema);
            const char kind = get_rel_relkind(oid);
            return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX
                       ? server::table_of_index(oid)
                   : is_table ? oid
                              : InvalidOid;
        });
        if (OidIsValid(table) && std::find(tables.begin(), tables.end(), table) == tables.end())
            tables.push_back(table);
    }
    for (const Oid table : tables)
        require_readable(table);
}

// Any role that may create functions in the schema can create as many as it likes.
constexpr std::int64_t most_objects = 5'000;
// They do not count: the owner of the installation cannot drop those of other roles.
constexpr std::int64_t most_views = 100;

std::int64_t count_without_views(const spi::Rows &rows)
{
    std::int64_t count = 0;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        count += rows.text(row, 1) == "view" ? 0 : 1;
    return count;
}

} // namespace

server::pmr::vector<CatalogObject> structure(const Installation &installation,
                                             server::pmr::memory_resource &memory)
{
    using chain::Kind;
    const std::array parameters{
        spi::oid_parameter(installation.schema),
        spi::text_parameter(chain::names_of(
            {Kind::table, Kind::index, Kind::sequence, Kind::composite, Kind::enum_type})),
        spi::text_parameter(chain::names_of({Kind::function})),
        spi::int8_parameter(most_objects + most_views + 1),
        spi::int8_parameter(most_views),
        spi::text_parameter(chain::names_of({Kind::table}))};
    (void)lock_tables(installation.schema, lock_after_waiting);
    require_readable_tables(installation.schema);
    const int level = server::open_settings();
    server::set("quote_all_identifiers", "off");
    const spi::Rows rows = spi::read_latest(structure_query, parameters);
    const std::string name(installation.name);
    const Qualifiers qualifiers(server::call([&name] { return quote_identifier(name.c_str()); }));
    server::close_settings(level);

    if (count_without_views(rows) > most_objects)
        throw common::Refusal{
            common::sqlstate::untrusted_object,
            in_schema(installation) + " has more than " + std::to_string(most_objects) +
                " objects with names of Procrastinate's, or on its tables",
            "They are too many to compare, and Procrastinate has created few of them.",
            "Drop the functions of these names, or the indexes and columns, that are yours."};

    const Reader reader(rows, installation, qualifiers, memory);
    server::pmr::vector<CatalogObject> objects(&memory);
    objects.reserve(rows.count());
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        objects.push_back(reader.object(row));
    return objects;
}

bool try_lock(const Installation &installation)
{
    return lock_tables(installation.schema, [](Oid table) {
        return ConditionalLockRelationOid(table, AccessShareLock);
    });
}

} // namespace procrastinate::catalog
