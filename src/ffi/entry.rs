//! The three exported functions and the callbacks: replies become codes here, and nothing but codes leaves.

use core::{
    ffi::{c_int, c_void},
    slice,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    api::{Broker, RegisterError, Registration, bytes},
    event,
    guard::{guarded, install_hook, to_log},
    kept::Kept,
    sys,
};
use crate::plugin::{
    AclReply, AuthReply, Hand, Host, Level, Plugin, PluginOption, Refusal, StartError, Thread, Wake,
};

/// The version of the plugin interface we speak, in every supported broker.
const PLUGIN_VERSION: c_int = 5;

/// `MOSQ_ERR_INVAL`: what init answers when it fails, and with it the broker's exit status.
const START_REFUSED: c_int = 3;

/// How many instances there are: one for each `plugin` line.
static INSTANCES: AtomicUsize = AtomicUsize::new(0);

/// Whether there is no other instance, which could answer for a client that waits for this one: 2.1 finds those who wait
/// by their client ids alone, whichever listener they came to.
pub(super) fn is_alone() -> bool {
    INSTANCES.load(Ordering::Acquire) <= 1
}

/// What one `plugin` line has loaded; `user_data` points to it. Only ever shared, also between threads.
pub(super) struct Loaded {
    pub(super) broker: Broker,
    pub(super) plugin: Plugin,
    /// Of the broker's loop.
    hand: Kept<Box<Hand>>,
}

impl Loaded {
    /// The calling thread is the broker's loop.
    pub(super) fn new(broker: Broker, plugin: Plugin) -> Self {
        INSTANCES.fetch_add(1, Ordering::AcqRel);
        Self { broker, plugin, hand: Kept::new() }
    }

    fn with_hand<R>(&self, body: impl FnOnce((Thread, &mut Hand)) -> R) -> R {
        self.hand.lend(
            || Box::new(self.plugin.hand()),
            |is_loop, hand| body((if is_loop { Thread::Loop } else { Thread::Other }, hand)),
        )
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        INSTANCES.fetch_sub(1, Ordering::AcqRel);
    }
}

const _: () = {
    const fn is_shared_between_threads<T: Sync>() {}
    is_shared_between_threads::<Loaded>();
};

// The header's prototypes, held against ours by the compiler.
const _: sys::citronella_version_fn = Some(mosquitto_plugin_version);
const _: sys::citronella_init_fn = Some(mosquitto_plugin_init);
const _: sys::citronella_cleanup_fn = Some(mosquitto_plugin_cleanup);

/// Which version of the interface we want, of those the broker offers; -1 for none.
///
/// # Safety
///
/// Called by the broker with an array of `count` versions.
#[unsafe(no_mangle)]
unsafe extern "C" fn mosquitto_plugin_version(count: c_int, versions: *const c_int) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if versions.is_null() {
        return -1;
    }
    // SAFETY: not null, and `count` long by this function's contract.
    let offered = unsafe { slice::from_raw_parts(versions, count) };
    if offered.contains(&PLUGIN_VERSION) { PLUGIN_VERSION } else { -1 }
}

/// Loads the configuration and registers the callbacks; the broker does not start unless both succeed.
///
/// # Safety
///
/// Called by the broker: `id` names this instance, `user_data` is where our pointer is kept, `options` has
/// `count` entries.
#[unsafe(no_mangle)]
unsafe extern "C" fn mosquitto_plugin_init(
    id: *mut sys::mosquitto_plugin_id_t,
    user_data: *mut *mut c_void,
    options: *mut sys::mosquitto_opt,
    count: c_int,
) -> c_int {
    install_hook();
    // Without a log function there is nobody to tell; the broker reports the failed start itself.
    let Ok(broker) = Broker::resolve() else { return START_REFUSED };
    if user_data.is_null() {
        return START_REFUSED;
    }
    guarded(to_log(&broker), "start", START_REFUSED, || {
        // SAFETY: by this function's contract.
        let options = unsafe { read_options(options, count) };
        let plugin = match Plugin::start(&options, &broker) {
            Ok(plugin) => plugin,
            Err(error) => return refuse_start(&broker, &error),
        };
        let loaded = Box::into_raw(Box::new(Loaded::new(broker, plugin)));
        // SAFETY: `loaded` lives until cleanup, or until it is freed below with nothing registered.
        if let Err(error) = unsafe { register_all(&broker, id, loaded.cast()) } {
            // SAFETY: made by `Box::into_raw` above; `register_all` left no callback with it.
            drop(unsafe { Box::from_raw(loaded) });
            broker.write(Level::Error, &format!("citronella: {error}"));
            return START_REFUSED;
        }
        // SAFETY: this instance's identifier.
        unsafe { broker.set_info(id) };
        // SAFETY: not null; the broker keeps the pointer for us. Last, because 2.1 hands whatever is here to
        // cleanup when init fails.
        unsafe { *user_data = loaded.cast() };
        give_memory_back();
        0
    })
}

/// Gives the system what loading took and freed: with many devices twice as much as stays, in pages that glibc would
/// keep. Only here, where nobody waits yet: it holds the lock of one heap after the other for milliseconds.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer, and what is in use stays where it is.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Frees what init made. A null comes from a broker that cleans up after a failed start.
///
/// # Safety
///
/// Called by the broker once, with what init left in `user_data`, when no callback runs any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn mosquitto_plugin_cleanup(
    user_data: *mut c_void,
    _options: *mut sys::mosquitto_opt,
    _count: c_int,
) -> c_int {
    if user_data.is_null() {
        return 0;
    }
    // SAFETY: made by `Box::into_raw` in init and given back once.
    let loaded = unsafe { Box::from_raw(user_data.cast::<Loaded>()) };
    let broker = loaded.broker;
    guarded(to_log(&broker), "shutdown", (), || drop(loaded));
    0
}

/// One line an error, then the one that says what follows from it.
fn refuse_start(broker: &Broker, error: &StartError) -> c_int {
    broker.write(Level::Error, &format!("citronella: {error}"));
    broker.write(Level::Error, "citronella: not starting: a broker without its guard would let anybody in");
    START_REFUSED
}

/// Copies the options. A key that is not text is no key of ours, and is told apart by what stands for its bytes.
///
/// # Safety
///
/// `options` is null or has `count` entries of C strings.
unsafe fn read_options(options: *const sys::mosquitto_opt, count: c_int) -> Vec<PluginOption> {
    let count = usize::try_from(count).unwrap_or(0);
    if options.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, and `count` long by this function's contract.
    let options = unsafe { slice::from_raw_parts(options, count) };
    let copy = |option: &sys::mosquitto_opt| {
        // SAFETY: a C string or null, kept by the broker until it ends.
        let key = unsafe { bytes(option.key) };
        // SAFETY: as above.
        let value = unsafe { bytes(option.value) };
        PluginOption {
            key: String::from_utf8_lossy(key.unwrap_or_default()).into_owned(),
            value: value.unwrap_or_default().to_vec(),
        }
    };
    options.iter().map(copy).collect()
}

/// The events we want, in the order in which they are registered.
const CALLBACKS: [Registration; 4] = [
    (sys::mosquitto_plugin_event::MOSQ_EVT_RELOAD, on_reload),
    (sys::mosquitto_plugin_event::MOSQ_EVT_BASIC_AUTH, on_basic_auth),
    (sys::mosquitto_plugin_event::MOSQ_EVT_ACL_CHECK, on_acl_check),
    (sys::mosquitto_plugin_event::MOSQ_EVT_TICK, on_tick),
];

/// All or none.
///
/// # Safety
///
/// As for [`Broker::register`]; `user_data` points to a [`Loaded`].
unsafe fn register_all(
    broker: &Broker,
    id: *mut sys::mosquitto_plugin_id_t,
    user_data: *mut c_void,
) -> Result<(), RegisterError> {
    for (done, registration) in CALLBACKS.into_iter().enumerate() {
        // SAFETY: by this function's contract.
        if let Err(error) = unsafe { broker.register(id, registration, user_data) } {
            // On 2.0 the first instance of two has registered the same functions: its registrations stay.
            for registration in CALLBACKS.into_iter().take(done) {
                // SAFETY: by this function's contract.
                unsafe { broker.unregister(id, registration) };
            }
            return Err(error);
        }
    }
    Ok(())
}

/// # Safety
///
/// `user_data` is null or what the callbacks were registered with, which cleanup has not yet freed.
unsafe fn loaded<'a>(user_data: *mut c_void) -> Option<&'a Loaded> {
    // SAFETY: by this function's contract; never made exclusive while callbacks can run.
    unsafe { user_data.cast::<Loaded>().as_ref() }
}

/// # Safety
///
/// Called by the broker for `MOSQ_EVT_BASIC_AUTH` with the `user_data` of its registration.
pub(super) unsafe extern "C" fn on_basic_auth(
    _event: c_int,
    data: *mut c_void,
    user_data: *mut c_void,
) -> c_int {
    // SAFETY: by this function's contract.
    let Some(Loaded { broker, plugin, .. }) = (unsafe { loaded(user_data) }) else {
        return AuthReply::Refuse.into();
    };
    let tell = |what: &str| plugin.note_panic(broker, Some(Refusal::LogIn), what);
    guarded(tell, "log-in", AuthReply::Refuse, || {
        // SAFETY: the broker passes this event's own struct, alive until we return.
        let answer = unsafe {
            event::basic_auth(broker, data, |event, newcomer| plugin.basic_auth(broker, &event, newcomer))
        };
        answer.unwrap_or_else(|error| {
            plugin.note_refusal(broker, Refusal::LogIn, &error);
            AuthReply::Refuse
        })
    })
    .into()
}

/// # Safety
///
/// Called by the broker for `MOSQ_EVT_ACL_CHECK` with the `user_data` of its registration.
pub(super) unsafe extern "C" fn on_acl_check(
    _event: c_int,
    data: *mut c_void,
    user_data: *mut c_void,
) -> c_int {
    // SAFETY: by this function's contract.
    let Some(loaded @ Loaded { broker, plugin, .. }) = (unsafe { loaded(user_data) }) else {
        return AclReply::Deny.into();
    };
    let tell = |what: &str| plugin.note_panic(broker, Some(Refusal::Access), what);
    guarded(tell, "access check", AclReply::Deny, || {
        // SAFETY: the broker passes this event's own struct, alive until we return.
        let answer = unsafe {
            event::acl_check(broker, data, |event| {
                loaded.with_hand(|hand| plugin.acl_check(broker, hand, &event))
            })
        };
        answer.unwrap_or_else(|error| {
            plugin.note_refusal(broker, Refusal::Access, &error);
            AclReply::Deny
        })
    })
    .into()
}

/// Answers 0 whatever happens: anything else ends a 2.1 broker and corrupts a 2.0 broker.
///
/// # Safety
///
/// Called by the broker for `MOSQ_EVT_RELOAD` with the `user_data` of its registration.
pub(super) unsafe extern "C" fn on_reload(
    _event: c_int,
    _data: *mut c_void,
    user_data: *mut c_void,
) -> c_int {
    // SAFETY: by this function's contract.
    if let Some(Loaded { broker, plugin, .. }) = unsafe { loaded(user_data) } {
        let tell = |what: &str| plugin.note_panic(broker, None, what);
        guarded(tell, "reload", (), || plugin.reload(broker));
    }
    0
}

/// # Safety
///
/// Called by the broker for `MOSQ_EVT_TICK` with the `user_data` of its registration.
pub(super) unsafe extern "C" fn on_tick(_event: c_int, data: *mut c_void, user_data: *mut c_void) -> c_int {
    // SAFETY: by this function's contract.
    if let Some(loaded @ Loaded { broker, plugin, .. }) = unsafe { loaded(user_data) } {
        let turn = || {
            // First, because it ends the time in which known sessions are asked about again.
            let wake = plugin.tick(broker);
            // Without checks, what is in force no longer would be kept for ever.
            loaded.with_hand(|(_, hand)| plugin.settle(broker, hand));
            wake
        };
        let tell = |what: &str| plugin.note_panic(broker, None, what);
        let milliseconds = match guarded(tell, "tick", Wake::Soon, turn) {
            Wake::Soon => 1,
            Wake::Later => 100,
        };
        // SAFETY: the broker passes this event's own struct, alive until we return.
        unsafe { broker.tick_within(data, milliseconds) };
    }
    0
}

impl From<AuthReply> for c_int {
    fn from(reply: AuthReply) -> Self {
        match reply {
            AuthReply::Admit => 0,
            // MOSQ_ERR_AUTH: CONNACK 5, or 0x87 for MQTT 5.0, on every broker.
            AuthReply::Refuse => 11,
            // MOSQ_ERR_SERVER_BUSY: 2.1 sends it as the reason 0x89.
            AuthReply::Busy => 137,
            // MOSQ_ERR_CONN_REFUSED: any code without a meaning of its own closes the connection (handle_connect.c).
            AuthReply::Close => 5,
            // MOSQ_ERR_AUTH_DELAYED
            AuthReply::Delay => -5,
        }
    }
}

impl From<AclReply> for c_int {
    fn from(reply: AclReply) -> Self {
        match reply {
            AclReply::Allow => 0,
            // MOSQ_ERR_ACL_DENIED: this request only; any other code would close the connection.
            AclReply::Deny => 12,
            // MOSQ_ERR_UNKNOWN.
            AclReply::Close => 13,
        }
    }
}
