//! The boundary without a broker: real C structs, a table of functions of our own, and what only 2.1 has.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "a test stops by panicking, and plays the broker"
)]

use core::{
    cell::RefCell,
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
};

use super::{
    api::{Broker, RegisterError},
    entry::{Loaded, on_acl_check, on_basic_auth, on_reload, on_tick},
    guard::{guarded, install_hook, to_log},
    sys,
};
use crate::plugin::{Host, Plugin, PluginOption};

/// What the made-up broker knows of its only client, and what it was told.
#[derive(Default)]
struct World {
    client_id: Option<&'static CStr>,
    username: Option<std::ffi::CString>,
    log: Vec<String>,
    /// What `mosquitto_client` finds; 2.1 only.
    known: bool,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Stands for a `struct mosquitto *`; never looked into.
const CLIENT: *mut sys::mosquitto = ptr::dangling_mut::<u64>().cast();

unsafe extern "C" fn client_id(_: *const sys::mosquitto) -> *const c_char {
    WORLD.with_borrow(|world| world.client_id.map_or(ptr::null(), CStr::as_ptr))
}
unsafe extern "C" fn username(_: *const sys::mosquitto) -> *const c_char {
    WORLD.with_borrow(|world| world.username.as_ref().map_or(ptr::null(), |name| name.as_ptr()))
}
unsafe extern "C" fn address(_: *const sys::mosquitto) -> *const c_char {
    c"192.0.2.1".as_ptr()
}
unsafe extern "C" fn protocol(_: *const sys::mosquitto) -> c_int {
    0
}
unsafe extern "C" fn sub_count(_: *const sys::mosquitto) -> c_int {
    0
}
unsafe extern "C" fn set_username(_: *mut sys::mosquitto, name: *const c_char) -> c_int {
    let name = unsafe { CStr::from_ptr(name) }.to_owned();
    WORLD.with_borrow_mut(|world| world.username = Some(name));
    0
}
unsafe extern "C" fn kick(_: *const c_char, _: bool) -> c_int {
    0
}
unsafe extern "C" fn publish_message(_: *const c_char, _: *const c_void, _: c_int) -> c_int {
    0
}
unsafe extern "C" fn log_text(_: c_int, text: *const c_char, len: usize) {
    let text = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) };
    WORLD.with_borrow_mut(|world| world.log.push(String::from_utf8_lossy(text).into_owned()));
}
unsafe extern "C" fn register(
    _: *mut sys::mosquitto_plugin_id_t,
    _: c_int,
    _: sys::MOSQ_FUNC_generic_callback,
    _: *const c_void,
    _: *mut c_void,
) -> c_int {
    31
}
unsafe extern "C" fn unregister(
    _: *mut sys::mosquitto_plugin_id_t,
    _: c_int,
    _: sys::MOSQ_FUNC_generic_callback,
    _: *const c_void,
) -> c_int {
    0
}
unsafe extern "C" fn client(_: *const c_char) -> *mut sys::mosquitto {
    WORLD.with_borrow(|world| if world.known { CLIENT } else { ptr::null_mut() })
}

fn table() -> sys::citronella_broker {
    sys::citronella_broker {
        callback_register: Some(register),
        callback_unregister: Some(unregister),
        client_address: Some(address),
        client_id: Some(client_id),
        client_username: Some(username),
        client_protocol: Some(protocol),
        client_protocol_version: Some(protocol),
        client_sub_count: Some(sub_count),
        set_username: Some(set_username),
        kick_client_by_username: Some(kick),
        publish: Some(publish_message),
        log_text: Some(log_text),
        strerror: None,
        plugin_set_info: None,
        client: None,
        complete_basic_auth: None,
        set_clientid: None,
    }
}

/// A plugin over this registry, and the made-up broker it talks to.
fn load(table: &sys::citronella_broker, devices: &str) -> Loaded {
    install_hook();
    WORLD.set(World { client_id: Some(c"c1"), ..World::default() });
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("citronella.toml");
    std::fs::write(
        &config,
        "version = 1\n[registry]\nfile = \"devices.toml\"\n[anonymous]\npublish = [\"open\"]\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("devices.toml"), format!("version = 1\n{devices}")).unwrap();
    let broker = Broker::from_table(table).unwrap();
    let option = PluginOption { key: "config".to_owned(), value: config.display().to_string().into_bytes() };
    let plugin = Plugin::start(&[option], &broker).unwrap();
    Loaded::new(broker, plugin)
}

/// Asks the access callback as the broker would.
fn ask(loaded: &mut Loaded, topic: Option<&CStr>, access: c_int) -> c_int {
    let mut event = sys::mosquitto_evt_acl_check {
        client: CLIENT,
        topic: topic.map_or(ptr::null(), CStr::as_ptr),
        access,
        ..Default::default()
    };
    unsafe { on_acl_check(2, (&raw mut event).cast(), ptr::from_mut(loaded).cast()) }
}

fn publish(loaded: &mut Loaded, topic: &CStr) -> c_int {
    ask(loaded, Some(topic), sys::MOSQ_ACL_WRITE as c_int)
}

fn last_log_line() -> String {
    WORLD.with_borrow(|world| world.log.last().cloned().unwrap_or_default())
}

const THUNDER: &str = "[thunder10]\npublish = [\"t/{device}\"]\n";

#[test]
fn a_named_client_gets_what_its_rules_give() {
    let mut loaded = load(&table(), THUNDER);
    WORLD.with_borrow_mut(|world| world.username = Some(c"thunder10".to_owned()));
    assert_eq!(publish(&mut loaded, c"t/thunder10"), 0);
    assert_eq!(publish(&mut loaded, c"t/other"), 12);
    assert!(last_log_line().contains("192.0.2.1: device `thunder10`"), "{}", last_log_line());
}

#[test]
fn a_client_without_a_name_gets_nothing_not_even_what_anonymous_clients_get() {
    let mut loaded = load(&table(), THUNDER);
    assert_eq!(publish(&mut loaded, c"open"), 12);
    assert!(last_log_line().contains("never admitted"), "{}", last_log_line());
}

#[test]
fn what_the_broker_should_never_send_is_refused_with_a_line() {
    let mut loaded = load(&table(), THUNDER);
    WORLD.with_borrow_mut(|world| world.username = Some(c"thunder10".to_owned()));
    for (topic, access, said) in [
        (None, 2, "the broker gave no topic"),
        (Some(c"t/\xff"), 2, "the topic is not UTF-8"),
        (Some(c"t/thunder10"), 64, "access 64 is unknown"),
        (Some(c"t/thunder10"), -1, "access -1 is unknown"),
    ] {
        assert_eq!(ask(&mut loaded, topic, access), 12, "{said}");
        assert!(last_log_line().contains(said), "{} / {said}", last_log_line());
    }
    let user_data = (&raw mut loaded).cast();
    assert_eq!(unsafe { on_acl_check(2, ptr::null_mut(), user_data) }, 12);
    assert_eq!(unsafe { on_basic_auth(3, ptr::null_mut(), user_data) }, 11);
    WORLD.with_borrow_mut(|world| world.client_id = None);
    assert_eq!(publish(&mut loaded, c"t/thunder10"), 12);
    assert!(last_log_line().contains("no client id"), "{}", last_log_line());
}

#[test]
fn the_client_id_is_read_where_rules_speak_of_it() {
    let mut loaded = load(&table(), &format!("{THUNDER}deny = [\"t/{{clientid}}/x\"]\n"));
    WORLD.with_borrow_mut(|world| world.username = Some(c"thunder10".to_owned()));
    assert_eq!(publish(&mut loaded, c"t/thunder10"), 0);
    WORLD.with_borrow_mut(|world| world.client_id = Some(c"\xff"));
    assert_eq!(publish(&mut loaded, c"t/thunder10"), 12);
    assert!(last_log_line().contains("not UTF-8"), "{}", last_log_line());
}

#[test]
fn callbacks_without_state_refuse_and_stand_still() {
    assert_eq!(unsafe { on_acl_check(2, ptr::null_mut(), ptr::null_mut()) }, 12);
    assert_eq!(unsafe { on_basic_auth(3, ptr::null_mut(), ptr::null_mut()) }, 11);
    assert_eq!(unsafe { on_reload(1, ptr::null_mut(), ptr::null_mut()) }, 0);
    assert_eq!(unsafe { on_tick(9, ptr::null_mut(), ptr::null_mut()) }, 0);
}

#[test]
fn a_panic_is_one_refusal_and_one_line() {
    let loaded = load(&table(), THUNDER);
    let host: &dyn Host = &loaded.broker;
    let answer = guarded(to_log(host), "access check", 12, || -> c_int { panic!("boom\nforged line") });
    assert_eq!(answer, 12);
    let line = last_log_line();
    assert!(line.contains("access check: internal error at"), "{line}");
    assert!(line.contains("src/ffi/tests.rs:"), "{line}");
    assert!(!line.contains('\n'), "{line}");
}

#[test]
fn an_anonymous_client_gets_its_own_name() {
    let mut loaded = load(&table(), THUNDER);
    let mut event = sys::mosquitto_evt_basic_auth { client: CLIENT, ..Default::default() };
    let code = unsafe { on_basic_auth(3, (&raw mut event).cast(), (&raw mut loaded).cast()) };
    assert_eq!(code, 0);
    assert_eq!(WORLD.with_borrow(|world| world.username.clone()).unwrap(), c"~anonymous".to_owned());
    assert_eq!(publish(&mut loaded, c"open"), 0);
    assert_eq!(publish(&mut loaded, c"t/thunder10"), 12);
}

#[test]
fn on_a_broker_that_can_be_asked_only_its_own_session_counts_as_known() {
    let with_look_up = sys::citronella_broker { client: Some(client), ..table() };
    let mut loaded = load(&with_look_up, "[thunder10]\ncertificates = \"any\"\n");
    // As after SIGHUP: the device's name, no certificate.
    let ask = |loaded: &mut Loaded| {
        let mut event = sys::mosquitto_evt_basic_auth {
            client: CLIENT,
            username: c"thunder10".as_ptr().cast_mut(),
            ..Default::default()
        };
        unsafe { on_basic_auth(3, (&raw mut event).cast(), ptr::from_mut(loaded).cast()) }
    };
    unsafe { on_tick(9, ptr::null_mut(), (&raw mut loaded).cast()) };
    unsafe { on_reload(1, ptr::null_mut(), (&raw mut loaded).cast()) };
    assert_eq!(ask(&mut loaded), 11, "a new client that claims the name");
    WORLD.with_borrow_mut(|world| world.known = true);
    assert_eq!(ask(&mut loaded), 0, "the session that has it");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn each_tick_asks_for_the_next_in_a_way_that_2_1_keeps() {
    let mut loaded = load(&sys::citronella_broker { client: Some(client), ..table() }, "[thunder10]\n");
    // The event as words: its version, now in ns, next in ms, now in s, next in s, and what is reserved.
    let mut words = [0_i64, 999_999_999, 0, 1_000, 0, 0, 0, 0, 0];
    unsafe { on_tick(9, (&raw mut words).cast(), (&raw mut loaded).cast()) };
    let (ms, seconds) = (words[2], words[4]);
    assert!((1..=100).contains(&(seconds * 1_000 + ms)), "how long the broker may sleep");
    // SOURCE: plugin_tick.c of 2.1.2; a tick is due when now is after this.
    let (mut due_s, mut due_ns) = (1_000 + seconds, 999_999_999 + 1_000_000 * ms);
    if due_ns > 1_000_000_000 {
        (due_s, due_ns) = (due_s + 1, due_ns - 1_000_000_000);
    }
    assert!((1_000, 999_999_999) > (due_s, due_ns), "due in every turn");
}

#[test]
fn an_error_is_logged_whatever_number_of_warnings_stands_before_it() {
    WORLD.set(World::default());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("citronella.toml");
    std::fs::write(&config, "version = 1\n").unwrap();
    let warnings: String = (0..200).map(|number| format!("[d{number}]\nmax_qos = 0\n")).collect();
    let devices = format!("version = 1\n{warnings}[last]\nrole = \"nobody\"\n");
    std::fs::write(dir.path().join("devices.toml"), devices).unwrap();
    let broker = Broker::from_table(&table()).unwrap();
    let option = PluginOption { key: "config".to_owned(), value: config.display().to_string().into_bytes() };
    assert!(Plugin::start(&[option], &broker).is_err());
    let log = WORLD.with_borrow(|world| world.log.clone());
    assert!(log.iter().any(|line| line.contains("`nobody`")), "{log:#?}");
    assert!(log.len() <= 52, "{}", log.len());
}

#[test]
fn two_plugin_lines_are_named_as_such() {
    let broker = Broker::from_table(&table()).unwrap();
    let answer = unsafe { broker.register(ptr::null_mut(), (2, on_acl_check), ptr::null_mut()) };
    assert_eq!(answer, Err(RegisterError::Twice));
}

#[test]
fn a_broker_without_a_function_is_named_with_it() {
    let lacking = sys::citronella_broker { set_username: None, ..table() };
    let error = Broker::from_table(&lacking).err().unwrap();
    assert!(error.to_string().contains("mosquitto_set_username"), "{error}");
}
