//! What only a real broker, a foreign judge or the finished artefacts can show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test stops by panicking, and tells what the broker said"
)]

#[macro_use]
mod support;

mod artefact;
mod broker_audit;
mod broker_certificate_names;
mod broker_certificates;
mod broker_delivery;
mod broker_faults;
mod broker_guarded;
mod broker_guessing;
mod broker_hostile;
mod broker_http;
mod broker_identity;
mod broker_lockout;
mod broker_metrics;
mod broker_oddities;
mod broker_offline;
mod broker_passwords;
mod broker_publish;
mod broker_reload;
mod broker_robust;
mod broker_slow_hashes;
mod broker_start;
mod broker_storm;
mod broker_strangers;
mod broker_subscribe;
mod broker_take_over;
mod broker_watch;
mod cli_broker;
mod cli_bundle;
mod cli_bundle_names;
mod cli_ca;
mod cli_ca_crl;
mod cli_cert;
mod cli_cert_renew;
mod cli_cert_revoke;
mod cli_cert_show;
mod cli_cert_sign;
mod cli_cert_verify;
mod cli_cert_verify_uses;
mod cli_check;
mod cli_check_allow;
mod cli_check_installed;
mod cli_check_warnings;
mod cli_confirm;
mod cli_device;
mod cli_device_edit;
mod cli_device_import;
mod cli_device_import_again;
mod cli_diff;
mod cli_examples;
mod cli_explain;
mod cli_explain_batch;
mod cli_explain_help;
mod cli_explain_who;
mod cli_help_lines;
mod cli_import;
mod cli_import_prove;
mod cli_init;
mod cli_init_dynsec;
mod cli_init_in_use;
mod cli_init_refusals;
mod cli_init_stopped;
mod cli_init_undone;
mod cli_lack;
mod cli_noted;
mod cli_password;
mod cli_password_import;
mod cli_secrets;
mod cli_site;
mod cli_status;
mod cli_sudo;
mod cli_support;
mod cli_talk;
mod cli_test;
mod cli_uninstall;
mod docs;
mod doctor_faults;
mod doctor_guides;
mod doctor_plugins;
mod doctor_running;
mod doctor_strangers;
mod doctor_support;
mod golden;
mod harness;
mod hot_path;
mod layers;
mod login_table;
mod man_docs;
mod mqtt_client;
mod pki_authority;
mod pki_foreign_judges;
mod pki_judges;
mod pki_kill;
mod pki_small_judges;
mod pki_support;
mod probe_causes;
mod probe_java;
mod probe_rest;
