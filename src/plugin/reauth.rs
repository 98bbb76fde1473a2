//! Telling a session that is asked about again from a client that is new.
//!
//! After SIGHUP the broker asks about every session once more, online and offline ones alike, through the same
//! event as for a new client (security_default.c, mosquitto_security_apply_default). Taking a new client for a
//! known session would let it in unasked; taking a known session for a new client would throw it out, because
//! an offline session has no certificate to show.

use std::sync::atomic::{AtomicBool, Ordering};

use super::event::{BasicAuth, Host, Session};
use crate::ident::ANONYMOUS;

/// What has been seen of the broker's loop.
pub(super) struct Reauth {
    /// A tick comes in every turn of the loop: the window below will be closed again.
    will_tick: bool,
    /// One has come.
    ticks: AtomicBool,
    /// Between our RELOAD and the next tick.
    window: AtomicBool,
}

/// Whether this broker calls the tick: 2.0 before 2.0.15 with `per_listener_settings` does not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ticks {
    /// In every turn of its loop.
    Always,
    /// Nobody knows before one has come.
    Perhaps,
}

impl Ticks {
    /// What to count on where the broker's configuration has `per_listener_settings true`.
    ///
    /// Which release of 2.0 this is can only be guessed, and before 2.0.15 no tick would come to close the window below,
    /// through which anybody would get in: there one has to be seen first. 2.1 says itself whose a session is.
    pub(super) fn with_per_listener_settings(host: &dyn Host) -> Self {
        if host.knows_sessions() { Self::Always } else { Self::Perhaps }
    }
}

impl Reauth {
    /// Nothing seen yet.
    pub(super) fn new(ticks: Ticks) -> Self {
        let will_tick = ticks == Ticks::Always;
        Self { will_tick, ticks: AtomicBool::new(false), window: AtomicBool::new(false) }
    }

    /// Our RELOAD callback runs. In 2.0 the questions follow it without any work on sockets between (loop.c). SIGHUP may
    /// come in the first turn, before any tick: sessions restored from disk are asked about then like any other.
    pub(super) fn reload(&self) {
        let closes_again = self.will_tick || self.ticks.load(Ordering::Acquire);
        self.window.store(closes_again, Ordering::Release);
    }

    /// A tick: whoever asks from now on is new.
    pub(super) fn tick(&self) {
        self.ticks.store(true, Ordering::Release);
        self.window.store(false, Ordering::Release);
    }

    /// Whether a tick has ever come.
    pub(super) fn has_ticked(&self) -> bool {
        self.ticks.load(Ordering::Acquire)
    }

    /// Whether the event is about a session that the broker already has.
    ///
    /// Where the broker does not say (2.0, no subscription) it is the window, and not a websocket, because
    /// libwebsockets runs before the tick and may bring new clients. (A connected websocket client has its certificate
    /// and its password still, and is judged like a new one.)
    pub(super) fn is_known(&self, event: &BasicAuth<'_>) -> bool {
        match event.session {
            Session::Known => true,
            Session::New => false,
            Session::Undecided => self.window.load(Ordering::Acquire) && !event.websocket,
        }
    }

    /// The user name as the client gave it.
    ///
    /// A connected websocket client of 2.0 is judged like a new one after SIGHUP, but bears the name that it got from
    /// us. A new one that claims that name just then is taken for the anonymous client that it could have been.
    pub(super) fn given_name<'a>(&self, event: &BasicAuth<'a>) -> Option<&'a str> {
        // COMPAT: Mosquitto 2.0.
        let may_be_ours =
            event.session == Session::Undecided && event.websocket && self.window.load(Ordering::Acquire);
        event.username.filter(|name| !(may_be_ours && *name == ANONYMOUS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{login::Presented, plugin::Peer};

    fn event(session: Session, websocket: bool) -> BasicAuth<'static> {
        BasicAuth {
            client_id: "c",
            username: None,
            password: None,
            peer: Peer::Unknown,
            certificate: Presented::None,
            session,
            websocket,
            mqtt5: true,
            session_of: None,
        }
    }

    #[test]
    fn the_window_is_open_from_reload_to_tick() {
        let reauth = Reauth::new(Ticks::Perhaps);
        reauth.tick();
        assert!(!reauth.is_known(&event(Session::Undecided, false)));
        reauth.reload();
        assert!(reauth.is_known(&event(Session::Undecided, false)));
        assert!(!reauth.is_known(&event(Session::Undecided, true)), "a websocket client may be new");
        reauth.tick();
        assert!(!reauth.is_known(&event(Session::Undecided, false)));
    }

    #[test]
    fn an_anonymous_websocket_client_of_before_gave_no_name() {
        let reauth = Reauth::new(Ticks::Perhaps);
        reauth.tick();
        let anonymous = |session, websocket| {
            let event = BasicAuth { username: Some(ANONYMOUS), ..event(session, websocket) };
            reauth.given_name(&event).is_none()
        };
        assert!(!anonymous(Session::Undecided, true), "outside the window it is a claim");
        reauth.reload();
        assert!(anonymous(Session::Undecided, true));
        assert!(!anonymous(Session::Undecided, false), "that one is told apart");
        assert!(!anonymous(Session::New, true), "and 2.1 tells both apart");
        reauth.tick();
        assert!(!anonymous(Session::Undecided, true));
    }

    #[test]
    fn a_broker_without_ticks_never_opens_it() {
        let reauth = Reauth::new(Ticks::Perhaps);
        reauth.reload();
        assert!(!reauth.is_known(&event(Session::Undecided, false)));
    }

    #[test]
    fn sighup_before_the_first_tick_opens_it_where_ticks_come() {
        let reauth = Reauth::new(Ticks::Always);
        assert!(!reauth.is_known(&event(Session::Undecided, false)));
        reauth.reload();
        assert!(reauth.is_known(&event(Session::Undecided, false)), "a session restored from disk");
        reauth.tick();
        assert!(!reauth.is_known(&event(Session::Undecided, false)));
    }

    #[test]
    fn what_the_broker_says_counts_whatever_the_window() {
        let reauth = Reauth::new(Ticks::Perhaps);
        reauth.tick();
        reauth.reload();
        assert!(!reauth.is_known(&event(Session::New, false)));
        assert!(reauth.is_known(&event(Session::Known, true)));
    }
}
