// Containers whose memory belongs to a memory context of the server.
//
// The memory is freed with the context even if an error skips the destructors.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::server
{

// As boost::container::pmr, but without a default memory resource: every container names its own.
// Boost's default resource is in libboost_container, which we do not link.
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

// Allocates from a memory context. Throws std::bad_alloc if there is no memory, or for a size that
// the server does not allow (1 GB and more).
class ContextResource final : public pmr::memory_resource
{
  public:
    // Uses the current memory context.
    ContextResource() : context_(CurrentMemoryContext) {}

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override;
    void do_deallocate(void *memory, std::size_t bytes, std::size_t alignment) override;
    bool do_is_equal(const pmr::memory_resource &other) const noexcept override;

    MemoryContext context_;
};

// A copy of the text that ends with a NUL.
inline pmr::string copy_of(std::string_view text, pmr::memory_resource &memory)
{
    return {text.data(), text.size(), &memory};
}

// The vector as a span; Boost's vector does not convert to one.
template <typename T> std::span<const T> span_of(const pmr::vector<T> &vector)
{
    return {vector.data(), vector.size()};
}

} // namespace procrastinate::server
