use std::sync::LazyLock;

use arbitrary::Unstructured;
use oast_engine::make_nans_canonical;
use wasmtime::{
    Config, Engine, Extern, ExternType, Instance, Module, Store, StoreLimits, StoreLimitsBuilder, Trap, Val, ValType,
};

/// NaNs as they are, and made canonical by wasmtime at once.
static ENGINES: LazyLock<[Engine; 2]> = LazyLock::new(|| {
    [false, true].map(|canonical| {
        let mut config = Config::new();
        config.cranelift_nan_canonicalization(canonical);
        Engine::new(&config).expect("the settings agree")
    })
});

/// Generated code whose NaNs the engine makes canonical where they are seen, and the same code whose NaNs wasmtime makes
/// canonical at once: nothing that can be seen of the two differs.
pub fn nan_rule(bytes: &[u8]) {
    let Some(module) = oast_generate::module(&mut Unstructured::new(bytes)) else { return };
    let rewritten = make_nans_canonical(&module).expect("a generated module is valid");
    let [as_they_are, at_once] = &*ENGINES;
    let (ours, theirs) = (seen(as_they_are, &rewritten), seen(at_once, &module));
    // How deep a stack gets depends on the code that is generated.
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        assert_eq!(ours, theirs);
    }
}

/// What all functions of a module return or die of, one after the other, and what is in its memories and global variables then.
/// Nothing if a stack overflows.
fn seen(engine: &Engine, module: &[u8]) -> Option<Vec<String>> {
    let module = Module::new(engine, module).expect("the module is valid");
    let mut store: Store<StoreLimits> = Store::new(engine, StoreLimitsBuilder::new().memory_size(16 << 20).build());
    store.limiter(|limits| limits);
    let instance = match Instance::new(&mut store, &module, &[]) {
        Ok(instance) => instance,
        Err(error) => return died(&error).map(|end| vec![end]),
    };
    let mut seen = Vec::new();
    for export in module.exports() {
        let ExternType::Func(function) = export.ty() else { continue };
        for number in [0x7ff0_0000_0000_0001, 0xfff8_0000_0000_0000, 0x3ff8_0000_0000_0000] {
            let parameters: Vec<Val> = function.params().map(|each| value(&each, number)).collect();
            let mut results = vec![Val::I32(0); function.results().len()];
            let exported = instance.get_func(&mut store, export.name()).expect("it is exported");
            seen.push(match exported.call(&mut store, &parameters, &mut results) {
                Ok(()) => results.iter().map(|value| format!("{}: {} ", export.name(), bits(value))).collect(),
                Err(error) => died(&error)?,
            });
        }
    }
    let exports: Vec<_> = instance.exports(&mut store).map(|export| export.into_extern()).collect();
    seen.extend(exports.into_iter().filter_map(|export| match export {
        Extern::Global(global) => Some(bits(&global.get(&mut store))),
        Extern::Memory(memory) => {
            let written = memory.data(&store).iter().enumerate().filter(|(_, byte)| **byte != 0);
            Some(written.map(|(at, byte)| format!("{at}: {byte:x} ")).collect())
        }
        _ => None,
    }));
    Some(seen)
}

/// What a call died of, unless its stack overflowed.
fn died(error: &wasmtime::Error) -> Option<String> {
    let trap = error.downcast_ref::<Trap>();
    (trap != Some(&Trap::StackOverflow)).then(|| error.root_cause().to_string())
}

fn value(value_type: &ValType, number: u64) -> Val {
    match value_type {
        ValType::I32 => Val::I32(number as i32),
        ValType::I64 => Val::I64(number as i64),
        ValType::F32 => Val::F32((number >> 32) as u32 | 1),
        ValType::F64 => Val::F64(number),
        ValType::V128 => Val::V128((u128::from(number) << 64 | u128::from(number)).into()),
        ValType::Ref(reference) => Val::null_ref(reference.heap_type()),
    }
}

fn bits(value: &Val) -> String {
    match value {
        Val::I32(number) => format!("{number:#x}"),
        Val::I64(number) => format!("{number:#x}"),
        Val::F32(bits) => format!("{bits:#x}"),
        Val::F64(bits) => format!("{bits:#x}"),
        Val::V128(lanes) => format!("{:#x}", lanes.as_u128()),
        _ => "a reference".to_owned(),
    }
}
