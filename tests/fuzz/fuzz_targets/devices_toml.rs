#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| citronella_fuzz::devices_toml::check(text));
