// Sync of Alembic's and Django's version tables with a change, in the same transaction and in those
// tools' own ids.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

#include <optional>
#include <string>

namespace procrastinate::upgrade
{

// Checks the tables that the settings procrastinate_migrate.alembic_version and .django_migrations
// name, before the change's first write. Locks them (open_version_table). Throws Refusal 22023 if a
// setting names no table, or if procrastinate_migrate.django_names lacks a name up to `target`;
// 42501 and PM010 as open_version_table() does. Inside an SPI connection.
void require_syncable(chain::Revision target);

// Alembic: changes the row of `from` to one of `to`. Django: adds or deletes the rows between the
// two. Changes no other row. If the table is not at `from`, it is left as it is, with a WARNING;
// see VersionTableWarnings. So is Alembic's row if it may be that of another installation of the
// database. Inside an SPI connection.
void sync_version_tables(const catalog::Installation &installation, chain::Revision from,
                         chain::Revision to);

// A version table that has been left as it is.
struct NotSynced
{
    chain::Revision since; // the revision that the first change of the call has left
    std::string table;     // qualified and quoted
    std::string why;       // empty: it is at the revision reached, so there is no WARNING
    std::string hint;
};

// Keeps the WARNINGs of a call that makes several changes: the command in a HINT names a revision,
// which the next change leaves. As long as the object exists, sync_version_tables() and
// warn_after_adoption() raise none, and require_syncable() raises those of a setting that is not
// followed once. A call that fails raises none.
class VersionTableWarnings
{
  public:
    VersionTableWarnings();
    ~VersionTableWarnings();
    VersionTableWarnings(const VersionTableWarnings &) = delete;
    VersionTableWarnings &operator=(const VersionTableWarnings &) = delete;

    // At the end of the call: at most one WARNING for each table, with the revision that the call
    // has reached. Inside an SPI connection.
    void raise(const catalog::Installation &installation, chain::Revision reached);

  private:
    friend void require_syncable(chain::Revision target);
    friend void sync_version_tables(const catalog::Installation &installation, chain::Revision from,
                                    chain::Revision to);
    friend void warn_after_adoption(const catalog::Installation &installation,
                                    chain::Revision revision);
    void sync(const catalog::Installation &installation, chain::Revision from, chain::Revision to);

    VersionTableWarnings *outer_; // of a call whose statements have led to this one
    std::optional<NotSynced> alembic_;
    std::optional<NotSynced> django_;
    bool has_adopted_ = false;
    bool has_told_steered_ = false;
};

// WARNING if tables of other tools name another revision than the one that has been adopted.
// Inside an SPI connection and under a search_path of the server's own.
void warn_after_adoption(const catalog::Installation &installation, chain::Revision revision);

} // namespace procrastinate::upgrade
