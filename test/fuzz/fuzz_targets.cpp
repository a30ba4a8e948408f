// Targets, ranges and releases, as any role can pass them to a function.
#include "chain/range.hpp"

#include "require.hpp"

namespace
{

namespace chain = procrastinate::chain;
namespace common = procrastinate::common;

bool is_revision(chain::Revision revision)
{
    return chain::base <= revision && revision <= chain::head();
}

// Calls `body`, which may only throw a Refusal with a message and a hint or a detail.
template <typename Body> void resolve(Body body)
{
    try
    {
        body();
    }
    catch (const common::Refusal &refusal)
    {
        require(refusal.sqlstate.size() == 5 && !refusal.message.empty());
        require(refusal.message.size() < 1000 && refusal.hint.size() < 4000);
    }
}

} // namespace

// The first byte is the current revision, the rest is the text.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view text(reinterpret_cast<const char *>(data) + 1, size - 1);
    chain::CurrentRevision current;
    if (*data <= chain::head())
        current.revision = *data;
    resolve([&] { require(is_revision(chain::resolve_target(text, current))); });
    resolve([&] {
        const chain::Range range = chain::resolve_range(text, current);
        require(is_revision(range.start) && is_revision(range.end) && range.start <= range.end);
    });
    resolve([&] { require(chain::resolve_release(text).name == text); });
    require(chain::excerpt(text).size() <= chain::longest_name + 10);
    return 0;
}
