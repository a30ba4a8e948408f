// NOTICE and WARNING messages to the client.
#include "server/messages.hpp"

namespace procrastinate::server
{

namespace
{

// The length as "%.*s" takes it.
int length(std::string_view text) { return static_cast<int>(text.size()); }

} // namespace

void notice(std::string_view message, std::string_view detail)
{
    call([=] {
        ereport(NOTICE,
                (errmsg_internal("%.*s", length(message), message.data()),
                 detail.empty() ? 0 : errdetail_internal("%.*s", length(detail), detail.data())));
    });
}

void warning(std::string_view message, std::string_view detail, std::string_view hint)
{
    call([=] {
        ereport(WARNING,
                (errmsg_internal("%.*s", length(message), message.data()),
                 detail.empty() ? 0 : errdetail_internal("%.*s", length(detail), detail.data()),
                 hint.empty() ? 0 : errhint("%.*s", length(hint), hint.data())));
    });
}

} // namespace procrastinate::server
