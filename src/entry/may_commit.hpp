// Whether a procedure may commit.
#pragma once

#include "server/postgres.hpp"

namespace procrastinate::entry
{

// True in a procedure that was called outside of a transaction block.
inline bool may_commit(FunctionCallInfo fcinfo)
{
    const auto *const context = reinterpret_cast<const CallContext *>(fcinfo->context);
    return context != nullptr && IsA(context, CallContext) && !context->atomic &&
           !IsSubTransaction();
}

} // namespace procrastinate::entry
