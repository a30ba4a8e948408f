// The comparison of a catalog with the facts: a schema in which objects are lost, doubled or
// changed.
#include "../unit/schema.hpp"

#include "require.hpp"

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
namespace test = procrastinate::test;

} // namespace

// The first byte is the revision, then three bytes for a change: its kind, and which object.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, std::size_t size)
{
    if (size == 0)
        return 0;
    const chain::Revision revision = *data % (chain::head() + 1);
    test::Schema schema(revision);
    auto &objects = schema.objects();
    require(catalog::Comparison(objects).with(revision).empty());
    for (std::size_t at = 1; at + 3 <= size && at < 64 && !objects.empty(); at += 3)
    {
        const auto place = (data[at + 1] * 256U + data[at + 2]) % objects.size();
        switch (data[at] % 4)
        {
        case 0:
            objects.erase(objects.begin() + static_cast<std::ptrdiff_t>(place));
            break;
        case 1:
            objects.push_back(objects[place]);
            break;
        case 2:
            objects[place].clause = objects[place].declaration = objects[place].type = "changed";
            break;
        default:
            objects[place].name = "renamed";
            break;
        }
    }
    for (const chain::Revision other : {chain::base, revision, chain::head()})
    {
        const auto differences = catalog::Comparison(objects).with(other);
        require(catalog::repair_statements(differences, other, "schema").size() ==
                differences.size());
    }
    (void)catalog::closest_revisions(objects);
    return 0;
}
