#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| citronella_fuzz::ledger::check(bytes));
