use std::sync::OnceLock;

use oast_core::{Batch, ColumnBuilder, DataType, Schema, Value};
use oast_engine::{Engine, Plugin};

use crate::{
    components::{Guest, apply, configure},
    run::{check_applied, limits},
};

/// The outputs that the first byte chooses from.
const OUTPUTS: [&[DataType]; 8] = [
    &[],
    &[DataType::Bool],
    &[DataType::Int64],
    &[DataType::Float64],
    &[DataType::Utf8],
    &[DataType::Binary],
    &[DataType::Vector(2)],
    &[DataType::Timestamp, DataType::Utf8],
];

/// Copies the bytes of its one row, a binary, to 1024 and returns that.
const ECHO: &str = "
    (memory.copy (i32.const 1024) (i32.load offset=12 (local.get $columns)) (i32.load offset=16 (local.get $columns)))
    (i32.const 1024)";

static PLUGINS: OnceLock<Vec<Plugin>> = OnceLock::new();

fn plugins() -> Vec<Plugin> {
    let configured = |output: &&[DataType]| {
        let configure = configure(&[DataType::Binary], output);
        let guest = Guest { configure, apply: apply(ECHO), options: "" };
        let component = Engine::shared().and_then(|engine| engine.load(&guest.component())).expect("it loads");
        component.configure("{}", &Schema::default(), limits()).expect("it configures")
    };
    OUTPUTS.iter().map(configured).collect()
}

/// Any values that a guest may return: after a byte that chooses the output, the input is what the guest's memory holds from
/// 1024 on, where its result begins. What the host accepts is in canonical form.
pub fn returned_values(bytes: &[u8]) {
    let Some((choice, memory)) = bytes.split_first() else { return };
    if memory.len() > 60_000 {
        return;
    }
    let plugins = PLUGINS.get_or_init(plugins);
    let plugin = &plugins[usize::from(*choice) % plugins.len()];
    let mut column = ColumnBuilder::new(DataType::Binary);
    column.push(Some(&Value::Binary(memory.to_vec())));
    let rows = Batch { rows: 1, columns: vec![column.finish()] };
    check_applied(plugin, plugin.transform().expect("a transform"), &rows);
}
