// A piece of work that may fail and be undone, so that the transaction can go on.
#pragma once

#include "server/cancel_watch.hpp"

namespace procrastinate::server
{

// For the functions below.
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

// Runs `body` in a subtransaction; where it fails, nothing of it is left, and the error goes on. Always
// so: the server would take a transaction that ends inside for one of BEGIN's. `body` needs an SPI
// connection from outside, if any.
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

// The same, and false where it could not have a lock. A cancel that came at the same moment goes on. Not
// within another.
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
