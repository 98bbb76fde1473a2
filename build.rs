//! Compiles the C shim and generates the bindings of `include/citronella_broker.h`; nothing else.
#![allow(clippy::expect_used, reason = "a build script reports by stopping the build")]

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=include/citronella_broker.h");
    println!("cargo:rerun-if-changed=src/ffi/shim.c");

    cc::Build::new()
        .file("src/ffi/shim.c")
        .include("include")
        .flag_if_supported("-std=gnu11")
        .warnings(true)
        .extra_warnings(true)
        .compile("citronella_shim");

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    bindgen::Builder::default()
        .header("include/citronella_broker.h")
        .clang_arg("-Iinclude")
        .allowlist_type("citronella_.*")
        .allowlist_type("mosquitto_evt_(acl_check|basic_auth)")
        .allowlist_type("mosquitto_opt")
        .allowlist_type("mosq_err_t")
        .allowlist_type("mosquitto_plugin_event")
        .allowlist_function("citronella_.*")
        .allowlist_var("MOSQ_(LOG|ACL)_.*")
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .derive_default(true)
        .generate_comments(false)
        .generate()
        .expect("bindgen reads include/citronella_broker.h; it needs mosquitto-dev, libmosquitto-dev and libclang")
        .write_to_file(out)
        .expect("the bindings are written to OUT_DIR");
}
