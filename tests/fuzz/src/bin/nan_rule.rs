#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oast_fuzz::nan_rule(bytes));
