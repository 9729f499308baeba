//! What an expression is, and what it comes to.

use oast_sdk::math;

/// An expression over columns, operands before their operators, so that no nesting can exhaust the stack of a
/// component.
#[derive(Debug)]
pub(crate) struct Expression {
    steps: Vec<Step>,
}

/// A step of an expression: a value, or a function of the values before it.
#[derive(Debug)]
pub(crate) enum Step {
    Number(f64),
    /// The place of a column in the input.
    Column(usize),
    /// A function, and how many values it takes.
    Call(Function, usize),
}

/// An operator or a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Not,
    And,
    Or,
    Abs,
    Sqrt,
    Ln,
    Log10,
    Log1p,
    Exp,
    Pow,
    Sin,
    Cos,
    Floor,
    Ceil,
    Round,
    Sign,
    Min,
    Max,
    If,
    IsNull,
    Coalesce,
}

/// The functions that are called by name, with how many arguments they take at least and at most.
pub(crate) const NAMED: [(&str, Function, usize, usize); 18] = [
    ("abs", Function::Abs, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("coalesce", Function::Coalesce, 1, 64),
    ("cos", Function::Cos, 1, 1),
    ("exp", Function::Exp, 1, 1),
    ("floor", Function::Floor, 1, 1),
    ("if", Function::If, 3, 3),
    ("is_null", Function::IsNull, 1, 1),
    ("ln", Function::Ln, 1, 1),
    ("log10", Function::Log10, 1, 1),
    ("log1p", Function::Log1p, 1, 1),
    ("max", Function::Max, 1, 64),
    ("min", Function::Min, 1, 64),
    ("pow", Function::Pow, 2, 2),
    ("round", Function::Round, 1, 1),
    ("sign", Function::Sign, 1, 1),
    ("sin", Function::Sin, 1, 1),
    ("sqrt", Function::Sqrt, 1, 1),
];

impl Expression {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps }
    }

    /// The value for a row. `values` is room for what is computed on the way.
    pub(crate) fn value(&self, columns: &[Vec<Option<f64>>], row: usize, values: &mut Vec<Option<f64>>) -> Option<f64> {
        values.clear();
        for step in &self.steps {
            let value = match step {
                Step::Number(number) => Some(*number),
                Step::Column(place) => columns[*place][row],
                Step::Call(function, operands) => {
                    let operands = values.split_off(values.len() - operands);
                    call(*function, &operands)
                }
            };
            values.push(value);
        }
        values.pop().flatten()
    }
}

fn call(function: Function, operands: &[Option<f64>]) -> Option<f64> {
    match (function, operands) {
        (Function::If, [condition, then, otherwise]) => {
            if is_true((*condition)?) {
                *then
            } else {
                *otherwise
            }
        }
        (Function::IsNull, [x]) => Some(truth(x.is_none())),
        (Function::Coalesce, operands) => operands.iter().flatten().next().copied(),
        (Function::And, [x, y]) => both(*x, *y),
        (Function::Or, [x, y]) => both(x.map(not), y.map(not)).map(not),
        (Function::Min | Function::Max, operands) => {
            let mut extremes = *operands.first()?;
            for operand in &operands[1..] {
                extremes = Some(extreme(function, extremes?, (*operand)?));
            }
            extremes
        }
        (_, [x]) => Some(unary(function, (*x)?)),
        (_, [x, y]) => Some(binary(function, (*x)?, (*y)?)),
        _ => unreachable!("the parser counts operands"),
    }
}

fn unary(function: Function, x: f64) -> f64 {
    match function {
        Function::Negate => -x,
        Function::Not => not(x),
        Function::Abs => x.abs(),
        Function::Sqrt => x.sqrt(),
        Function::Ln => math::ln(x),
        Function::Log10 => math::log10(x),
        Function::Log1p => math::ln_1p(x),
        Function::Exp => math::exp(x),
        Function::Sin => math::sin(x),
        Function::Cos => math::cos(x),
        Function::Floor => x.floor(),
        Function::Ceil => x.ceil(),
        Function::Round => x.round_ties_even(),
        Function::Sign if x == 0.0 || x.is_nan() => x,
        Function::Sign => 1.0_f64.copysign(x),
        _ => unreachable!("the parser counts operands"),
    }
}

fn binary(function: Function, x: f64, y: f64) -> f64 {
    match function {
        Function::Add => x + y,
        Function::Subtract => x - y,
        Function::Multiply => x * y,
        Function::Divide => x / y,
        Function::Remainder => x % y,
        Function::Pow => math::pow(x, y),
        Function::Less => truth(x < y),
        Function::LessOrEqual => truth(x <= y),
        Function::Greater => truth(x > y),
        Function::GreaterOrEqual => truth(x >= y),
        Function::Equal => truth(x == y),
        Function::NotEqual => truth(x != y),
        _ => unreachable!("the parser counts operands"),
    }
}

/// The smaller or larger of two numbers. NaN if one is, and -0 is below 0, which `f64::min` leaves open.
fn extreme(function: Function, x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x.total_cmp(&y).is_le() == (function == Function::Min) { x } else { y }
}

/// False if either is, true if both are, otherwise unknown.
fn both(x: Option<f64>, y: Option<f64>) -> Option<f64> {
    match (x.map(is_true), y.map(is_true)) {
        (Some(false), _) | (_, Some(false)) => Some(0.0),
        (Some(true), Some(true)) => Some(1.0),
        _ => None,
    }
}

fn is_true(x: f64) -> bool {
    x != 0.0
}

fn not(x: f64) -> f64 {
    truth(!is_true(x))
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
