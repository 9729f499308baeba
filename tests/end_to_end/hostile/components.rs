//! Components written by hand, from one frame of types: what they do with a row is up to the test.

use oast_core::DataType;

const FRAME: &str = include_str!("../components/transform.wat");

/// The parts of a transform that a test may choose, each the text of what is inside a core module.
pub(crate) struct Guest {
    pub(crate) configure: String,
    pub(crate) apply: String,
    /// Further options of `apply`, such as a function to call after it.
    pub(crate) options: &'static str,
}

impl Guest {
    /// A guest that takes one int64 `x`.
    pub(crate) fn new(output: &[DataType], apply: &str) -> Self {
        Self { configure: configure(&[DataType::Int64], output), apply: apply.to_owned(), options: "" }
    }

    pub(crate) fn text(&self) -> String {
        let text = FRAME.replace("{configure}", &self.configure).replace("{apply}", &self.apply);
        text.replace("{options}", self.options)
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        wat::parse_str(self.text()).expect("a component as text")
    }
}

/// A `configure` that answers with these columns, none of them nullable: `x` goes in, and `y` and `z` come out.
pub(crate) fn configure(input: &[DataType], output: &[DataType]) -> String {
    configure_with(input, output, "(i32.const 16)")
}

/// The same, with other instructions for where the answer is, or what comes before it.
pub(crate) fn configure_with(input: &[DataType], output: &[DataType], body: &str) -> String {
    let field = |name: u32, data_type: &DataType| {
        let (case, width) = match data_type {
            DataType::Bool => (0, 0),
            DataType::Int64 => (1, 0),
            DataType::Float64 => (2, 0),
            DataType::Utf8 => (3, 0),
            DataType::Binary => (4, 0),
            DataType::Timestamp => (5, 0),
            DataType::Vector(width) => (6, *width),
        };
        words(&[name, 1, case, width, 0])
    };
    let inputs: Vec<u8> = input.iter().flat_map(|data_type| field(120, data_type)).collect();
    let outputs = output.iter().zip(121..).flat_map(|(data_type, name)| field(name, data_type));
    let outputs: Vec<u8> = outputs.collect();
    let lists = words(&[128, input.len() as u32, 1024, output.len() as u32]);
    format!(
        r#"
        (memory (export "memory") 1)
        ;; The result is at 16: ok, and a descriptor of three empty texts, two lists of fields and a byte of 0.
        (data (i32.const 44) "{}")
        (data (i32.const 120) "xyz")
        (data (i32.const 128) "{}")
        (data (i32.const 1024) "{}")
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
        (func (export "configure") (param i32 i32 i32 i32) (result i32) {body})"#,
        escaped(&lists),
        escaped(&inputs),
        escaped(&outputs),
    )
}

/// A memory, and an allocator that hands it out from 65,536 on and takes none back.
pub(crate) const MEMORY: &str = r#"
    (memory (export "memory") 16)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
        (local $block i32)
        (local.set $block (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.set $next (i32.add (local.get $block) (local.get $size)))
        (local.get $block))"#;

/// An `apply` of these instructions, which leave the address of the result.
pub(crate) fn apply(body: &str) -> String {
    format!(
        r#"{MEMORY}
        (func (export "apply") (param $rows i32) (param $columns i32) (param $count i32) (result i32) {body})"#
    )
}

/// An `apply` that keeps every row and answers with one int64 a row, which the instructions leave; `$row` is its number, and
/// `$value` the address of what came in.
pub(crate) fn apply_each(items: &str, value: &str) -> String {
    format!(
        r#"{MEMORY}
        {items}
        (func (export "apply") (param $rows i32) (param $columns i32) (param $count i32) (result i32)
            (local $row i32) (local $value i32) (local $out i32)
            (local.set $value (i32.load offset=4 (local.get $columns)))
            (local.set $out (i32.const 131072))
            (block $done (loop $each
                (br_if $done (i32.eq (local.get $row) (local.get $rows)))
                (i64.store (i32.add (local.get $out) (i32.shl (local.get $row) (i32.const 3))) {value})
                (local.set $value (i32.add (local.get $value) (i32.const 8)))
                (local.set $row (i32.add (local.get $row) (i32.const 1)))
                (br $each)))
            ;; The result is at 1024: so many rows, of one column at 2048, which is the int64s at `$out`.
            (i32.store (i32.const 1028) (local.get $rows))
            (i64.store (i32.const 1032) (i64.const 0x1_0000_0800))
            (i32.store (i32.const 2048) (i32.const 1))
            (i32.store (i32.const 2052) (local.get $out))
            (i32.store (i32.const 2056) (local.get $rows))
            (i32.const 1024))"#
    )
}

/// An answer as it lies in memory from 1024 on: a result of an output record, and lists after it.
pub(crate) struct Answer(Vec<u8>);

/// Where a list lies, and how many items it has.
pub(crate) type List = (u32, u32);

/// A column: the case of its buffer, the words after it, and its validity.
pub(crate) struct Column(pub(crate) u32, pub(crate) [u32; 4], pub(crate) Option<List>);

pub(crate) fn int64s(values: List) -> Column {
    Column(1, [values.0, values.1, 0, 0], None)
}

pub(crate) fn utf8(offsets: List, bytes: List) -> Column {
    Column(4, [offsets.0, offsets.1, bytes.0, bytes.1], None)
}

impl Answer {
    const START: usize = 1024;

    pub(crate) fn new() -> Self {
        Self(vec![0; 64])
    }

    /// Lays down so many items, and says where they are.
    pub(crate) fn put(&mut self, bytes: &[u8], items: usize) -> List {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let start = Self::START + self.0.len();
        self.0.extend(bytes);
        (start as u32, items as u32)
    }

    pub(crate) fn put_words(&mut self, values: &[u32]) -> List {
        self.put(&words(values), values.len())
    }

    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) -> List {
        self.put(bytes, bytes.len())
    }

    pub(crate) fn put_int64s(&mut self, values: &[i64]) -> List {
        self.put(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(), values.len())
    }

    /// Rows that are all kept.
    pub(crate) fn rows(self, rows: u32, columns: &[Column]) -> Guest {
        self.judged(rows, columns, None, (0, 0))
    }

    pub(crate) fn judged(mut self, rows: u32, columns: &[Column], verdicts: Option<List>, rejections: List) -> Guest {
        self.lay(rows, columns, verdicts, rejections);
        self.guest()
    }

    /// What the memory holds for rows that are all kept.
    pub(crate) fn into_memory(mut self, rows: u32, columns: &[Column]) -> Vec<u8> {
        self.lay(rows, columns, None, (0, 0));
        self.0
    }

    fn lay(&mut self, rows: u32, columns: &[Column], verdicts: Option<List>, rejections: List) {
        let option = |list: &Option<List>| list.map_or([0, 0, 0], |(start, items)| [1, start, items]);
        let record = |Column(case, buffer, validity): &Column| [&[*case][..], buffer, &option(validity)].concat();
        let columns_at = self.put_words(&columns.iter().flat_map(record).collect::<Vec<_>>()).0;
        let [tag, verdicts_at, verdicts_count] = option(&verdicts);
        let record =
            [0, rows, columns_at, columns.len() as u32, tag, verdicts_at, verdicts_count, rejections.0, rejections.1];
        self.0[..36].copy_from_slice(&words(&record));
    }

    /// An error of this text.
    pub(crate) fn error(mut self, text: List) -> Guest {
        self.0[..12].copy_from_slice(&words(&[1, text.0, text.1]));
        self.guest()
    }

    fn guest(self) -> Guest {
        let data = format!(r#"(data (i32.const {}) "{}")"#, Self::START, escaped(&self.0));
        Guest::new(&[DataType::Utf8], &(apply("(i32.const 1024)") + &data))
    }
}

pub(crate) fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!(r"\{byte:02x}")).collect()
}

/// A transform that counts its calls of `row` in a global: the first row of a batch sees 1, the second 2. The engine alone
/// cannot tell; the check before publication has to.
pub(crate) fn keeps_state_across_rows() -> Vec<u8> {
    let count = "(global $count (mut i64) (i64.const 0))
        (func $counted (result i64)
            (global.set $count (i64.add (global.get $count) (i64.const 1)))
            (global.get $count))";
    Guest::new(&[DataType::Int64], &apply_each(count, "(call $counted)")).component()
}

/// A transform that answers with the address of its value, as a hash map does that seeds itself by an address.
pub(crate) fn hashes_by_address() -> Vec<u8> {
    let hash = "(i64.mul (i64.extend_i32_u (local.get $value)) (i64.const 0x9E3779B97F4A7C15))";
    Guest::new(&[DataType::Int64], &apply_each("", hash)).component()
}

/// A transform that answers with what lies behind its value, which is the next row's value or memory that nobody wrote.
pub(crate) fn reads_uninitialised_memory() -> Vec<u8> {
    Guest::new(&[DataType::Int64], &apply_each("", "(i64.load offset=8 (local.get $value))")).component()
}

/// A transform that does what it should: it answers with its value.
pub(crate) fn answers_with_its_value() -> Vec<u8> {
    Guest::new(&[DataType::Int64], &apply_each("", "(i64.load (local.get $value))")).component()
}
