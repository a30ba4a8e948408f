// Reads the arguments of an SQL-callable function.
#include "server/arguments.hpp"

namespace procrastinate::server
{

namespace
{

const char *text_of(Datum value)
{
    return call([value] { return TextDatumGetCString(value); });
}

Datum interval_of_text(Datum argument)
{
    return call([argument] {
        return DirectFunctionCall3(interval_in, CStringGetDatum(TextDatumGetCString(argument)),
                                   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    });
}

} // namespace

std::optional<std::string_view> Arguments::text(int index) const
{
    if (is_null(index))
        return std::nullopt;
    const Datum argument = value(index);
    const struct varlena *const text =
        call([argument] { return PG_DETOAST_DATUM_PACKED(argument); });
    return std::string_view(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
}

std::optional<Oid> Arguments::oid(int index) const
{
    return is_null(index) ? std::nullopt : std::optional(DatumGetObjectId(value(index)));
}

std::optional<std::string_view> Arguments::name(int index) const
{
    return is_null(index) ? std::nullopt
                          : std::optional<std::string_view>(NameStr(*DatumGetName(value(index))));
}

std::optional<bool> Arguments::boolean(int index) const
{
    return is_null(index) ? std::nullopt : std::optional(DatumGetBool(value(index)));
}

std::optional<double> Arguments::milliseconds(int index) const
{
    if (is_null(index))
        return std::nullopt;
    const Datum argument = type(index) == TEXTOID ? interval_of_text(value(index)) : value(index);
    const Interval *const interval = DatumGetIntervalP(argument);
    constexpr double day = 24.0 * 60 * 60 * 1000;
    return static_cast<double>(interval->time) / 1000 + day * interval->day +
           30 * day * interval->month;
}

Oid Arguments::type(int index) const
{
    return call([this, index] { return get_fn_expr_argtype(fcinfo_->flinfo, index); });
}

namespace
{

template <typename Value> Value required(std::optional<Value> argument, const char *name)
{
    if (!argument)
        throw common::Refusal{
            common::sqlstate::null_not_allowed, std::string(name) + " must not be null", {}, {}};
    return *argument;
}

} // namespace

std::string_view Arguments::required_text(int index, const char *name) const
{
    return required(text(index), name);
}

bool Arguments::required_boolean(int index, const char *name) const
{
    return required(boolean(index), name);
}

int Arguments::required_integer(int index, const char *name) const
{
    return required(is_null(index) ? std::nullopt : std::optional(DatumGetInt32(value(index))),
                    name);
}

std::vector<std::string> Arguments::required_texts(int index, const char *name) const
{
    const Datum array = required(is_null(index) ? std::nullopt : std::optional(value(index)), name);
    struct Elements
    {
        Datum *values;
        bool *nulls;
        int count;
    };
    const Elements elements = call([array] {
        Elements found{};
        deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
                          &found.values, &found.nulls, &found.count);
        return found;
    });
    std::vector<std::string> texts;
    for (int i = 0; i < elements.count; ++i)
    {
        const Datum element =
            required(elements.nulls[i] ? std::nullopt : std::optional(elements.values[i]), name);
        texts.emplace_back(text_of(element));
    }
    return texts;
}

double Arguments::required_milliseconds(int index, const char *name) const
{
    return required(milliseconds(index), name);
}

Datum text_result(std::string_view text)
{
    return call([text] {
        return PointerGetDatum(
            cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
    });
}

} // namespace procrastinate::server
