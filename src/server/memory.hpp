// Memory that belongs to the server, for Boost.Container's containers: freed with its context,
// whether or not a destructor gets to run.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::server
{

// As boost::container::pmr, but that every container is told whose memory it takes. Boost's own
// polymorphic_allocator falls back on a default resource, which lives in a library that we do not
// link; only an optimiser that sees that it never does would leave it out.
namespace pmr
{

using boost::container::pmr::memory_resource;

template <typename T> class Allocator
{
  public:
    using value_type = T;

    Allocator(memory_resource *memory) noexcept : memory_(memory) {}
    template <typename U> Allocator(const Allocator<U> &other) noexcept : memory_(other.memory()) {}

    T *allocate(std::size_t count)
    {
        if (count > SIZE_MAX / sizeof(T))
            throw std::bad_alloc();
        return static_cast<T *>(memory_->allocate(count * sizeof(T), alignof(T)));
    }
    void deallocate(T *objects, std::size_t count) noexcept
    {
        memory_->deallocate(objects, count * sizeof(T), alignof(T));
    }

    memory_resource *memory() const noexcept { return memory_; }

    template <typename U> bool operator==(const Allocator<U> &other) const noexcept
    {
        return memory_ == other.memory() || memory_->is_equal(*other.memory());
    }

  private:
    memory_resource *memory_;
};

template <typename T> using vector = boost::container::vector<T, Allocator<T>>;
using string = boost::container::basic_string<char, std::char_traits<char>, Allocator<char>>;

} // namespace pmr

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

// A copy, ended by a NUL as C wants it.
inline pmr::string copy_of(std::string_view text, pmr::memory_resource &memory)
{
    return {text.data(), text.size(), &memory};
}

// Boost's vector does not turn into a span by itself.
template <typename T> std::span<const T> span_of(const pmr::vector<T> &vector)
{
    return {vector.data(), vector.size()};
}

} // namespace procrastinate::server
