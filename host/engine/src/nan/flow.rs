//! Finds where a NaN that an operation made could be seen.
//!
//! A function's operators are followed once in the order in which they are written, with what is known of each operand: it is
//! canonical, it is raw (an operation made it, and if it is a NaN it may be any), or it is to be kept as it is (it came from
//! memory, a parameter, a call, and a NaN among these has the bits that it has). A raw operand that comes to where its bits count
//! is made canonical right after the operator that put it on the stack.
//!
//! Vectors of floats are treated like floats as long as they are only taken apart and put together by whole lanes. Their type says
//! nothing of what is in them, so whoever reads them as lanes of another width sees all bits.
//!
//! A local variable may be raw as long as nothing that is to be kept is ever written to it: since making canonical what is
//! canonical changes nothing, it makes no difference then whether that is done when it is written or when it is read. What a
//! variable is depends on what is written to it, which depends on other variables, so the function is followed until
//! nothing changes.
//!
//! What is made canonical where decides what a guest's fuel is spent on: whoever changes that raises the number of the rule in
//! `config.rs`.

use wasm_encoder::ValType;
use wasmparser::{BinaryReaderError, FuncValidator, FunctionBody, ModuleArity, Operator, ValidatorResources};

/// How often a function is followed before its local variables are all taken for such as are kept. What is nested deeper
/// than this costs a little more than it must.
const ROUNDS: usize = 16;

/// A type whose values have NaNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    Scalar(Width),
    /// As many as fit in 128 bits.
    Vector(Width),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    F32,
    F64,
}

impl Float {
    pub(super) fn value_type(self) -> ValType {
        match self {
            Self::Scalar(Width::F32) => ValType::F32,
            Self::Scalar(Width::F64) => ValType::F64,
            Self::Vector(_) => ValType::V128,
        }
    }
}

/// What an operator does to its operands, as far as NaNs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Computes one value from others. What it makes is raw.
    Arithmetic {
        reads: Float,
        makes: Float,
    },
    /// Makes what has no NaN.
    Number,
    /// Makes something else of floats, and cannot tell one NaN from another.
    Compare(Float),
    /// Takes the sign away, which a canonical NaN does not have.
    Absolute(Float),
    /// Makes a vector of a float.
    Splat(Width),
    /// Takes a float out of a vector.
    Extract(Width),
    /// Puts a float in a vector.
    Replace(Width),
    /// Takes bytes of two vectors.
    Shuffle(Whole),
    Get(u32),
    Set(u32),
    Tee(u32),
    Select,
    Drop,
    /// Begins a block, whose parameters are kept.
    Enter,
    /// Ends the first part of a block and begins the second.
    Else,
    /// Ends a block.
    End,
    /// Goes elsewhere; what follows is not reached until the block is closed.
    Leave,
    /// May look at all bits of its operands.
    Other,
}

const F32: Float = Float::Scalar(Width::F32);
const F64: Float = Float::Scalar(Width::F64);
const F32X4: Float = Float::Vector(Width::F32);
const F64X2: Float = Float::Vector(Width::F64);

impl Effect {
    fn of(operator: &Operator<'_>) -> Self {
        use Operator::*;
        let arithmetic = |float| Self::Arithmetic { reads: float, makes: float };
        match operator {
            F32Add | F32Sub | F32Mul | F32Div | F32Min | F32Max | F32Sqrt | F32Ceil | F32Floor | F32Trunc
            | F32Nearest => arithmetic(F32),
            F64Add | F64Sub | F64Mul | F64Div | F64Min | F64Max | F64Sqrt | F64Ceil | F64Floor | F64Trunc
            | F64Nearest => arithmetic(F64),
            F32x4Add | F32x4Sub | F32x4Mul | F32x4Div | F32x4Min | F32x4Max | F32x4Sqrt | F32x4Ceil | F32x4Floor
            | F32x4Trunc | F32x4Nearest => arithmetic(F32X4),
            F64x2Add | F64x2Sub | F64x2Mul | F64x2Div | F64x2Min | F64x2Max | F64x2Sqrt | F64x2Ceil | F64x2Floor
            | F64x2Trunc | F64x2Nearest => arithmetic(F64X2),
            F32DemoteF64 => Self::Arithmetic { reads: F64, makes: F32 },
            F64PromoteF32 => Self::Arithmetic { reads: F32, makes: F64 },
            F32x4DemoteF64x2Zero => Self::Arithmetic { reads: F64X2, makes: F32X4 },
            F64x2PromoteLowF32x4 => Self::Arithmetic { reads: F32X4, makes: F64X2 },
            F32Eq | F32Ne | F32Lt | F32Gt | F32Le | F32Ge | I32TruncF32S | I32TruncF32U | I64TruncF32S
            | I64TruncF32U | I32TruncSatF32S | I32TruncSatF32U | I64TruncSatF32S | I64TruncSatF32U => {
                Self::Compare(F32)
            }
            F64Eq | F64Ne | F64Lt | F64Gt | F64Le | F64Ge | I32TruncF64S | I32TruncF64U | I64TruncF64S
            | I64TruncF64U | I32TruncSatF64S | I32TruncSatF64U | I64TruncSatF64S | I64TruncSatF64U => {
                Self::Compare(F64)
            }
            F32x4Eq | F32x4Ne | F32x4Lt | F32x4Gt | F32x4Le | F32x4Ge | I32x4TruncSatF32x4S | I32x4TruncSatF32x4U => {
                Self::Compare(F32X4)
            }
            F64x2Eq
            | F64x2Ne
            | F64x2Lt
            | F64x2Gt
            | F64x2Le
            | F64x2Ge
            | I32x4TruncSatF64x2SZero
            | I32x4TruncSatF64x2UZero => Self::Compare(F64X2),
            F32ConvertI32S | F32ConvertI32U | F32ConvertI64S | F32ConvertI64U | F64ConvertI32S | F64ConvertI32U
            | F64ConvertI64S | F64ConvertI64U => Self::Number,
            F32Const { value } if !f32::from(*value).is_nan() => Self::Number,
            F64Const { value } if !f64::from(*value).is_nan() => Self::Number,
            V128Const { value } if !has_nan(*value.bytes()) => Self::Number,
            F32Abs => Self::Absolute(F32),
            F64Abs => Self::Absolute(F64),
            F32x4Abs => Self::Absolute(F32X4),
            F64x2Abs => Self::Absolute(F64X2),
            F32x4Splat => Self::Splat(Width::F32),
            F64x2Splat => Self::Splat(Width::F64),
            F32x4ExtractLane { .. } => Self::Extract(Width::F32),
            F64x2ExtractLane { .. } => Self::Extract(Width::F64),
            F32x4ReplaceLane { .. } => Self::Replace(Width::F32),
            F64x2ReplaceLane { .. } => Self::Replace(Width::F64),
            I8x16Shuffle { lanes } => Self::Shuffle(Whole { f32: are_whole(lanes, 4), f64: are_whole(lanes, 8) }),
            LocalGet { local_index } => Self::Get(*local_index),
            LocalSet { local_index } => Self::Set(*local_index),
            LocalTee { local_index } => Self::Tee(*local_index),
            Select | TypedSelect { .. } => Self::Select,
            Drop => Self::Drop,
            Block { .. } | Loop { .. } | If { .. } => Self::Enter,
            Else => Self::Else,
            End => Self::End,
            Br { .. } | BrTable { .. } | Return | Unreachable => Self::Leave,
            _ => Self::Other,
        }
    }

    /// The local variable that has, after the operator, the value which it left on the stack.
    pub(super) fn local(self) -> Option<u32> {
        match self {
            Self::Get(local) | Self::Tee(local) => Some(local),
            _ => None,
        }
    }
}

/// Whether a vector has a NaN, of whatever width its lanes are taken to be.
fn has_nan(bytes: [u8; 16]) -> bool {
    let (singles, _) = bytes.as_chunks();
    let (doubles, _) = bytes.as_chunks();
    singles.iter().any(|bytes| f32::from_le_bytes(*bytes).is_nan())
        || doubles.iter().any(|bytes| f64::from_le_bytes(*bytes).is_nan())
}

/// Whether bytes are taken in lanes of so many.
fn are_whole(bytes: &[u8; 16], width: u8) -> bool {
    let lanes = bytes.chunks(width.into());
    lanes.into_iter().all(|lane| lane[0] % width == 0 && lane.iter().zip(lane[0]..).all(|(byte, next)| *byte == next))
}

/// Whether lanes of these widths are taken as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    f32: bool,
    f64: bool,
}

impl Whole {
    fn lanes_of(self, float: Float) -> bool {
        match float {
            Float::Scalar(Width::F32) | Float::Vector(Width::F32) => self.f32,
            Float::Scalar(Width::F64) | Float::Vector(Width::F64) => self.f64,
        }
    }
}

/// An operator that is reached.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) effect: Effect,
    /// How many operands it takes and gives.
    takes: u32,
    gives: u32,
    /// Where it ends in the body.
    pub(super) end: usize,
}

/// The code of a function.
pub(super) struct Code {
    pub(super) steps: Vec<Step>,
    parameters: u32,
    /// The local variables, parameters among them.
    pub(super) locals: u32,
    /// Where the groups of local variables, and the operators, begin in the body.
    pub(super) locals_start: usize,
    pub(super) local_groups: u32,
    pub(super) operators_start: usize,
}

impl Code {
    /// Reads and validates the body of a function.
    pub(super) fn read(
        validator: &mut FuncValidator<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<Self, BinaryReaderError> {
        let start = body.range().start;
        let parameters = validator.len_locals();
        let mut reader = body.get_binary_reader();
        let groups = body.get_locals_reader()?;
        let (local_groups, locals_start) = (groups.get_count(), groups.original_position() - start);
        validator.read_locals(&mut reader)?;
        let operators_start = reader.original_position() - start;
        let mut code = Self {
            steps: Vec::new(),
            parameters,
            locals: validator.len_locals(),
            locals_start,
            local_groups,
            operators_start,
        };
        let (mut operators, mut unreached) = (body.get_operators_reader()?, None);
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            // Asked first, since the end of a block is no more once it is validated.
            let arity = arity(&operator, validator);
            validator.op(offset, &operator)?;
            let (takes, gives) = arity.expect("the operator is valid");
            let end = operators.original_position() - start;
            code.push(Step { effect: Effect::of(&operator), takes, gives, end }, &mut unreached);
        }
        operators.finish()?;
        Ok(code)
    }

    /// Adds a step if it is reached. `unreached` is how many blocks are open that are never entered, where the rest of a block is
    /// not reached.
    fn push(&mut self, mut step: Step, unreached: &mut Option<u32>) {
        if let Some(blocks) = unreached {
            match step.effect {
                Effect::Else | Effect::End if *blocks == 0 => {
                    // Nothing comes from the part that ends.
                    step.takes = 0;
                    *unreached = None;
                }
                Effect::End => {
                    *blocks -= 1;
                    return;
                }
                Effect::Enter => {
                    *blocks += 1;
                    return;
                }
                _ => return,
            }
        }
        if step.effect == Effect::Leave {
            *unreached = Some(0);
        }
        self.steps.push(step);
    }

    /// The steps after which a value is to be made canonical, in order, and the types of the values.
    pub(super) fn visible(&self) -> Vec<(usize, Float)> {
        if !self.steps.iter().any(|step| matches!(step.effect, Effect::Arithmetic { .. })) {
            return Vec::new();
        }
        let mut flow = Flow::new(self);
        for round in 1.. {
            if !flow.follow() {
                break;
            }
            if round == ROUNDS {
                flow.locals.fill(Known::Kept);
            }
        }
        let marked = flow.visible.into_iter().enumerate();
        marked.filter_map(|(step, float)| Some((step, float?))).collect()
    }
}

/// How many operands an operator takes and gives; the parameters of a block are taken from around it and given inside.
fn arity(operator: &Operator<'_>, validator: &FuncValidator<ValidatorResources>) -> Option<(u32, u32)> {
    match operator {
        Operator::If { blockty } => {
            let (parameters, _) = validator.block_type_arity(*blockty)?;
            Some((parameters + 1, parameters))
        }
        _ => operator.operator_arity(validator),
    }
}

/// What is known of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is no NaN, or the canonical one. A vector has no NaN, of whatever width its lanes are taken to be.
    Canonical,
    /// An operation made it. If it is a NaN, it is to be the canonical one where it can be seen.
    Raw(Float),
    /// It may have any bits, and they are to stay.
    Kept,
}

#[derive(Debug, Clone, Copy)]
struct Operand {
    known: Known,
    /// The step that left it on the stack, unless it is to be kept.
    step: usize,
    /// How high the stack was below it.
    height: usize,
}

struct Flow<'c> {
    code: &'c Code,
    locals: Vec<Known>,
    /// How high the stack is.
    height: usize,
    /// The operands on the stack that are not to be kept: a block may take and give a thousand others, which cost nothing here.
    operands: Vec<Operand>,
    /// How high the stack is around each open block.
    blocks: Vec<usize>,
    /// The type of the value that is to be made canonical after a step.
    visible: Vec<Option<Float>>,
}

impl<'c> Flow<'c> {
    fn new(code: &'c Code) -> Self {
        // Parameters are what the caller gave. Variables begin as zero, until more is known.
        let mut locals = vec![Known::Kept; code.parameters as usize];
        locals.resize(code.locals as usize, Known::Canonical);
        Self { code, locals, height: 0, operands: Vec::new(), blocks: Vec::new(), visible: Vec::new() }
    }

    /// Follows the function, and tells whether more became known of a local variable, so that it must be followed again.
    fn follow(&mut self) -> bool {
        let before = self.locals.clone();
        self.height = 0;
        self.operands.clear();
        self.blocks.clear();
        self.blocks.push(0);
        self.visible.clear();
        self.visible.resize(self.code.steps.len(), None);
        for (number, step) in self.code.steps.iter().enumerate() {
            self.step(number, step);
        }
        self.locals != before
    }

    fn step(&mut self, number: usize, step: &Step) {
        match step.effect {
            Effect::Arithmetic { reads, makes } => {
                self.read(step.takes, reads);
                self.give(Known::Raw(makes), number);
            }
            Effect::Number => {
                self.see(step.takes);
                self.give(Known::Canonical, number);
            }
            Effect::Compare(reads) => {
                self.read(step.takes, reads);
                self.give(Known::Kept, number);
            }
            Effect::Absolute(float) => {
                let known = self.pop_read(float);
                self.give(known, number);
            }
            Effect::Splat(width) => {
                let known = match self.pop().known {
                    Known::Kept => Known::Kept,
                    Known::Canonical | Known::Raw(_) => Known::Raw(Float::Vector(width)),
                };
                self.give(known, number);
            }
            Effect::Extract(width) => {
                let known = match self.pop_read(Float::Vector(width)) {
                    Known::Raw(_) => Known::Raw(Float::Scalar(width)),
                    known => known,
                };
                self.give(known, number);
            }
            Effect::Replace(width) => {
                let (lane, vector) = (self.pop(), self.pop());
                let known =
                    self.join(Float::Vector(width), [(vector, Float::Vector(width)), (lane, Float::Scalar(width))]);
                self.give(known, number);
            }
            Effect::Shuffle(whole) => {
                let (second, first) = (self.pop(), self.pop());
                let known = match (first.known, second.known) {
                    (Known::Raw(float), _) | (_, Known::Raw(float)) if whole.lanes_of(float) => {
                        self.join(float, [(first, float), (second, float)])
                    }
                    _ => self.keep([first, second]),
                };
                self.give(known, number);
            }
            Effect::Drop => {
                self.pop();
            }
            Effect::Get(local) => self.give(self.locals[local as usize], number),
            Effect::Set(local) => {
                let operand = self.pop();
                self.write(local, operand);
            }
            Effect::Tee(local) => {
                let operand = self.pop();
                let known = self.write(local, operand);
                self.give(known, number);
            }
            Effect::Select => self.select(number),
            Effect::Enter => {
                self.see(step.takes);
                self.blocks.push(self.height);
                self.give_kept(step.gives);
            }
            Effect::Else => {
                self.close(step.takes);
                self.give_kept(step.gives);
            }
            Effect::End => {
                self.close(step.takes);
                self.blocks.pop();
                self.give_kept(step.gives);
            }
            Effect::Leave | Effect::Other => {
                self.see(step.takes);
                self.give_kept(step.gives);
            }
        }
    }

    /// Writes to a local variable, and tells what is known of the value after that.
    fn write(&mut self, local: u32, operand: Operand) -> Known {
        let known = &mut self.locals[local as usize];
        match (*known, operand.known) {
            (Known::Kept, Known::Raw(_)) => return self.keep([operand]),
            (Known::Raw(one), Known::Raw(other)) if one != other => *known = Known::Kept,
            (Known::Canonical, Known::Raw(_)) | (_, Known::Kept) => *known = operand.known,
            (_, Known::Canonical) | (Known::Raw(_), Known::Raw(_)) => {}
        }
        operand.known
    }

    /// One of two values.
    fn select(&mut self, number: usize) {
        let _condition = self.pop();
        let (second, first) = (self.pop(), self.pop());
        let known = match (first.known, second.known) {
            (Known::Canonical, Known::Canonical) => Known::Canonical,
            (Known::Raw(float), _) | (_, Known::Raw(float)) => self.join(float, [(first, float), (second, float)]),
            _ => Known::Kept,
        };
        self.give(known, number);
    }

    /// A value that is made of two, of which each has its type unless it is to be kept: made canonical later if both may be, and
    /// otherwise they are now.
    fn join(&mut self, joined: Float, operands: [(Operand, Float); 2]) -> Known {
        let may_be_raw = |(operand, float): &(Operand, Float)| match operand.known {
            Known::Canonical => true,
            Known::Raw(found) => found == *float,
            Known::Kept => false,
        };
        if operands.iter().all(may_be_raw) {
            return Known::Raw(joined);
        }
        self.keep(operands.map(|(operand, _)| operand))
    }

    /// Ends a part of a block, which gives its operands.
    fn close(&mut self, operands: u32) {
        self.see(operands);
        let height = *self.blocks.last().expect("a block that ends is open");
        self.operands.truncate(self.operands.partition_point(|operand| operand.height < height));
        self.height = height;
    }

    /// Makes what is raw of these canonical, so that all their bits are to stay from here on.
    fn keep(&mut self, operands: impl IntoIterator<Item = Operand>) -> Known {
        for operand in operands {
            if let Known::Raw(float) = operand.known {
                self.visible[operand.step] = Some(float);
            }
        }
        Known::Kept
    }

    fn pop(&mut self) -> Operand {
        self.height -= 1;
        let height = self.height;
        let kept = Operand { known: Known::Kept, step: 0, height };
        self.operands.pop_if(|operand| operand.height == height).unwrap_or(kept)
    }

    /// Takes operands where one NaN is as good as another.
    fn read(&mut self, operands: u32, float: Float) {
        for _ in 0..operands {
            self.pop_read(float);
        }
    }

    /// Takes an operand, and tells what is known of it. One that was made as lanes of another width is seen.
    fn pop_read(&mut self, float: Float) -> Known {
        let operand = self.pop();
        match operand.known {
            Known::Raw(found) if found != float => self.keep([operand]),
            known => known,
        }
    }

    /// Takes operands where all their bits count.
    fn see(&mut self, operands: u32) {
        self.height -= operands as usize;
        let height = self.height;
        while let Some(operand) = self.operands.pop_if(|operand| operand.height >= height) {
            self.keep([operand]);
        }
    }

    fn give(&mut self, known: Known, step: usize) {
        if known != Known::Kept {
            self.operands.push(Operand { known, step, height: self.height });
        }
        self.height += 1;
    }

    fn give_kept(&mut self, operands: u32) {
        self.height += operands as usize;
    }
}
