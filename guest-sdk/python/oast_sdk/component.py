"""Between the generated bindings and the SDK, inside the component only."""

from componentize_py_types import Err
from wit_world.exports import plugin as wit

from . import columns
from .outcome import described
from .schema import ConfigureError, DataType, Field
from .transform import DROP, KEEP, REJECT

TYPES = {
    "bool": (wit.DataType_Bool, wit.Buffer_Bools),
    "int64": (wit.DataType_Int64, wit.Buffer_Int64s),
    "float64": (wit.DataType_Float64, wit.Buffer_Float64s),
    "utf8": (wit.DataType_Utf8, wit.Buffer_Utf8),
    "binary": (wit.DataType_Binary, wit.Buffer_Binary),
    "timestamp": (wit.DataType_Timestamp, wit.Buffer_Timestamps),
    "vector": (wit.DataType_Vector, wit.Buffer_Vectors),
}
KINDS = {data_type: kind for kind, (data_type, _) in TYPES.items()}


def exports(plugin, name, version):
    """The classes that the world's interfaces are exported from."""
    faces = {"Plugin": plugin_class(plugin, name, version)}
    faces.update({"Transform": transform_class(plugin)} if plugin.kind == "transform" else {"Aggregate": aggregate_class(plugin)})
    return faces


def plugin_class(plugin, name, version):
    class Plugin:
        def configure(self, params, offered):
            return answered(lambda: configured(plugin, name, version, params, offered))

    return Plugin


def configured(plugin, name, version, params, offered):
    given, made = plugin.configure(params, list(map(field_in, offered)))
    documentation, listed = plugin.documentation, plugin.params.documentation()
    if listed:
        documentation += f"\n\n## Parameters\n\n{listed}"
    law = getattr(plugin, "merge_law", None)
    return wit.Descriptor(
        name,
        version,
        documentation,
        list(map(field_out, given)),
        list(map(field_out, made)),
        getattr(plugin, "order_sensitive", False),
        law and wit.MergeLaw[law.name],
    )


def transform_class(plugin):
    from wit_world.exports import transform as face

    verdicts_out = {KEEP: face.Verdict.KEEP, DROP: face.Verdict.DROP, REJECT: face.Verdict.REJECT}

    def applied(batch):
        verdicts, made, rejections = plugin.apply(batch.rows, columns_in(batch))
        return face.Output(
            batch_out(plugin, batch.rows, made),
            verdicts and [verdicts_out[verdict] for verdict in verdicts],
            [face.Rejection(*rejection) for rejection in rejections],
        )

    class Transform:
        def apply(self, input):
            return answered(lambda: applied(input))

    return Transform


def aggregate_class(plugin):
    class Aggregate:
        def update(self, states, group_rows, rows):
            return answered(lambda: blobs(plugin.update(split(states), group_rows, rows.rows, columns_in(rows))))

        def merge(self, states, group_states):
            return answered(lambda: blobs(plugin.merge(split(states), group_states)))

        def finish(self, states, group_states):
            return answered(lambda: batch_out(plugin, *plugin.finish(split(states), group_states)))

    return Aggregate


def answered(call):
    """What a call returns; whatever it raises becomes the contract's error, so that nothing traps."""
    try:
        return call()
    except ConfigureError as error:
        raise Err(str(error)) from None
    except BaseException as error:
        raise Err(described(error)) from None


def field_in(field):
    data_type = DataType(KINDS[type(field.data_type)], getattr(field.data_type, "value", 0))
    return Field(field.name, data_type, field.nullable)


def field_out(field):
    make = TYPES[field.data_type.kind][0]
    return wit.Field(field.name, make(field.data_type.width) if field.data_type.width else make(), field.nullable)


def columns_in(batch):
    return [(values_in(column.buffer), column.validity) for column in batch.columns]


def values_in(buffer):
    value = buffer.value
    if isinstance(value, wit.Blobs):
        return value.offsets, value.bytes
    return value.values if isinstance(value, wit.Vectors) else value


def batch_out(plugin, rows, made):
    pairs = zip(plugin.output, made)
    return wit.Batch(rows, [wit.Column(values_out(field, values), validity) for field, (values, validity) in pairs])


def values_out(field, values):
    make = TYPES[field.data_type.kind][1]
    if field.data_type.kind in ("utf8", "binary"):
        return make(wit.Blobs(*values))
    return make(wit.Vectors(field.data_type.width, values) if field.data_type.kind == "vector" else values)


def split(states):
    return columns.split(states.offsets, states.bytes, text=False)


def blobs(states):
    return wit.Blobs(*columns.join(states, text=False))
