//! A plugin that does to its host what its rows say, as an author might who means harm or knows no better.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    hint::black_box,
    sync::atomic::{AtomicI64, Ordering},
};

use oast_sdk::{Outcome, Row, transform};

/// What to do.
#[derive(Row)]
pub struct Order<'a> {
    /// The name of a deed.
    pub deed: &'a str,
}

/// What came of it.
#[derive(Row)]
pub struct Answer {
    /// A number that the deed leaves.
    pub answer: i64,
}

/// Rows that went before on this instance.
static ROWS: AtomicI64 = AtomicI64::new(0);

/// Does what each row says.
#[transform]
pub fn misbehave(order: Order<'_>) -> Outcome<Answer> {
    let answer = match order.deed {
        "loop" => forever(),
        "recurse" => recurse(0),
        "allocate" => allocate(),
        "panic" => panic!("as it was told"),
        "index" => [1, 2, 3][black_box(7)],
        "lie" => return Outcome::reject("lie", "no! ".repeat(1 << 18)),
        "boast" => return Outcome::reject("boast ".repeat(1 << 10), ""),
        "count" => ROWS.fetch_add(1, Ordering::Relaxed),
        "seed" => RandomState::new().hash_one(7).cast_signed(),
        "order" => (0..100).collect::<HashSet<i64>>().into_iter().fold(0, |sum: i64, each| sum.wrapping_mul(31) + each),
        "clock" => i64::from(std::time::SystemTime::now().elapsed().is_ok()),
        "file" => i64::from(std::fs::read("/etc/passwd").is_ok()),
        "variable" => i64::from(std::env::var("HOME").is_ok()),
        "network" => i64::from(std::net::TcpStream::connect("127.0.0.1:80").is_ok()),
        "thread" => i64::from(std::thread::Builder::new().spawn(|| {}).is_ok()),
        "exit" => std::process::exit(0),
        _ => 0,
    };
    Outcome::Keep(Answer { answer })
}

fn forever() -> i64 {
    loop {
        black_box(());
    }
}

#[expect(unconditional_recursion, reason = "this is how it misbehaves")]
fn recurse(depth: i64) -> i64 {
    let frame = black_box([depth; 64]);
    1 + recurse(depth + 1) + frame[7]
}

fn allocate() -> i64 {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}
