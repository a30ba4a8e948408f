#include "upgrade/version_table_sync.hpp"

#include "chain/external_ids.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/setting_scope.hpp"
#include "sql/alembic_delete.hpp"
#include "sql/alembic_insert.hpp"
#include "sql/alembic_update.hpp"
#include "sql/django_delete.hpp"
#include "sql/django_insert.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/settings.hpp"
#include "upgrade/version_table.hpp"

#include <utility>

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using chain::DjangoNames;
using chain::Revision;
using common::Refusal;

// ---- Alembic ------------------------------------------------------------------------------------

// Nothing if the setting is empty or not to be trusted.
std::optional<VersionTable> open_alembic()
{
    return open_version_table("alembic_version", alembic_table());
}

// The rows of this chain, for a change from one revision to another.
struct AlembicRows
{
    chain::AlembicForm form;    // as long as the rows that it was read from
    bool has_from = false;      // a row of the revision before
    bool has_to = false;        // a row of the revision after
    bool has_any = false;       // a row of any revision of this chain
    bool is_clear = true;       // false: rows may be this chain's or another's
    bool has_two_forms = false; // ids of the revision it leaves: packages of two installations
};

AlembicRows alembic_rows(std::span<const chain::AlembicId> ids, chain::AlembicIds kind,
                         Revision from, Revision to)
{
    using chain::AlembicIds;
    AlembicRows rows{kind == AlembicIds::plain ? chain::plain_form : chain::zero_based_form};
    rows.has_any = !ids.empty();
    if (rows.has_any)
        rows.form = ids.front().form;
    for (const chain::AlembicId &id : ids)
        if (id.revision == from)
        {
            rows.has_two_forms = rows.has_two_forms || (rows.has_from && rows.form != id.form);
            rows.form = id.form;
            rows.has_from = true;
        }
    for (const chain::AlembicId &id : ids)
        rows.has_to = rows.has_to || (id.revision == to && id.form == rows.form);
    // Another chain may have such numbers: one counts if it is alone and says where the schema is.
    if (kind == AlembicIds::found && rows.has_any && rows.form.is_plain() &&
        (ids.size() > 1 || !(rows.has_from || rows.has_to)))
        rows.is_clear = false;
    return rows;
}

std::vector<chain::AlembicId> read_ids(const VersionTable &table, chain::AlembicIds kind)
{
    return own_alembic_ids(table.read(alembic_columns, "Alembic's"), kind);
}

// Why the rows are not in step with a change, and what to do.
NotSynced alembic_obstacle(const VersionTable &table, const AlembicRows &rows, Revision from,
                           Revision to)
{
    const std::string left = chain::alembic_id(from, rows.form);
    const std::string reached = chain::alembic_id(to, rows.form);
    const std::string stamp = "alembic stamp " + (reached.empty() ? "base" : reached);
    if (rows.has_two_forms)
        return {from, table.name,
                "Two of its rows are ids of " + std::string(chain::name(from)) + ".",
                "With the id of this installation's package: " + stamp};
    if (!rows.is_clear)
        return {from, table.name, "Its rows may be ids of this chain or of another.",
                "If 0001 is an id of this chain: SET "
                "procrastinate_migrate.alembic_ids = 'plain';\n"
                "If procrastinate_0000 is: SET "
                "procrastinate_migrate.alembic_ids = 'zero_based';"};
    return {from, table.name,
            left.empty() ? "It has a row of another revision." : "It has no row '" + left + "'.",
            stamp};
}

// Of the only row, in a table that may be another installation's.
NotSynced of_another(const VersionTable &table, const chain::AlembicId &row, chain::AlembicIds kind,
                     Revision since, Revision to)
{
    const std::string reached = chain::alembic_id(to, row.form);
    return {since, table.name,
            "Its row '" + chain::alembic_id(row.revision, row.form) +
                "' may be that of another installation in this database.",
            "If it is this installation's: alembic stamp " + (reached.empty() ? "base" : reached) +
                (row.form.is_plain() && kind != chain::AlembicIds::plain
                     ? "\nThen, before the next change: SET procrastinate_migrate.alembic_ids = "
                       "'plain';"
                     : "") +
                "\nIf it is another's: RESET " + table.setting + ";"};
}

// Nothing if the table is in step. `since`: where the call has found it out of step, else `from`.
std::optional<NotSynced> sync_alembic(const catalog::Installation &installation, Revision from,
                                      Revision to, Revision since)
{
    const std::optional<VersionTable> opened = open_alembic();
    if (!opened)
        return {};
    const VersionTable &table = *opened;
    const chain::AlembicIds kind = alembic_ids();
    const std::vector<chain::AlembicId> ids = read_ids(table, kind);
    const AlembicRows rows = alembic_rows(ids, kind, from, to);
    const std::string left = chain::alembic_id(from, rows.form);
    const std::string reached = chain::alembic_id(to, rows.form);
    const std::array both{spi::text_parameter(left), spi::text_parameter(reached)};
    const bool is_sure = !rows.has_two_forms && rows.is_clear;
    // A row that is moved makes `alembic upgrade` wrong for the installation that it belongs to. A
    // row that the call has met on its way, or that is only a number, may be another one's.
    const bool is_shared = table.schema != installation.schema && catalog::has_others(installation);
    const bool is_of_this =
        !is_shared ||
        (since == from && (!rows.form.is_plain() || kind == chain::AlembicIds::plain));
    const bool is_moved = is_sure && is_of_this && rows.has_from;
    if (is_moved && (to == chain::base || rows.has_to))
        table.write(sql::alembic_delete, std::span(both).first(1));
    else if (is_moved)
        table.write(sql::alembic_update, both);
    else if (is_sure && from == chain::base && !rows.has_any)
        table.write(sql::alembic_insert, std::span(both).last(1));
    else if (!is_sure || rows.has_from || (!rows.has_to && (to != chain::base || rows.has_any)))
        return is_shared && ids.size() == 1
                   ? of_another(table, ids.front(), kind, since, to)
                   : alembic_obstacle(table, alembic_rows(ids, kind, since, to), since, to);
    else if (rows.has_to)
        return NotSynced{since, table.name, {}, {}};
    return {};
}

// ---- Django -------------------------------------------------------------------------------------

constexpr std::array<server::RawColumn, 3> django_columns{
    {{"app", VARCHAROID}, {"name", VARCHAROID}, {"applied", TIMESTAMPTZOID}}};
constexpr std::string_view django_app = "procrastinate";

std::optional<VersionTable> open_django()
{
    return open_version_table("django_migrations", django_table());
}

DjangoNames require_names(Revision target)
{
    DjangoNames names(django_names());
    if (names.count() >= chain::django_count(target).with_sql)
        return names;
    throw Refusal{
        common::sqlstate::invalid_parameter,
        "procrastinate_migrate.django_names ends before " + std::string(chain::name(target)),
        "To sync Django's table, the setting must have the names of the migrations of the "
        "app \"procrastinate\" from 0001 to " +
            chain::django_prefix(target) + ", each number once.",
        "Set it to what this prints: manage.py showmigrations procrastinate"};
}

// For each name, whether it has a row.
std::vector<bool> django_rows(const VersionTable &table, const DjangoNames &names)
{
    const server::RawTable plain = table.read(django_columns, "Django's");
    std::vector<bool> applied(static_cast<std::size_t>(names.count()), false);
    for (std::size_t i = 0; i < plain.count(); ++i)
        if (plain.row(i).text(0) == django_app)
            if (const std::optional<int> number = names.number_of(plain.row(i).text(1)))
                applied[static_cast<std::size_t>(*number - 1)] = true;
    return applied;
}

enum class Applied
{
    yes,
    no
};

// The names from one number to another that have a row, or have none, separated by blanks.
std::string select(const DjangoNames &names, const std::vector<bool> &rows, Applied applied,
                   int first, int last)
{
    std::string selected;
    for (int number = first; number <= std::min(last, names.count()); ++number)
        if (rows[static_cast<std::size_t>(number - 1)] == (applied == Applied::yes))
            selected += (selected.empty() ? "" : " ") + std::string(names.name(number));
    return selected;
}

// As sync_alembic().
std::optional<NotSynced> sync_django(Revision from, Revision to, Revision since)
{
    const std::optional<VersionTable> opened = open_django();
    if (!opened)
        return {};
    const VersionTable &table = *opened;
    const DjangoNames names = require_names(std::max(from, to));
    const std::vector<bool> rows = django_rows(table, names);
    const auto missing_at = [&](Revision revision) {
        return select(names, rows, Applied::no, 1, chain::django_count(revision).with_sql);
    };
    const auto beyond = [&](Revision revision) {
        return select(names, rows, Applied::yes, chain::django_count(revision).all + 1,
                      chain::django_count(chain::head()).all);
    };
    const bool is_there = missing_at(to).empty() && beyond(to).empty();
    if (!missing_at(from).empty() || !beyond(from).empty())
    {
        if (is_there)
            return {};
        return NotSynced{since, table.name,
                         "Its rows of the app \"procrastinate\" are not those of " +
                             std::string(chain::name(since)) + ".",
                         "manage.py migrate --fake procrastinate " +
                             (to == chain::base ? "zero" : chain::django_prefix(to))};
    }
    const std::string added = select(names, rows, Applied::no, 1, chain::django_count(to).all);
    const std::string taken = beyond(to);
    if (!added.empty())
        table.write(sql::django_insert, std::array{spi::text_parameter(added)});
    if (!taken.empty())
        table.write(sql::django_delete, std::array{spi::text_parameter(taken)});
    return {};
}

void warn(const std::optional<NotSynced> &found)
{
    if (found && !found->why.empty())
        server::warning("table " + found->table + " was not synced", found->why, found->hint);
}

// The call that runs; null if each change raises its own WARNINGs.
constinit VersionTableWarnings *collecting = nullptr;

} // namespace

VersionTableWarnings::VersionTableWarnings() : outer_(std::exchange(collecting, this)) {}

VersionTableWarnings::~VersionTableWarnings() { collecting = outer_; }

void VersionTableWarnings::raise(const catalog::Installation &installation, Revision reached)
{
    std::vector<std::string> told;
    for (const std::optional<NotSynced> &found :
         {std::exchange(alembic_, {}), std::exchange(django_, {})})
        if (found && !found->why.empty())
        {
            warn(found);
            told.push_back(found->table);
        }
    if (std::exchange(has_adopted_, false))
        server::with_search_path(nullptr,
                                 [&] { warn_of_external_versions(installation, reached, told); });
}

void VersionTableWarnings::sync(const catalog::Installation &installation, Revision from,
                                Revision to)
{
    alembic_ = sync_alembic(installation, from, to, alembic_ ? alembic_->since : from);
    django_ = sync_django(from, to, django_ ? django_->since : from);
}

void warn_after_adoption(const catalog::Installation &installation, Revision revision)
{
    if (collecting != nullptr)
        collecting->has_adopted_ = true;
    else
        warn_of_external_versions(installation, revision);
}

void require_syncable(Revision target)
{
    if (collecting == nullptr || !std::exchange(collecting->has_told_steered_, true))
        for (const auto &[setting, value] : {std::pair("alembic_version", alembic_table()),
                                             std::pair("django_migrations", django_table())})
            warn_if_steered(setting, value);
    if (const auto alembic = open_alembic())
        (void)read_ids(*alembic, alembic_ids());
    if (const auto django = open_django())
        (void)django_rows(*django, require_names(target));
}

void sync_version_tables(const catalog::Installation &installation, Revision from, Revision to)
{
    if (from == to)
        return;
    if (collecting != nullptr)
        return collecting->sync(installation, from, to);
    warn(sync_alembic(installation, from, to, from));
    warn(sync_django(from, to, from));
}

} // namespace procrastinate::upgrade
