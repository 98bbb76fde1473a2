#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| citronella_fuzz::import::check_dynsec(text));
