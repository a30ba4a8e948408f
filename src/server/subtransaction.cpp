// Runs work in a subtransaction, so that the transaction can go on after an error.
#include "server/subtransaction.hpp"

namespace procrastinate::server
{

Subtransaction Subtransaction::begin()
{
    const Subtransaction before{CurrentMemoryContext, CurrentResourceOwner};
    call([before] {
        BeginInternalSubTransaction(nullptr);
        // Results, and errors above all, must outlive the subtransaction.
        MemoryContextSwitchTo(before.context);
    });
    return before;
}

void Subtransaction::commit() const
{
    call([this] {
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    });
}

void Subtransaction::roll_back() const
{
    call([this] {
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    });
}

bool is_of_lock(const ServerError &error)
{
    const int code = error.data()->sqlerrcode;
    return code == ERRCODE_LOCK_NOT_AVAILABLE || code == ERRCODE_T_R_DEADLOCK_DETECTED;
}

} // namespace procrastinate::server
