// Runs work in a subtransaction, so that the transaction can go on after an error.
#pragma once

#include "server/cancel_watch.hpp"

namespace procrastinate::server
{

// Used by the functions below.
struct Subtransaction
{
    MemoryContext context;
    ResourceOwner owner;

    static Subtransaction begin();
    void commit() const;
    void roll_back() const;
};

// True for 55P03 (lock_timeout) and 40P01 (deadlock).
bool is_of_lock(const ServerError &error);

// Runs `body` in a subtransaction. If `body` throws, rolls back and throws the same.
//
// `body` must not commit, and must not leave an SPI connection open that it has opened.
template <typename Body> void in_subtransaction(Body &&body)
{
    const Subtransaction transaction = Subtransaction::begin();
    try
    {
        body();
    }
    catch (...)
    {
        transaction.roll_back();
        throw;
    }
    transaction.commit();
}

// The same, but returns false if `body` failed to get a lock (is_of_lock()). Throws 57014 if a
// cancel came at the same moment; see CancelWatch. Do not nest.
template <typename Body> bool attempt(Body &&body)
{
    const CancelWatch watch;
    try
    {
        in_subtransaction(body);
        return true;
    }
    catch (const ServerError &error)
    {
        if (!is_of_lock(error))
            throw;
        CancelWatch::require_none();
        return false;
    }
}

// Runs `body` in a subtransaction and rolls it back in any case. Returns the result of `body`,
// which must live outside the subtransaction.
template <typename Body> auto undone(Body &&body) -> std::invoke_result_t<Body &>
{
    const Subtransaction transaction = Subtransaction::begin();
    try
    {
        auto result = body();
        transaction.roll_back();
        return result;
    }
    catch (...)
    {
        transaction.roll_back();
        throw;
    }
}

} // namespace procrastinate::server
