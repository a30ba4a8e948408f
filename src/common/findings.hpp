// Lists of findings for a message's DETAIL: one sentence a line, cut off after a few.
#pragma once

#include <string>
#include <vector>

namespace procrastinate::common
{

// Collects findings and shows the first `limit` of them, then how many there are beyond.
class Findings
{
  public:
    explicit Findings(int limit = 5) : limit_(limit) {}

    // A finding is a sentence without its full stop.
    void add(const std::string &finding);
    void add(const std::vector<std::string> &findings);

    bool any() const { return count_ > 0; }
    int count() const { return count_; }

    // The lines of DETAIL, each with a full stop; empty without findings.
    std::string text() const;

  private:
    int limit_;
    int count_ = 0;
    std::string text_;
};

// The text with an upper-case first letter, if that is an ASCII letter.
std::string capitalized(std::string text);

// A clause as a sentence: capitalized, and with a full stop.
std::string sentence(std::string clause);

} // namespace procrastinate::common
