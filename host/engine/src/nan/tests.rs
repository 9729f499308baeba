use std::fmt::Write;

use proptest::prelude::*;
use wasmtime::{Engine, Instance, Module, Store};

use super::*;
use crate::config::{PROPOSALS, SEMANTICS, Semantics};

/// In a function of this code, NaNs are made canonical after these operators.
fn check(code: &str, expected: &str) {
    let module = format!(
        r#"(module (memory 1) (global $g (mut f64) (f64.const 0))
            (func $f (param $p f64) (result f64) (local $a f64) (local $b f64) (local $x f32) (local $n i32) {code}))"#
    );
    let module = wat::parse_str(module).expect("a module as text");
    assert_eq!(visible(&module), expected, "{code}");
    // What comes of it is valid.
    make_nans_canonical(&make_nans_canonical(&module).unwrap()).unwrap();
}

/// The operators of the only function of a module after which a value is made canonical.
fn visible(module: &[u8]) -> String {
    let mut validator = Validator::new_with_features(PROPOSALS);
    let payloads: Vec<_> = Parser::new(0).parse_all(module).map(Result::unwrap).collect();
    let mut found = payloads.iter().filter_map(|payload| match validator.payload(payload).unwrap() {
        ValidPayload::Func(function, body) => Some((function, body)),
        _ => None,
    });
    let (function, body) = found.next().expect("a function");
    let code = Code::read(&mut function.into_validator(FuncValidatorAllocations::default()), &body).unwrap();
    let name = |step: usize| {
        let mut operators = body.get_operators_reader().unwrap();
        loop {
            let operator = operators.read().unwrap();
            if operators.original_position() - body.range().start == code.steps[step].end {
                return format!("{operator:?}").split(' ').next().unwrap_or_default().to_owned();
            }
        }
    };
    code.visible().into_iter().map(|(step, _)| name(step)).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_nan_is_made_canonical_where_it_is_seen() {
    // At the end of a chain, and not within it.
    check("(f64.add (f64.mul (local.get $p) (local.get $p)) (f64.sqrt (local.get $p)))", "F64Add");
    // Not where only a number comes of it.
    check("(f64.convert_i32_s (f64.lt (f64.neg (local.get $p)) (f64.mul (local.get $p) (local.get $p))))", "");
    check("(f64.convert_i32_s (i32.trunc_f64_s (f64.mul (local.get $p) (local.get $p)))) (drop (local.get $p))", "");
    // In memory, as an integer, to others, by its sign.
    check("(f64.store (i32.const 0) (f64.mul (local.get $p) (local.get $p))) (local.get $p)", "F64Mul");
    check("(drop (i64.reinterpret_f64 (f64.sub (local.get $p) (local.get $p)))) (local.get $p)", "F64Sub");
    check("(call $f (f64.sub (local.get $p) (local.get $p))) (local.get $p) (f64.add)", "F64Sub F64Add");
    check("(global.set $g (f64.sub (local.get $p) (local.get $p))) (local.get $p)", "F64Sub");
    check("(f64.neg (f64.sub (local.get $p) (local.get $p)))", "F64Sub");
    check(
        "(f64.copysign (f64.sub (local.get $p) (local.get $p)) (f64.add (local.get $p) (local.get $p)))",
        "F64Sub F64Add",
    );
    check("(f64.abs (f64.sub (local.get $p) (local.get $p)))", "F64Abs");
    // What nothing computed with stays as it is.
    check("(f64.store (i32.const 0) (f64.load (i32.const 8))) (f64.neg (local.get $p))", "");
}

#[test]
fn a_local_variable_is_raw_while_all_that_is_written_to_it_may_be() {
    let twice = "(local.set $a (f64.mul (local.get $p) (local.get $p)))";
    check(&format!("{twice} (f64.add (local.get $a) (local.get $a))"), "F64Add");
    check(&format!("{twice} (local.get $a)"), "LocalGet");
    check(&format!("(local.set $a (local.get $p)) {twice} (local.get $a)"), "F64Mul");
    check(&format!("{twice} (local.set $a (f64.const nan:0x4)) (local.get $a)"), "F64Mul");
    check(&format!("{twice} (local.set $a (f64.const 4)) (local.get $a)"), "LocalGet");
    // What is written to it later counts too, by way of another variable as well.
    check(&format!("(local.get $b) {twice} (local.set $b (local.get $a)) (f64.add (local.get $b))"), "F64Add");
    check(
        &format!("(loop $again {twice} (local.set $b (local.get $a)) (local.set $a (local.get $p))) (local.get $b)"),
        "F64Mul",
    );
    check("(local.set $p (f64.add (local.get $p) (local.get $p))) (local.get $p)", "F64Add");
    check("(f64.store (i32.const 0) (local.tee $a (f64.add (local.get $p) (local.get $p)))) (f64.const 0)", "LocalTee");
}

/// When it takes too long to find out what local variables are, all are taken for such as are kept.
#[test]
fn what_is_not_found_out_in_time_is_kept() {
    let chain = |length: usize| {
        let copies: String = (1..length).map(|n| format!("(local.set $c{n} (local.get $c{}))", n + 1)).collect();
        let locals: String = (1..=length).map(|n| format!("(local $c{n} f64)")).collect();
        let code = format!("{copies} (local.set $c{length} (f64.add (local.get $p) (local.get $p))) (local.get $c1)");
        let module = format!("(module (func (param $p f64) (result f64) {locals} {code}))");
        visible(&wat::parse_str(module).expect("a module as text"))
    };
    assert_eq!(chain(10), "LocalGet");
    assert_eq!(chain(100), "F64Add");
}

#[test]
fn blocks_may_take_many_operands() {
    let (parameters, constants) = ("f64 ".repeat(1000), "(f64.add (local.get $p) (local.get $p))".repeat(1000));
    let (open, close) = ("block (type $t) ".repeat(500), "end ".repeat(500));
    let text = format!(
        "(module (type $t (func (param {parameters}))) (func (param $p f64) (result f64) {constants} {open} unreachable
         {close} (f64.mul (local.get $p) (local.get $p))))"
    );
    let module = wat::parse_str(text).expect("a module as text");
    assert_eq!(visible(&module), "F64Add ".repeat(1000) + "F64Mul");
}

#[test]
fn one_of_two_is_raw_if_both_may_be() {
    let (raw, kept, number) = ("(f64.add (local.get $p) (local.get $p))", "(f64.load (i32.const 0))", "(f64.const 1)");
    let select = |first, second| format!("(select {first} {second} (i32.const 0))");
    check(&select(raw, raw), "Select");
    check(&select(raw, number), "Select");
    check(&select(raw, kept), "F64Add");
    check(&select(kept, raw), "F64Add");
    check(&select(kept, number), "");
    check(&format!("{} (f64.add (local.get $p))", select(raw, raw)), "F64Add");
}

#[test]
fn lanes_of_vectors_are_raw_while_they_are_whole() {
    let sum = "(f64x2.add (v128.load (i32.const 0)) (v128.load (i32.const 16)))";
    let first = |vector: &str| format!("(f64.add (local.get $p) (f64x2.extract_lane 0 {vector}))");
    check(&first(&format!("(f64x2.mul {sum} (f64x2.splat (f64.add (local.get $p) (local.get $p))))")), "F64Add");
    check(&first(&format!("(f64x2.replace_lane 0 {sum} (f64.add (local.get $p) (local.get $p)))")), "F64Add");
    check(&first(&format!("(f64x2.replace_lane 0 {sum} (local.get $p))")), "F64x2Add F64Add");
    check(&first(&format!("(i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 {sum} {sum})")), "F64Add");
    check(
        &first(&format!("(i8x16.shuffle 9 8 10 11 12 13 14 15 0 1 2 3 4 5 6 7 {sum} {sum})")),
        "F64x2Add F64x2Add F64Add",
    );
    // Lanes of another width are other bits.
    check(&first(&format!("(f32x4.add {sum} {sum})")), "F64x2Add F64x2Add F32x4Add F64Add");
    check(&format!("(v128.store (i32.const 0) {sum}) (local.get $p)"), "F64x2Add");
}

#[test]
fn what_a_block_gives_is_canonical() {
    let raw = "(f64.add (local.get $p) (local.get $p))";
    check(&format!("(block (result f64) {raw})"), "F64Add");
    check(&format!("(if (result f64) (i32.const 0) (then {raw}) (else (f64.sqrt (local.get $p))))"), "F64Add F64Sqrt");
    check(&format!("(block $out (result f64) (br_if $out {raw} (i32.const 0)) (drop) (local.get $p))"), "F64Add");
    check(&format!("{raw} (return) (unreachable)"), "F64Add");
    // What is not reached is not looked at, and what comes after it is.
    check(&format!("(block $out (br $out) {raw} (block (br 0) (f64.mul) (drop)) (drop)) {raw}"), "F64Add");
    check(&format!("(if (i32.const 0) (then (return {raw})) (else (drop {raw}))) (local.get $p)"), "F64Add");
}

#[test]
fn nested_modules_and_components_are_rewritten_and_all_else_stays() {
    let module = |code: &str| format!("(module (func (export \"f\") (param f64) (result f64) {code}))");
    let raw = "(f64.add (local.get 0) (local.get 0))";
    let component = |code: &str| {
        let inner = module(code).replacen("(module", "(core module", 1);
        format!("(component {inner} (component {inner} (core module)) (@custom \"kept\" \"bytes\"))")
    };
    let rewrite = |text: &str| make_nans_canonical(&wat::parse_str(text).expect("text")).expect("it is valid");
    let canonical = "(local f64) (select (local.tee 1 (f64.add (local.get 0) (local.get 0))) (f64.const nan)
        (f64.ge (local.get 1) (local.get 1)))";
    for text in [component(raw), module(raw)] {
        let by_hand = wat::parse_str(text.replace(raw, canonical)).expect("text");
        assert_eq!(rewrite(&text), by_hand);
        // Where there is nothing to do, nothing is done.
        let plain = text.replace(raw, "(local.get 0)");
        assert_eq!(rewrite(&plain), wat::parse_str(&plain).expect("text"));
    }
}

#[test]
fn a_function_that_grows_too_large_is_refused() {
    let stores = "(f64.store (i32.const 0) (f64.add (local.get 0) (local.get 0)))".repeat(300_000);
    let module = wat::parse_str(format!("(module (memory 1) (func (param f64) {stores}))")).unwrap();
    let error = make_nans_canonical(&module).unwrap_err().to_string();
    assert!(error.starts_with("function 0 has too much arithmetic of floats: "), "{error}");
}

/// Writes a function that means nothing out of numbers that decide what comes next; when they run out, it ends soon.
struct Author<'n> {
    numbers: &'n [u8],
    loops: usize,
}

impl Author<'_> {
    fn choose<'s>(&mut self, of: &[&'s str]) -> &'s str {
        of[self.number(of.len())]
    }

    fn number(&mut self, below: usize) -> usize {
        let Some((first, rest)) = self.numbers.split_first() else { return 0 };
        self.numbers = rest;
        usize::from(*first) % below
    }

    fn double(&mut self, depth: usize) -> String {
        let depth = match depth {
            0 => return self.choose(&["(local.get $p)", "(local.get $a)", "(f64.const 1.5)"]).to_owned(),
            depth => depth - 1,
        };
        match self.number(24) {
            0 | 1 => self.choose(&["(local.get $a)", "(local.get $b)", "(local.get $c)", "(local.get $p)"]).to_owned(),
            2 => self
                .choose(&[
                    "(f64.const inf)",
                    "(f64.const 0)",
                    "(f64.const -nan:0x123)",
                    "(f64.const nan)",
                    "(f64.const -3)",
                ])
                .to_owned(),
            3 => format!("(f64.load (i32.const {}))", 8 * self.number(16)),
            4..=8 => {
                let operator = self.choose(&["add", "sub", "mul", "div", "min", "max"]);
                format!("(f64.{operator} {} {})", self.double(depth), self.double(depth))
            }
            9..=11 => {
                let operator = self.choose(&["sqrt", "abs", "neg", "ceil", "floor", "trunc", "nearest"]);
                format!("(f64.{operator} {})", self.double(depth))
            }
            12 => format!("(f64.copysign {} {})", self.double(depth), self.double(depth)),
            13 => format!("(f64.promote_f32 {})", self.single(depth)),
            14 => format!("(local.tee {} {})", self.choose(&["$a", "$b", "$c", "$p"]), self.double(depth)),
            15 => format!("(select {} {} {})", self.double(depth), self.double(depth), self.condition(depth)),
            16 => {
                let (condition, first, second) = (self.condition(depth), self.double(depth), self.double(depth));
                format!("(if (result f64) {condition} (then {first}) (else {second}))")
            }
            17 => {
                let (value, condition, other) = (self.double(depth), self.condition(depth), self.double(depth));
                format!("(block $out (result f64) (br_if $out {value} {condition}) (drop) {other})")
            }
            18 => format!("(call $callee {} {})", self.double(depth), self.single(depth)),
            19 => format!("(f64.reinterpret_i64 (i64.reinterpret_f64 {}))", self.double(depth)),
            20 | 21 => format!("(f64x2.extract_lane {} {})", self.number(2), self.vector(depth)),
            22 => format!("(block (result f64) {} {})", self.statement(depth), self.double(depth)),
            _ => "(global.get $g)".to_owned(),
        }
    }

    fn single(&mut self, depth: usize) -> String {
        let depth = match depth {
            0 => return "(local.get $x)".to_owned(),
            depth => depth - 1,
        };
        match self.number(9) {
            8 => format!("(f32x4.extract_lane {} {})", self.number(4), self.vector(depth)),
            0 => self.choose(&["(local.get $x)", "(local.get $y)", "(f32.const nan:0x5)", "(f32.const 2)"]).to_owned(),
            1 | 2 => format!("(f32.demote_f64 {})", self.double(depth)),
            3 => format!("(f32.load (i32.const {}))", 4 * self.number(32)),
            4 => format!("(f32.neg {})", self.single(depth)),
            5 => format!("(local.tee {} {})", self.choose(&["$x", "$y"]), self.single(depth)),
            _ => {
                let operator = self.choose(&["add", "sub", "mul", "div", "min", "max", "copysign"]);
                format!("(f32.{operator} {} {})", self.single(depth), self.single(depth))
            }
        }
    }

    fn vector(&mut self, depth: usize) -> String {
        let depth = match depth {
            0 => return self.choose(&["(local.get $v)", "(v128.load (i32.const 16))"]).to_owned(),
            depth => depth - 1,
        };
        match self.number(12) {
            0 => self.choose(&["(local.get $v)", "(local.get $w)", "(v128.const i64x2 5 -1)"]).to_owned(),
            1 => format!("(f64x2.splat {})", self.double(depth)),
            2 => format!("(f32x4.splat {})", self.single(depth)),
            3 => format!("(f64x2.replace_lane {} {} {})", self.number(2), self.vector(depth), self.double(depth)),
            4 => format!("(f32x4.replace_lane {} {} {})", self.number(4), self.vector(depth), self.single(depth)),
            5 => {
                let lanes = self.choose(&[
                    "8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23",
                    "4 5 6 7 16 17 18 19 0 1 2 3 28 29 30 31",
                    "1 0 3 2 5 4 7 6 9 8 11 10 13 12 15 30",
                ]);
                format!("(i8x16.shuffle {lanes} {} {})", self.vector(depth), self.vector(depth))
            }
            6 => format!("(local.tee {} {})", self.choose(&["$v", "$w"]), self.vector(depth)),
            7 => {
                let operator = self.choose(&[
                    "f64x2.sqrt",
                    "f32x4.abs",
                    "f64x2.abs",
                    "f64x2.neg",
                    "f32x4.demote_f64x2_zero",
                    "f64x2.promote_low_f32x4",
                    "f32x4.floor",
                ]);
                format!("({operator} {})", self.vector(depth))
            }
            8 => format!("(select {} {} {})", self.vector(depth), self.vector(depth), self.condition(depth)),
            _ => {
                let operator = self.choose(&[
                    "f32x4.add",
                    "f32x4.div",
                    "f64x2.sub",
                    "f64x2.mul",
                    "f32x4.min",
                    "f64x2.max",
                    "f64x2.pmin",
                    "f64x2.lt",
                    "f32x4.eq",
                ]);
                format!("({operator} {} {})", self.vector(depth), self.vector(depth))
            }
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        match self.number(4) {
            0 => format!("(i32.const {})", self.number(2)),
            1 => format!("(i32.trunc_sat_f64_s {})", self.double(depth)),
            _ => {
                let operator = self.choose(&["lt", "eq", "ne", "ge"]);
                format!("(f64.{operator} {} {})", self.double(depth), self.double(depth))
            }
        }
    }

    fn statement(&mut self, depth: usize) -> String {
        let depth = match depth {
            0 => return "(nop)".to_owned(),
            depth => depth - 1,
        };
        match self.number(12) {
            11 => format!("(local.set {} {})", self.choose(&["$v", "$w"]), self.vector(depth)),
            0..=2 => format!("(local.set {} {})", self.choose(&["$a", "$b", "$c", "$p"]), self.double(depth)),
            3 => format!("(local.set {} {})", self.choose(&["$x", "$y"]), self.single(depth)),
            4 => format!("(f64.store (i32.const {}) {})", 8 * self.number(16), self.double(depth)),
            5 => format!("(f32.store (i32.const {}) {})", 4 * self.number(32), self.single(depth)),
            6 => format!("(v128.store (i32.const {}) {})", 16 * self.number(8), self.vector(depth)),
            7 => format!("(global.set $g {})", self.double(depth)),
            8 => format!(
                "(if {} (then {} (return {})))",
                self.condition(depth),
                self.statements(depth),
                self.double(depth)
            ),
            9 if self.loops < 4 => {
                self.loops += 1;
                let counter = format!("$n{}", self.loops);
                format!(
                    "(loop $again {} (br_if $again (i32.lt_u (local.tee {counter} (i32.add (local.get {counter}) \
                     (i32.const 1))) (i32.const 3))))",
                    self.statements(depth)
                )
            }
            _ => format!(
                "(block $out (br_if $out {}) {} (br $out) {})",
                self.condition(depth),
                self.statements(depth),
                self.double(depth) + "(drop)"
            ),
        }
    }

    fn statements(&mut self, depth: usize) -> String {
        (0..=self.number(3)).map(|_| self.statement(depth)).collect()
    }

    fn module(&mut self) -> String {
        let mut statements = String::new();
        while !self.numbers.is_empty() && statements.len() < 20_000 {
            writeln!(statements, "{}", self.statement(4)).expect("a string takes text");
        }
        let result = self.double(4);
        format!(
            r#"(module (memory (export "memory") 1) (global $g (export "g") (mut f64) (f64.const -nan:0x77))
                (data (i32.const 0) "\01\00\00\00\00\00\f4\7f\00\00\00\00\00\00\f0\7f\00\00\00\00\00\00\f8\ff\00\00\00\00\00\00\f0\bf")
                (data (i32.const 40) "\02\00\a0\7f\00\00\c0\ff\00\00\80\ff\00\00\80\3f")
                (func $callee (param f64 f32) (result f64) (f64.neg (f64.sub (local.get 0) (f64.promote_f32 (local.get 1)))))
                (func (export "run") (param $p f64) (result f64) (local $a f64) (local $b f64) (local $c f64)
                    (local $x f32) (local $y f32) (local $v v128) (local $w v128) (local $n1 i32) (local $n2 i32) (local $n3 i32) (local $n4 i32)
                    {statements} {result}))"#
        )
    }
}

/// All that can be seen of a run of a module: the bits that it returns, or how it dies, its global variable and its memory.
fn seen(engine: &Engine, module: &[u8], parameter: u64) -> (String, u64, Vec<u8>) {
    let module = Module::from_binary(engine, module).expect("a valid module");
    let mut store = Store::new(engine, ());
    store.set_fuel(1 << 40).expect("fuel is on");
    let instance = Instance::new(&mut store, &module, &[]).expect("it has no imports");
    let run = instance.get_typed_func::<f64, f64>(&mut store, "run").expect("its type");
    let ended = match run.call(&mut store, f64::from_bits(parameter)) {
        Ok(value) => format!("{:#x}", value.to_bits()),
        Err(error) => error.root_cause().to_string(),
    };
    let global = instance.get_global(&mut store, "g").expect("it is exported").get(&mut store).unwrap_f64().to_bits();
    let memory = instance.get_memory(&mut store, "memory").expect("it is exported").data(&store)[..128].to_vec();
    (ended, global, memory)
}

/// The engine as it is, and one with wasmtime's own rule, which makes each NaN canonical at once.
fn engines() -> [Engine; 2] {
    let ours = SEMANTICS.compiling_config();
    let mut theirs = Semantics { canonical_nans: false, ..SEMANTICS }.compiling_config();
    theirs.cranelift_nan_canonicalization(true);
    [ours, theirs].map(|config| Engine::new(&config).expect("the settings agree"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn all_bits_are_those_of_a_nan_made_canonical_at_once(numbers in proptest::collection::vec(any::<u8>(), 0..600)) {
        let text = Author { numbers: &numbers, loops: 0 }.module();
        let module = wat::parse_str(&text).expect("a module as text");
        let rewritten = make_nans_canonical(&module).expect("a valid module");
        let [ours, theirs] = engines();
        for parameter in [0x7ff0_0000_0000_0001, f64::INFINITY.to_bits(), 0xfff8_0000_0000_0000, 2_f64.to_bits()] {
            prop_assert_eq!(seen(&ours, &rewritten, parameter), seen(&theirs, &module, parameter), "{}", text);
        }
    }
}
