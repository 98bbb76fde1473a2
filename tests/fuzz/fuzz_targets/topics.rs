#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| citronella_fuzz::topics::check(text));
