//! Our matcher against the one that delivers the messages.
#![allow(unsafe_code, reason = "the judge is a C library")]

use std::ffi::{CString, c_char, c_int};

use citronella::topic::{Filter, Name};
use proptest::prelude::*;

use crate::{
    model::{Action, Client, Rule},
    strategies::{config, filter, name},
    support::Engine,
};

#[link(name = "mosquitto")]
unsafe extern "C" {
    // SOURCE: mosquitto.h of libmosquitto 2.0.11.
    fn mosquitto_topic_matches_sub(sub: *const c_char, topic: *const c_char, result: *mut bool) -> c_int;
}

/// What the broker says; `None` if it takes one of the texts for no filter or no topic.
fn mosquitto_matches(filter: &str, name: &str) -> Option<bool> {
    let (filter, name) = (CString::new(filter).unwrap(), CString::new(name).unwrap());
    let mut matches = false;
    // SAFETY: both texts end with NUL and outlive the call; `matches` is a C bool. It keeps no pointer.
    let code = unsafe { mosquitto_topic_matches_sub(filter.as_ptr(), name.as_ptr(), &raw mut matches) };
    (code == 0).then_some(matches)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn matching_is_what_mosquitto_does(filter in filter(), name in name()) {
        if let (Ok(parsed), Ok(asked)) = (Filter::parse(&filter), Name::parse(&name)) {
            let judged = mosquitto_matches(&filter, &name);
            prop_assert_eq!(Some(parsed.matches(asked)), judged, "{:?} {:?}", filter, name);
            let rule = Rule { allow: true, about: &[Action::Publish], filter: filter.clone() };
            let client = Client { device: None, client_id: String::new(), site: None };
            prop_assert_eq!(Some(Engine::new(&[rule], false).allows(&client, (Action::Publish, &name))), judged);
        }
    }
}
