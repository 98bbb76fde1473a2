//! The broker's functions: those of every release plain, later ones as `Option`.

use core::ffi::{CStr, c_char, c_int, c_void};
use std::ffi::CString;

use thiserror::Error;

use super::sys;
use crate::plugin::{Host as _, Presented, Session, Way, Whence};

mod host;

type Callback = unsafe extern "C" fn(c_int, *mut c_void, *mut c_void) -> c_int;

/// An event of `enum mosquitto_plugin_event`, and who answers it.
pub(super) type Registration = (u32, Callback);

type Register = unsafe extern "C" fn(
    *mut sys::mosquitto_plugin_id_t,
    c_int,
    sys::MOSQ_FUNC_generic_callback,
    *const c_void,
    *mut c_void,
) -> c_int;
type Unregister = unsafe extern "C" fn(
    *mut sys::mosquitto_plugin_id_t,
    c_int,
    sys::MOSQ_FUNC_generic_callback,
    *const c_void,
) -> c_int;
type ClientText = unsafe extern "C" fn(*const sys::mosquitto) -> *const c_char;
type ClientNumber = unsafe extern "C" fn(*const sys::mosquitto) -> c_int;
type SetUsername = unsafe extern "C" fn(*mut sys::mosquitto, *const c_char) -> c_int;
type KickByUsername = unsafe extern "C" fn(*const c_char, bool) -> c_int;
type PublishMessage = unsafe extern "C" fn(*const c_char, *const c_void, c_int) -> c_int;
type LogText = unsafe extern "C" fn(c_int, *const c_char, usize);
type SetInfo = unsafe extern "C" fn(*mut sys::mosquitto_plugin_id_t, *const c_char, *const c_char) -> c_int;
type Complete = unsafe extern "C" fn(*const c_char, c_int);
type SetClientId = unsafe extern "C" fn(*mut sys::mosquitto, *const c_char) -> c_int;
type ClientById = unsafe extern "C" fn(*const c_char) -> *mut sys::mosquitto;

/// `MOSQ_ERR_INVAL`
const INVALID: c_int = 3;

/// Largest certificate that is looked at, in bytes of DER. A leaf has one or two thousand.
const MAX_CERTIFICATE_BYTES: usize = 16_384;

/// What the running broker can do. A plain member is in every release we support; an `Option` came later.
#[derive(Clone, Copy)]
pub(super) struct Broker {
    register: Register,
    unregister: Unregister,
    client_address: ClientText,
    client_id: ClientText,
    client_username: ClientText,
    client_protocol: ClientNumber,
    client_protocol_version: ClientNumber,
    client_sub_count: ClientNumber,
    set_username: SetUsername,
    kick_by_username: KickByUsername,
    publish: PublishMessage,
    log_text: LogText,
    /// Debian's 2.0.11 exports all its functions, 2.0.21 only those for plugins.
    exports_everything: bool,
    /// Since 2.1.0.
    set_info: Option<SetInfo>,
    /// Since 2.1.0.
    client_by_id: Option<ClientById>,
    /// Since 2.1.0.
    complete_basic_auth: Option<Complete>,
    /// Since 2.1.0.
    set_clientid: Option<SetClientId>,
    /// The thread that called init, as `citronella_thread` tells it.
    main_thread: usize,
}

/// The broker lacks a function we need.
#[derive(Debug, Error)]
#[error("the broker does not export {0}; Mosquitto 2.0.0 or later is needed")]
pub(super) struct MissingSymbol(&'static str);

/// A callback could not be registered.
#[derive(Debug, Error, Eq, PartialEq)]
pub(super) enum RegisterError {
    /// 2.0 knows a callback by its address alone, and refuses the second (plugin.c).
    #[error("this plugin is loaded by two `plugin` lines; one line guards all listeners, remove the others")]
    Twice,
    /// Anything else the broker answered.
    #[error("the broker refused to register a callback (code {0})")]
    Refused(c_int),
}

/// The user name or the client id could not be set.
#[derive(Debug, Error)]
#[error("the broker refused the {what} (code {code})")]
pub(super) struct RenameError {
    what: &'static str,
    code: c_int,
}

impl Broker {
    /// Asks the shim what the dynamic linker found. The calling thread becomes the main thread.
    pub(super) fn resolve() -> Result<Self, MissingSymbol> {
        let mut table = sys::citronella_broker::default();
        // SAFETY: `citronella_broker_fill` (src/ffi/shim.c) writes the members of the struct it is given and
        // keeps nothing.
        unsafe { sys::citronella_broker_fill(&raw mut table) };
        Self::from_table(&table)
    }

    /// Splits the table into what is needed and what is a bonus.
    pub(super) fn from_table(table: &sys::citronella_broker) -> Result<Self, MissingSymbol> {
        let need = MissingSymbol;
        Ok(Self {
            register: table.callback_register.ok_or(need("mosquitto_callback_register"))?,
            unregister: table.callback_unregister.ok_or(need("mosquitto_callback_unregister"))?,
            client_address: table.client_address.ok_or(need("mosquitto_client_address"))?,
            client_id: table.client_id.ok_or(need("mosquitto_client_id"))?,
            client_username: table.client_username.ok_or(need("mosquitto_client_username"))?,
            client_protocol: table.client_protocol.ok_or(need("mosquitto_client_protocol"))?,
            client_protocol_version: table
                .client_protocol_version
                .ok_or(need("mosquitto_client_protocol_version"))?,
            client_sub_count: table.client_sub_count.ok_or(need("mosquitto_client_sub_count"))?,
            set_username: table.set_username.ok_or(need("mosquitto_set_username"))?,
            kick_by_username: table
                .kick_client_by_username
                .ok_or(need("mosquitto_kick_client_by_username"))?,
            publish: table.publish.ok_or(need("mosquitto_broker_publish_copy"))?,
            log_text: table.log_text.ok_or(need("mosquitto_log_printf"))?,
            exports_everything: table.strerror.is_some(),
            set_info: table.plugin_set_info,
            client_by_id: table.client,
            complete_basic_auth: table.complete_basic_auth,
            set_clientid: table.set_clientid,
            main_thread: current_thread(),
        })
    }

    /// Registers `callback` for one event.
    ///
    /// # Safety
    ///
    /// `id` is the identifier of this plugin instance; `user_data` stays valid until the callback is
    /// unregistered or the broker ends.
    pub(super) unsafe fn register(
        &self,
        id: *mut sys::mosquitto_plugin_id_t,
        (event, callback): Registration,
        user_data: *mut c_void,
    ) -> Result<(), RegisterError> {
        let event = c_int::try_from(event).unwrap_or(-1);
        // SAFETY: by this function's contract; the broker copies the pointers (plugin.c).
        let code = unsafe { (self.register)(id, event, Some(callback), core::ptr::null(), user_data) };
        match code {
            0 => Ok(()),
            31 => Err(RegisterError::Twice),
            other => Err(RegisterError::Refused(other)),
        }
    }

    /// Takes a registration back; that there was none is no error.
    ///
    /// # Safety
    ///
    /// `id` is the identifier of this plugin instance.
    pub(super) unsafe fn unregister(
        &self,
        id: *mut sys::mosquitto_plugin_id_t,
        (event, callback): Registration,
    ) {
        let event = c_int::try_from(event).unwrap_or(-1);
        // SAFETY: by this function's contract.
        unsafe { (self.unregister)(id, event, Some(callback), core::ptr::null()) };
    }

    /// Tells a 2.1 broker what it has loaded; nothing elsewhere.
    ///
    /// # Safety
    ///
    /// `id` is the identifier of this plugin instance.
    pub(super) unsafe fn set_info(&self, id: *mut sys::mosquitto_plugin_id_t) {
        let Some(set_info) = self.set_info else { return };
        let (name, version) = (c"citronella", concat!(env!("CARGO_PKG_VERSION"), "\0"));
        // SAFETY: both texts end in NUL and are copied by the broker (plugin_public.c).
        unsafe { set_info(id, name.as_ptr(), version.as_ptr().cast()) };
    }

    /// The client identifier.
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker that lives while the text is used.
    pub(super) unsafe fn client_id(&self, client: *const sys::mosquitto) -> *const c_char {
        // SAFETY: by this function's contract.
        unsafe { (self.client_id)(client) }
    }

    /// The user name: ours, once the client was admitted.
    ///
    /// # Safety
    ///
    /// As for [`Self::client_id`].
    pub(super) unsafe fn client_username(&self, client: *const sys::mosquitto) -> *const c_char {
        // SAFETY: by this function's contract.
        unsafe { (self.client_username)(client) }
    }

    /// Whether the client speaks through a websocket (`enum mosquitto_protocol`); an offline session does not.
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker.
    pub(super) unsafe fn is_websocket(&self, client: *const sys::mosquitto) -> bool {
        const MP_WEBSOCKETS: c_int = 2;
        // SAFETY: by this function's contract.
        unsafe { (self.client_protocol)(client) == MP_WEBSOCKETS }
    }

    /// Where the client is. Off the main thread there is only the listener `http_api`, which gives its client, made on the
    /// stack for the question, no address (http_api.c).
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker that lives while the text is used.
    #[inline]
    pub(super) unsafe fn whence<'a>(&self, client: *const sys::mosquitto) -> Whence<'a> {
        if !self.on_main_thread() {
            return Whence { way: Way::Http, text: &[] };
        }
        // SAFETY: by this function's contract.
        let address = unsafe { (self.client_address)(client) };
        // SAFETY: null, or a C string that lives as long as the client.
        let text = unsafe { bytes(address) }.unwrap_or_default();
        // SAFETY: by this function's contract.
        let websocket = self.client_by_id.is_none() && unsafe { self.is_websocket(client) };
        Whence { way: if websocket { Way::Websocket } else { Way::Socket }, text }
    }

    /// Whether the session was there before the event.
    ///
    /// 2.1 can be asked who has an identifier: a new connection is not in its table yet when we are asked about it
    /// (handle_connect.c). Off the main thread that table must not be read, and nothing but new connections comes.
    /// In 2.0 a subscription is proof: it is made, or taken over, only after a client was admitted.
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker; `client_id` is its identifier.
    pub(super) unsafe fn session(&self, client: *const sys::mosquitto, client_id: *const c_char) -> Session {
        let Some(client_by_id) = self.client_by_id else {
            // COMPAT: Mosquitto 2.0.
            // SAFETY: by this function's contract.
            let subscriptions = unsafe { (self.client_sub_count)(client) };
            return if subscriptions > 0 { Session::Known } else { Session::Undecided };
        };
        if client_id.is_null() || !self.on_main_thread() {
            return Session::New;
        }
        // SAFETY: `client_id` is a C string by this function's contract; the answer is only compared.
        let known = core::ptr::eq(unsafe { client_by_id(client_id) }, client);
        if known { Session::Known } else { Session::New }
    }

    /// Gives the client the name by which the policy knows it. What the event said of its user name is
    /// freed by this (plugin_public.c).
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker.
    pub(super) unsafe fn set_username(
        &self,
        client: *mut sys::mosquitto,
        name: &str,
    ) -> Result<(), RenameError> {
        let error = |code| RenameError { what: "user name", code };
        let name = CString::new(name).map_err(|_| error(INVALID))?;
        // SAFETY: by this function's contract; the broker copies the text.
        match unsafe { (self.set_username)(client, name.as_ptr()) } {
            0 => Ok(()),
            code => Err(error(code)),
        }
    }

    /// Gives a new client another identifier. What was read of the old one is freed by this (plugin_public.c).
    ///
    /// # Safety
    ///
    /// `client` is the client of a `MOSQ_EVT_BASIC_AUTH`, during that event.
    pub(super) unsafe fn set_clientid(
        &self,
        client: *mut sys::mosquitto,
        client_id: &str,
    ) -> Result<(), RenameError> {
        let error = |code| RenameError { what: "client id", code };
        let set_clientid = self.set_clientid.ok_or(error(INVALID))?;
        let client_id = CString::new(client_id).map_err(|_| error(INVALID))?;
        // SAFETY: by this function's contract; the broker copies the text.
        match unsafe { set_clientid(client, client_id.as_ptr()) } {
            0 => Ok(()),
            code => Err(error(code)),
        }
    }

    /// Whether the client speaks MQTT 5.
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker.
    pub(super) unsafe fn is_mqtt5(&self, client: *const sys::mosquitto) -> bool {
        // SAFETY: by this function's contract.
        unsafe { (self.client_protocol_version)(client) == 5 }
    }

    /// Asks for another tick, on brokers that heed it.
    ///
    /// # Safety
    ///
    /// `event` is the event of a `MOSQ_EVT_TICK`, during it.
    pub(super) unsafe fn tick_within(&self, event: *mut c_void, milliseconds: core::ffi::c_long) {
        if self.client_by_id.is_some() && !event.is_null() {
            // SAFETY: not null, and by this function's contract the struct that the shim takes it for.
            unsafe { sys::citronella_tick_within(event, milliseconds) };
        }
    }

    /// Lends the client's certificate as DER.
    ///
    /// # Safety
    ///
    /// `client` is a client of the broker.
    pub(super) unsafe fn certificate<R>(
        &self,
        client: *const sys::mosquitto,
        handle: impl FnOnce(Presented<'_>) -> R,
    ) -> R {
        use sys::citronella_certificate_result as result;
        if !self.on_main_thread() {
            return handle(Presented::None);
        }
        let mut der = [0_u8; MAX_CERTIFICATE_BYTES];
        let mut length = 0;
        // SAFETY: `der` has the capacity that is given; `client` by this function's contract.
        let answer =
            unsafe { sys::citronella_certificate(client, der.as_mut_ptr(), der.len(), &raw mut length) };
        match (answer, der.get(..length)) {
            (result::CITRONELLA_CERTIFICATE_NONE, _) => handle(Presented::None),
            (result::CITRONELLA_CERTIFICATE_OK, Some(der)) => handle(Presented::Der(der)),
            _ => handle(Presented::Unreadable),
        }
    }
}

/// Which thread runs this.
#[inline]
pub(super) fn current_thread() -> usize {
    // SAFETY: no precondition.
    unsafe { sys::citronella_thread() }
}

/// The text behind a C string; null is `None`.
///
/// # Safety
///
/// `text` is null or a C string that lives for `'a` unchanged.
pub(super) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and a C string by this function's contract.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}
