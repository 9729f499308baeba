//! Makes NaNs canonical, by rewriting a component before it is compiled.
//!
//! Which NaN an operation of floats returns depends on the processor and on the order in which a compiler puts the operands.
//! Wasmtime has a setting that selects the canonical NaN after each operation. That is right, and it is several times what
//! the operation itself costs, on the critical path of whatever comes next. But only some places can tell one NaN from another:
//! a store to memory, a reinterpretation as an integer, a sign that is changed or copied, a call. An operation on floats
//! cannot, nor can a comparison or a conversion to an integer. So a NaN is left as it is until it would come to such a place
//! ([`flow`] finds where that is), and is made canonical there. Every bit that a guest or its host can see is the one that it
//! would be under the setting; a test compares the two on generated code.
//!
//! What is inserted is WebAssembly itself, and costs the guest fuel: 6 where a value is made canonical, 5 if a local variable has it.

mod flow;

use wasm_encoder::{CodeSection, ComponentSectionId, Encode, Instruction, RawSection, SectionId, ValType};
use wasmparser::{
    Encoding, FuncToValidate, FuncValidatorAllocations, FunctionBody, Parser, Payload, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};

use crate::config::PROPOSALS;
use flow::{Code, Float, Width};

/// The most bytes of a function's body that the compiler's own parser takes.
const FUNCTION_BYTES: usize = 7_654_321;

const CANONICAL_F32: u32 = 0x7fc0_0000;
const CANONICAL_F64: u64 = 0x7ff8_0000_0000_0000;

/// A component, or a module, that does the same and whose NaNs are canonical where their bits can be seen: what the engine compiles
/// in its place. An error says why it is not valid, or which function would grow too large.
pub fn make_nans_canonical(bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
    rewrite(bytes, PROPOSALS)
}

/// The same under other proposals. What they bring is taken to make no NaN, and to see all bits.
pub(crate) fn rewrite(bytes: &[u8], proposals: WasmFeatures) -> wasmtime::Result<Vec<u8>> {
    let mut parser = Parser::new(0);
    parser.set_features(proposals);
    let mut rewriter = Rewriter {
        bytes,
        validator: Validator::new_with_features(proposals),
        allocations: FuncValidatorAllocations::default(),
        open: Vec::new(),
        done: Vec::new(),
    };
    for payload in parser.parse_all(bytes) {
        rewriter.take(payload?)?;
    }
    Ok(rewriter.done)
}

/// A module or component that has begun and not ended.
struct Open {
    /// The number of the section in which a component holds it.
    section: u8,
    bytes: Vec<u8>,
    code: CodeSection,
    /// How many functions are still to come.
    functions: u32,
}

struct Rewriter<'b> {
    bytes: &'b [u8],
    validator: Validator,
    allocations: FuncValidatorAllocations,
    open: Vec<Open>,
    done: Vec<u8>,
}

impl Rewriter<'_> {
    fn take(&mut self, payload: Payload<'_>) -> wasmtime::Result<()> {
        let valid = self.validator.payload(&payload)?;
        match payload {
            Payload::Version { encoding, range, .. } => {
                let section = match encoding {
                    Encoding::Module => ComponentSectionId::CoreModule,
                    Encoding::Component => ComponentSectionId::Component,
                };
                let bytes = self.bytes[range].to_vec();
                self.open.push(Open { section: section.into(), bytes, code: CodeSection::new(), functions: 0 });
            }
            Payload::CodeSectionStart { count, .. } => {
                self.open().functions = count;
                self.end_code();
            }
            Payload::CodeSectionEntry(_) => {
                let ValidPayload::Func(function, body) = valid else { unreachable!("code is to be validated") };
                let body = self.function(function, &body)?;
                let open = self.open();
                open.code.raw(&body);
                open.functions -= 1;
                self.end_code();
            }
            Payload::End(_) => self.end(),
            // What is in them comes next.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {}
            other => {
                let (id, range) = other.as_section().expect("all else is a section");
                let section = RawSection { id, data: &self.bytes[range] };
                append(id, &section, &mut self.open().bytes);
            }
        }
        Ok(())
    }

    fn open(&mut self) -> &mut Open {
        self.open.last_mut().expect("a version comes before everything else")
    }

    fn end_code(&mut self) {
        let open = self.open();
        if open.functions == 0 {
            append(SectionId::Code.into(), &open.code, &mut open.bytes);
        }
    }

    fn end(&mut self) {
        let ended = self.open.pop().expect("what ends has begun");
        match self.open.last_mut() {
            Some(outer) => {
                append(ended.section, &RawSection { id: ended.section, data: &ended.bytes }, &mut outer.bytes)
            }
            None => self.done = ended.bytes,
        }
    }

    fn function(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> wasmtime::Result<Vec<u8>> {
        let index = function.index;
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let code = Code::read(&mut validator, body)?;
        self.allocations = validator.into_allocations();
        let rewritten = rewrite_body(&self.bytes[body.range()], &code);
        if rewritten.len() > FUNCTION_BYTES {
            return Err(wasmtime::Error::msg(format!(
                "function {index} has too much arithmetic of floats: where its NaNs are made canonical, it grows to {} bytes \
                 (limit {FUNCTION_BYTES})",
                rewritten.len()
            )));
        }
        Ok(rewritten)
    }
}

fn append(id: u8, section: &impl Encode, bytes: &mut Vec<u8>) {
    bytes.push(id);
    section.encode(bytes);
}

/// The body of a function, with what is inserted and the local variables for it.
fn rewrite_body(body: &[u8], code: &Code) -> Vec<u8> {
    let visible = code.visible();
    if visible.is_empty() {
        return body.to_vec();
    }
    let mut spare = Spare { locals: code.locals, types: Vec::new() };
    let (mut operators, mut copied) = (Vec::with_capacity(body.len()), code.operators_start);
    for (step, float) in visible {
        let end = code.steps[step].end;
        operators.extend_from_slice(&body[copied..end]);
        copied = end;
        spare.insert(float, code.steps[step].effect.local(), &mut operators);
    }
    operators.extend_from_slice(&body[copied..]);

    let mut rewritten = Vec::with_capacity(operators.len() + code.operators_start + 16);
    (code.local_groups + spare.types.len() as u32).encode(&mut rewritten);
    rewritten.extend_from_slice(&body[code.locals_start..code.operators_start]);
    for value_type in &spare.types {
        1_u32.encode(&mut rewritten);
        value_type.encode(&mut rewritten);
    }
    rewritten.extend_from_slice(&operators);
    rewritten
}

/// The local variables that a function gets for what is inserted: one of each type that it needs.
struct Spare {
    /// How many the function has itself.
    locals: u32,
    types: Vec<ValType>,
}

impl Spare {
    /// Makes the value on top of the stack canonical: `x >= x ? x : NaN`, for which there is one jump on a condition where `==` needs
    /// two; lanes of vectors are compared by `==`, as they need a mask. `local` has the value already, if it was read or written just now.
    fn insert(&mut self, float: Float, local: Option<u32>, code: &mut Vec<u8>) {
        let local = local.unwrap_or_else(|| {
            let local = self.local(float.value_type());
            Instruction::LocalTee(local).encode(code);
            local
        });
        let (nan, ordered, choose) = match float {
            Float::Scalar(Width::F32) => {
                (Instruction::F32Const(f32::from_bits(CANONICAL_F32).into()), Instruction::F32Ge, Instruction::Select)
            }
            Float::Scalar(Width::F64) => {
                (Instruction::F64Const(f64::from_bits(CANONICAL_F64).into()), Instruction::F64Ge, Instruction::Select)
            }
            Float::Vector(Width::F32) => {
                let lanes = (0..4).fold(0, |lanes, lane| lanes | u128::from(CANONICAL_F32) << (32 * lane));
                (Instruction::V128Const(lanes as i128), Instruction::F32x4Eq, Instruction::V128Bitselect)
            }
            Float::Vector(Width::F64) => {
                let lanes = u128::from(CANONICAL_F64) << 64 | u128::from(CANONICAL_F64);
                (Instruction::V128Const(lanes as i128), Instruction::F64x2Eq, Instruction::V128Bitselect)
            }
        };
        for instruction in [nan, Instruction::LocalGet(local), Instruction::LocalGet(local), ordered, choose] {
            instruction.encode(code);
        }
    }

    fn local(&mut self, value_type: ValType) -> u32 {
        let known = self.types.iter().position(|each| *each == value_type);
        let place = known.unwrap_or_else(|| {
            self.types.push(value_type);
            self.types.len() - 1
        });
        self.locals + place as u32
    }
}

#[cfg(test)]
mod tests;
