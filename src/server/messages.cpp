#include "server/messages.hpp"

namespace procrastinate::server
{

namespace
{

struct Message
{
    int level;
    std::string_view message;
    std::string_view detail;
    std::string_view hint;
    SourceLocation location;
};

// The length as "%.*s" takes it.
int length(std::string_view text) { return static_cast<int>(text.size()); }

// As ereport(), which would name this file and line.
void send(const Message &sent)
{
    call([&sent] {
        if (!errstart(sent.level, TEXTDOMAIN))
            return;
        errmsg_internal("%.*s", length(sent.message), sent.message.data());
        if (!sent.detail.empty())
            errdetail_internal("%.*s", length(sent.detail), sent.detail.data());
        if (!sent.hint.empty())
            errhint("%.*s", length(sent.hint), sent.hint.data());
        errfinish(sent.location.file, sent.location.line, sent.location.function);
    });
}

} // namespace

void notice(std::string_view message, std::string_view detail, SourceLocation location)
{
    send({NOTICE, message, detail, {}, location});
}

void warning(std::string_view message, std::string_view detail, std::string_view hint,
             SourceLocation location)
{
    send({WARNING, message, detail, hint, location});
}

} // namespace procrastinate::server
