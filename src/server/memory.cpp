// Allocation from a memory context of the server.
#include "server/memory.hpp"

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

void *ContextResource::do_allocate(std::size_t bytes, std::size_t alignment)
{
    // An invalid size would raise an error in spite of MCXT_ALLOC_NO_OOM.
    if (alignment > MAXIMUM_ALIGNOF || !AllocSizeIsValid(bytes))
        throw std::bad_alloc();
    MemoryContext const context = context_;
    void *const memory = call(
        [context, bytes] { return MemoryContextAllocExtended(context, bytes, MCXT_ALLOC_NO_OOM); });
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

void ContextResource::do_deallocate(void *memory, std::size_t, std::size_t) { pfree(memory); }

bool ContextResource::do_is_equal(const pmr::memory_resource &other) const noexcept
{
    const auto *const resource = dynamic_cast<const ContextResource *>(&other);
    return resource != nullptr && resource->context_ == context_;
}

} // namespace procrastinate::server
