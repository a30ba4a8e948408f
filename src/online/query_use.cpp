#include "online/query_use.hpp"

#include "server/query_tokens.hpp"

#include <algorithm>

namespace procrastinate::online
{

namespace
{

using server::QueryToken;

// True if the words before the name at `place` do not qualify it with another schema.
bool can_be_in(const std::vector<QueryToken> &tokens, std::size_t place, std::string_view schema)
{
    return place < 2 || tokens[place - 1].symbol != '.' || tokens[place - 2].word == schema;
}

bool begins_with_one_of(std::string_view word, std::string_view one, std::string_view other)
{
    return word.starts_with(one) || word.starts_with(other);
}

} // namespace

QueryUse use_in(std::string_view query, const catalog::Installation &installation,
                const std::vector<std::string_view> &functions)
{
    const std::vector<QueryToken> tokens = server::query_tokens(query);
    QueryUse use{};
    if (tokens.size() > 1 && tokens[0].word == "listen")
    {
        const std::string_view channel = tokens[1].word;
        use.listens = begins_with_one_of(channel, "procrastinate_queue", "procrastinate_any_queue");
        use.listens_to_new =
            begins_with_one_of(channel, "procrastinate_queue_v1", "procrastinate_any_queue_v1");
    }
    for (std::size_t i = 0; i + 1 < tokens.size() && use.called.empty(); ++i)
    {
        const auto called = std::find(functions.begin(), functions.end(), tokens[i].word);
        if (called != functions.end() && tokens[i + 1].symbol == '(' &&
            can_be_in(tokens, i, installation.name))
            use.called = *called;
    }
    return use;
}

} // namespace procrastinate::online
