#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oast_fuzz::returned_values(bytes));
