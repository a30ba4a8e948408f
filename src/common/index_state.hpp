// What the catalog shows of an index that an online step builds.
#pragma once

namespace procrastinate::common
{

enum class IndexState
{
    absent,
    invalid, // left by a concurrent build that failed, or that is running
    valid,
    on_another_table // an index of this name belongs to another table
};

} // namespace procrastinate::common
