// A piece of work that may fail and be undone, so that the transaction can go on.
#pragma once

#include "server/cancel_watch.hpp"

namespace procrastinate::server
{

// For attempt() and undone() below.
struct Subtransaction
{
    MemoryContext context;
    ResourceOwner owner;

    static Subtransaction begin();
    void commit() const;
    void roll_back() const;
};

// Whether an error tells of a lock that could not be had: 55P03 (lock_timeout), 40P01 (deadlock).
bool is_of_lock(const ServerError &error);

// Runs `body` in a subtransaction. False where it could not have a lock, and nothing of it is left;
// other errors go on, and so does a cancel that came at the same moment. `body` needs an SPI
// connection from outside, if any. Not within another.
template <typename Body> bool attempt(Body &&body)
{
    const CancelWatch watch;
    const Subtransaction transaction = Subtransaction::begin();
    try
    {
        body();
    }
    catch (const ServerError &error)
    {
        // Always: the server would take a transaction that ends inside for one of BEGIN's.
        transaction.roll_back();
        if (!is_of_lock(error))
            throw;
        CancelWatch::require_none();
        return false;
    }
    catch (...)
    {
        transaction.roll_back();
        throw;
    }
    transaction.commit();
    return true;
}

// Runs `body` in a subtransaction of which nothing is left in any case. As above of SPI.
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
