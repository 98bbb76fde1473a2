#![no_main]

libfuzzer_sys::fuzz_target!(|question: citronella_fuzz::policy::Question| citronella_fuzz::policy::check(
    &question
));
