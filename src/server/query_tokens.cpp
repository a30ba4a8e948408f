#include "server/query_tokens.hpp"

#include "server/memory.hpp"
#include "server/setting_scope.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::server
{

namespace
{

struct Scanned
{
    int code; // below 256 it is the character; 0 at the end
    int location;
    const char *text; // of a word or a string
};

class Scanner
{
  public:
    explicit Scanner(const char *query)
        : scanner_(
              call([&] { return scanner_init(query, &extra_, &ScanKeywords, ScanKeywordTokens); }))
    {
    }

    Scanned next()
    {
        return call([this]() -> Scanned {
            core_YYSTYPE value{};
            YYLTYPE location = 0;
            const int code = core_yylex(&value, &location, scanner_);
            return {code, static_cast<int>(location), value.str};
        });
    }

  private:
    core_yy_extra_type extra_{};
    core_yyscan_t scanner_; // its memory is the current context's
};

// The scanner returns the text of a word and of a string in the same way. U&'a', E'a' and B'1' are
// strings.
bool is_word(std::string_view rest)
{
    const auto first = static_cast<unsigned char>(rest.front());
    if (first == '"')
        return true;
    const bool is_letter = first == '_' || first >= 0x80 || (first >= 'a' && first <= 'z') ||
                           (first >= 'A' && first <= 'Z');
    return is_letter && rest.substr(1, 1) != "'" && rest.substr(1, 2) != "&'";
}

} // namespace

std::vector<QueryToken> query_tokens(std::string_view query)
{
    ContextResource memory;
    const pmr::string text = copy_of(query, memory);
    std::vector<QueryToken> tokens;
    // The scanner would tell this session's client of long names and backslashes in the query.
    const int level = open_settings();
    set("client_min_messages", "error");
    set("standard_conforming_strings", "on");
    try
    {
        in_subtransaction([&] {
            Scanner scanner(text.c_str());
            for (Scanned one = scanner.next(); one.code != 0; one = scanner.next())
                if (one.code < 256)
                    tokens.push_back({{}, static_cast<char>(one.code)});
                else if (is_word(query.substr(static_cast<std::size_t>(one.location))))
                    tokens.push_back({one.text, '\0'});
                else
                    tokens.push_back({{}, '\0'});
        });
    }
    catch (const ServerError &error)
    {
        // 0A000: a Unicode escape, in a database of an encoding that has no conversion.
        const int code = error.data()->sqlerrcode;
        if (ERRCODE_TO_CATEGORY(code) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION &&
            ERRCODE_TO_CATEGORY(code) != ERRCODE_DATA_EXCEPTION &&
            code != ERRCODE_FEATURE_NOT_SUPPORTED)
            throw;
    }
    close_settings(level);
    return tokens;
}

} // namespace procrastinate::server
