// Result rows of a set-returning function, in materialize mode.
#include "server/rows.hpp"

namespace procrastinate::server
{

Row &Row::text(std::optional<std::string_view> value)
{
    cells_.push_back({std::optional<std::string>(value), std::nullopt});
    return *this;
}

Row &Row::text_or_null(std::string_view value)
{
    return text(value.empty() ? std::nullopt : std::optional(value));
}

Row &Row::boolean(std::optional<bool> value)
{
    return datum(value ? std::optional(BoolGetDatum(*value)) : std::nullopt);
}

Row &Row::datum(std::optional<Datum> value)
{
    cells_.push_back({std::nullopt, value});
    return *this;
}

RowSet::RowSet(FunctionCallInfo fcinfo)
    : result_(reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo)), memory_(call([fcinfo] {
          InitMaterializedSRF(fcinfo, 0);
          return AllocSetContextCreate(CurrentMemoryContext, "result row", ALLOCSET_SMALL_SIZES);
      }))
{
}

void RowSet::add(const Row &row)
{
    ReturnSetInfo *const result = result_;
    const Row *const cells = &row;
    MemoryContext const memory = memory_;
    call([cells, result, memory] {
        MemoryContextReset(memory);
        MemoryContext const before = MemoryContextSwitchTo(memory);
        Datum values[Row::most_cells];
        bool nulls[Row::most_cells];
        if (static_cast<int>(cells->cells_.size()) != result->setDesc->natts)
            elog(ERROR, "function is declared with %d columns and returns %zu",
                 result->setDesc->natts, cells->cells_.size());
        std::size_t column = 0;
        for (const Row::Cell &cell : cells->cells_)
        {
            nulls[column] = !cell.text && !cell.datum;
            values[column] = cell.text
                                 ? PointerGetDatum(cstring_to_text_with_len(
                                       cell.text->data(), static_cast<int>(cell.text->size())))
                                 : cell.datum.value_or(Datum(0));
            ++column;
        }
        MemoryContextSwitchTo(before);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
}

} // namespace procrastinate::server
