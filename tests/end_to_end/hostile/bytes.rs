//! Bytes that are no component, or no honest one: random, truncated, altered, far too long, of another world.

use oast_engine::measure;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    components::{Guest, apply},
    *,
};

fn refusal(bytes: &[u8]) -> String {
    match engine().load(bytes) {
        Ok(_) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_hundred_megabytes_are_refused_unread() {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.resize(100 << 20, 0);
    assert_eq!(refusal(&bytes), "the component needs 104857600 bytes, more than the limit of 67108864");
}

/// A custom section is neither code nor data, but it counts as bytes.
#[test]
fn a_component_may_carry_a_large_custom_section() {
    let honest = Guest::new(&[], &apply("(i32.const 1024)")).component();
    let mut bytes = honest.clone();
    let section = vec![b'x'; 20 << 20];
    // Section 0, its length in seven-bit groups, a name of one byte, and the rest.
    bytes.extend([0, 0x82, 0x80, 0x80, 0x0a, 1, b'n']);
    bytes.extend(&section);
    let custom_bytes = |bytes: &[u8]| measure(bytes).expect("a component that is not too large").custom_bytes;
    assert_eq!(custom_bytes(&bytes) - custom_bytes(&honest), 20 << 20);
    assert_eq!(refusal(&bytes), "none");
}

#[test]
fn random_bytes_are_no_component() {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..512),
        proptest::collection::vec(any::<u8>(), 0..512).prop_map(|tail| [&b"\0asm\x0d\0\x01\0"[..], &tail].concat()),
        proptest::collection::vec((0_u8..12, 0_u8..4, any::<u8>()), 0..64).prop_map(|sections| {
            let section =
                |(id, length, byte): (u8, u8, u8)| [vec![id, length], vec![byte; usize::from(length)]].concat();
            [b"\0asm\x0d\0\x01\0".to_vec(), sections.into_iter().flat_map(section).collect()].concat()
        }),
    ];
    always(2000, bytes, |bytes| {
        let error = engine().load(&bytes).err().expect("random bytes are no plugin");
        let refused = matches!(error, EngineError::Invalid(_) | EngineError::World(_) | EngineError::TooLarge { .. });
        assert!(refused, "{error:?}");
    });
}

/// A component with some of its bytes altered is refused, or it runs and ends as any guest does.
#[test]
fn altered_components_are_refused_or_run() {
    let honest = Guest::new(&[], &apply("(i32.store (i32.const 1028) (i32.const 1)) (i32.const 1024)")).component();
    let length = honest.len();
    let alterations = proptest::collection::vec((0..length, any::<u8>()), 1..4);
    let mut ran = 0;
    always(600, alterations, |alterations| {
        let mut bytes = honest.clone();
        for (at, byte) in alterations {
            bytes[at] = byte;
        }
        ran += u32::from(!ended(&bytes).starts_with("refused: "));
    });
    assert!(ran > 0, "some alterations do not matter");
}

/// Runs a check on as many cases, which are the same every time.
fn always<S: Strategy>(cases: u32, strategy: S, mut check: impl FnMut(S::Value)) {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    for _ in 0..cases {
        check(strategy.new_tree(&mut runner).expect("a case").current());
    }
}

#[test]
fn other_worlds_are_refused_by_name() {
    let exports = |text: &str| refusal(&wat::parse_str(text).expect("a component as text"));
    let neither = |what: &str| {
        format!(
            "the component exports {what}, which is neither the world `row-transform` nor `aggregation` of \
             `oast:transform@0.2.0` or an earlier version of it"
        )
    };
    let honest = Guest::new(&[], &apply("(i32.const 1024)")).text();
    assert_eq!(exports("(component)"), neither("nothing"));
    let renamed = honest.replace("oast:transform/transform@0.1.0", "oast:transform/transform@9.0.0");
    assert_eq!(exports(&renamed), neither("`oast:transform/plugin@0.1.0`, `oast:transform/transform@9.0.0`"));
    let renamed = honest.replace("oast:transform/transform@0.1.0", "oast:transform/aggregate@0.1.0");
    assert_eq!(exports(&renamed), neither("`oast:transform/plugin@0.1.0`, `oast:transform/aggregate@0.1.0`"));
    let renamed = honest.replace(r#"(export "apply" (func $apply))"#, r#"(export "supply" (func $apply))"#);
    assert_eq!(exports(&renamed), neither("`oast:transform/plugin@0.1.0`, `oast:transform/transform@0.1.0`"));
}
