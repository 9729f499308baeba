//! What the compiler says to an author who makes a mistake: each message names it. Run with `TRYBUILD=overwrite` to accept
//! what it says now, and read the difference.

#[test]
fn compile_errors_name_the_mistake() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
