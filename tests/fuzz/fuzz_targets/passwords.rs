#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| citronella_fuzz::passwords::check(text));
