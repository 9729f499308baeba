//! From text to an expression, by recursive descent.

use oast_sdk::Error;

use crate::expression::{Expression, Function, NAMED, Step};

/// The longest expression. It bounds what a row may cost.
const BYTES_MAX: usize = 4096;

/// The deepest nesting, so that a hostile text cannot exhaust the stack.
const DEPTH_MAX: usize = 32;

/// Parses an expression. `column` finds the place of a column.
pub(crate) fn parse(text: &str, column: &mut dyn FnMut(&str) -> Result<usize, Error>) -> Result<Expression, Error> {
    let mut parser = Parser { text, at: 0, depth: 0, steps: Vec::new(), column };
    if text.len() > BYTES_MAX {
        return Err(parser.error(format!("expected at most {BYTES_MAX} bytes, got {}", text.len())));
    }
    parser.any_of(0)?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.expected("an operator or the end"));
    }
    Ok(Expression::new(parser.steps))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// What has been parsed, operands before their operators.
    steps: Vec<Step>,
    column: &'a mut dyn FnMut(&str) -> Result<usize, Error>,
}

/// The binary operators by rising precedence. Of two that begin alike the longer comes first.
const LEVELS: [&[(&str, Function)]; 5] = [
    &[("or", Function::Or)],
    &[("and", Function::And)],
    &[
        ("<=", Function::LessOrEqual),
        (">=", Function::GreaterOrEqual),
        ("==", Function::Equal),
        ("!=", Function::NotEqual),
        ("<", Function::Less),
        (">", Function::Greater),
    ],
    &[("+", Function::Add), ("-", Function::Subtract)],
    &[("*", Function::Multiply), ("/", Function::Divide), ("%", Function::Remainder)],
];

/// The level of the comparisons, which do not chain, and before which `not` may stand.
const COMPARISONS: usize = 2;

impl<'a> Parser<'a> {
    /// Operands with the operators of a level between them, from left to right.
    fn any_of(&mut self, level: usize) -> Result<(), Error> {
        if level == LEVELS.len() {
            return self.negation();
        }
        if level == COMPARISONS && self.take_word("not") {
            self.nested(|parser| parser.any_of(COMPARISONS))?;
            self.steps.push(Step::Call(Function::Not, 1));
            return Ok(());
        }
        self.any_of(level + 1)?;
        while let Some(operator) = self.take_operator(LEVELS[level]) {
            self.any_of(level + 1)?;
            self.steps.push(Step::Call(operator, 2));
            if level == COMPARISONS {
                break;
            }
        }
        Ok(())
    }

    fn negation(&mut self) -> Result<(), Error> {
        if self.take("-") {
            self.nested(Self::negation)?;
            self.steps.push(Step::Call(Function::Negate, 1));
            return Ok(());
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<(), Error> {
        self.skip_space();
        let start = self.at;
        match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                self.nested(|parser| parser.any_of(0))?;
                self.require(")")
            }
            Some('0'..='9' | '.') => self.number(),
            Some('`') => {
                self.at += 1;
                let Some(length) = self.rest().find('`') else { return Err(self.expected("a closing backtick")) };
                let name = &self.rest()[..length];
                self.at += length + 1;
                self.column(name, start)
            }
            Some(first) if is_word(first) => {
                let name = self.word();
                self.at += name.len();
                if self.take("(") { self.call(name, start) } else { self.column(name, start) }
            }
            _ => Err(self.expected("a number, a column, a function or `(`")),
        }
    }

    fn column(&mut self, name: &str, start: usize) -> Result<(), Error> {
        match (self.column)(name) {
            Ok(place) => {
                self.steps.push(Step::Column(place));
                Ok(())
            }
            Err(error) => {
                self.at = start;
                Err(self.error(error.to_string()))
            }
        }
    }

    fn call(&mut self, name: &str, start: usize) -> Result<(), Error> {
        let Some((_, function, least, most)) = NAMED.iter().find(|(known, ..)| *known == name) else {
            self.at = start;
            let known: Vec<String> = NAMED.iter().map(|(known, ..)| format!("`{known}`")).collect();
            return Err(self.error(format!("expected a function, one of {}, got `{name}`", known.join(", "))));
        };
        let mut arguments = 0;
        if !self.take(")") {
            loop {
                self.nested(|parser| parser.any_of(0))?;
                arguments += 1;
                if !self.take(",") {
                    break;
                }
            }
            self.require(")")?;
        }
        if !(*least..=*most).contains(&arguments) {
            self.at = start;
            let expected = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            return Err(self.error(format!("`{name}` takes {expected} arguments, got {arguments}")));
        }
        self.steps.push(Step::Call(*function, arguments));
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end += 1 + digits(end + 1);
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            end += 1 + sign + digits(end + 1 + sign);
        }
        match self.rest()[..end].parse() {
            Ok(number) => {
                self.at += end;
                self.steps.push(Step::Number(number));
                Ok(())
            }
            Err(_) => Err(self.expected("a number such as `1.5`")),
        }
    }

    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(format!("expected at most {DEPTH_MAX} levels of nesting")));
        }
        self.depth += 1;
        parse(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn take_operator(&mut self, operators: &[(&str, Function)]) -> Option<Function> {
        let taken = operators
            .iter()
            .find(|(sign, _)| if sign.starts_with(is_word) { self.take_word(sign) } else { self.take(sign) });
        taken.map(|(_, function)| *function)
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    /// Takes a word that ends there.
    fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.word() == word;
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn require(&mut self, sign: &str) -> Result<(), Error> {
        if self.take(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    /// The letters, digits and underscores that come next.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        rest.split_once(|next| !is_word(next)).map_or(rest, |(word, _)| word)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn expected(&self, what: &str) -> Error {
        let got = self.rest().chars().next().map_or_else(|| "the end".to_owned(), |found| format!("`{found}`"));
        self.error(format!("expected {what}, got {got}"))
    }

    /// An error that says where it is, counted in characters from 1.
    fn error(&self, message: String) -> Error {
        let position = self.text[..self.at].chars().count() + 1;
        Error::new(format!(
            "parameter `expression`: at character {position}: {message}, for example `\"air_time / distance\"`"
        ))
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
