// A post migration drops what old code calls: before it does, whoever still calls it is looked for.
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

class InUseCheck
{
  public:
    // Notes how often functions have been called up to now, where track_functions counts them. Inside an
    // SPI connection and under a search_path of the server's own.
    void begin(const catalog::Installation &installation);

    // Before the migration to that revision. A pre one: notes which workers have registered by now. A post
    // one that drops functions: throws Refusal PM013 with
    // - the sessions whose last query calls one, and those that have listened for jobs since before the
    //   release's pre migration; as far as the caller may see them;
    // - the workers that were there before a pre migration of this call and still send heartbeats;
    // - the functions that have been called since begin().
    // A warning, once, where there are sessions of which the caller may not know what they call.
    // `options` are the call's, for the hint.
    // False: it is too early to tell of the last; in another transaction it has to be asked again.
    bool allows(const catalog::Installation &installation, chain::Revision revision,
                const CallOptions &options);

  private:
    std::map<std::string, std::int64_t, std::less<>> calls_;
    std::int64_t began_ = 0;
    bool has_told_ = false;              // that sessions cannot be seen
    std::int64_t newest_old_worker_ = 0; // 0: none before this call's last pre migration
};

// The names of functions that the migration to a revision drops, and leaves none of that name.
std::vector<std::string_view> dropped_functions(chain::Revision revision);

} // namespace procrastinate::online
