// Memory that belongs to the server, for Boost.Container's pmr containers: freed with its context,
// whether or not a destructor gets to run.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::server
{

namespace pmr = boost::container::pmr;

class ContextResource final : public pmr::memory_resource
{
  public:
    // The context in which the caller's results live.
    ContextResource() : context_(CurrentMemoryContext) {}

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override;
    void do_deallocate(void *memory, std::size_t bytes, std::size_t alignment) override;
    bool do_is_equal(const pmr::memory_resource &other) const noexcept override;

    MemoryContext context_;
};

// A copy, ended by a NUL as C wants it. (The constructor from a view would ask for the default
// resource, which lives in a library that we do not link.)
inline pmr::string copy_of(std::string_view text, pmr::memory_resource &memory)
{
    pmr::string copy(&memory);
    copy.assign(text.data(), text.size());
    return copy;
}

// Boost's vector does not turn into a span by itself.
template <typename T> std::span<const T> span_of(const pmr::vector<T> &vector)
{
    return {vector.data(), vector.size()};
}

} // namespace procrastinate::server
