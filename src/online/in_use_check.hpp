// The in-use check: before a post migration drops functions, looks for code of older releases that
// calls them.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "online/call_options.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::online
{

enum class Use
{
    none_seen,
    not_counted_yet // the server counts calls with a delay: ask again in a later transaction
};

// Names of functions that the migration to `revision` drops, and of which no version is left.
std::vector<std::string_view> dropped_functions(chain::Revision revision);

// All functions of the class run inside an SPI connection and under a search_path of the server's
// own.
class InUseCheck
{
  public:
    // Reads how often functions have been called up to now, if the setting track_functions is on.
    void begin(const catalog::Installation &installation);

    // To be called before the migration to `revision`, as the caller, who may see the queries of
    // more sessions than the installation's owner. Tables are read as `owner`. `options` are the
    // call's, for the hint.
    //
    // A pre migration: notes which workers are registered; reads procrastinate_workers (ACCESS
    // SHARE). A post migration that drops functions: throws Refusal PM013 with
    // - the sessions whose last query calls one of them, and those that have listened for jobs
    //   since before the release's pre migration, as far as the caller may see them. Sessions of
    //   roles that may neither insert nor update jobs do not count;
    // - the workers that were registered before a pre migration of this call and still send
    //   heartbeats;
    // - the functions that have been called since begin().
    // Raises a WARNING, once, if the caller may not see the queries of some of these sessions.
    Use check(const catalog::Installation &installation, Oid owner, chain::Revision revision,
              const CallOptions &options);

  private:
    using Calls = std::map<std::string, std::int64_t, std::less<>>; // by function

    Calls calls_;
    std::int64_t began_ = 0;
    bool has_warned_ = false;
    std::int64_t newest_old_worker_ = 0; // 0: none before this call's last pre migration

    std::vector<std::string> called_since(const Calls &calls,
                                          const std::vector<std::string_view> &names) const;
};

} // namespace procrastinate::online
