//! The counters as families for Prometheus, and as topics under `$SYS/broker/citronella`.

use std::time::Duration;

use super::{Answers, Counter, Counters, Durations, Results, locked};
use crate::{
    clock::UnixSeconds,
    metrics::{Family, Kind, Sample},
};

/// Names of families begin with this.
const PREFIX: &str = "citronella_";

/// Topics begin with this.
const TOPICS: &str = "$SYS/broker/citronella";

impl Counters {
    /// Everything, as it is now, in a fixed order.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut all = vec![
            Family {
                name: "citronella_build_info",
                help: "The plugin's version.",
                kind: Kind::Gauge,
                samples: vec![Sample::new(&[("version", env!("CARGO_PKG_VERSION"))], 1.into())],
            },
            self.log_ins(),
            counted(
                "citronella_sessions_rechecked_total",
                "Sessions that the broker asked about again after SIGHUP.",
                "result",
                &[("kept", &self.sessions.kept), ("ended", &self.sessions.ended)],
            ),
            self.checks(),
            counted(
                "citronella_kicks_total",
                "Devices whose sessions were closed because of a change.",
                "reason",
                &[("locked_out", &self.kicks.locked_out), ("shrunk", &self.kicks.shrunk)],
            ),
            counted(
                "citronella_reloads_total",
                "Changes of the files: loaded, failed because of mistakes, or held because they remove too much.",
                "result",
                &[
                    ("loaded", &self.reloads.loaded),
                    ("failed", &self.reloads.failed),
                    ("held", &self.reloads.held),
                ],
            ),
            self.hashes.family(),
            counted(
                "citronella_password_memory_total",
                "Log-ins with a password, by whether it was remembered.",
                "result",
                &[("hit", &self.memory.hits), ("miss", &self.memory.misses)],
            ),
            single(
                "citronella_throttled_total",
                "Log-ins refused for now because of those that failed before.",
                &self.throttled,
            ),
            single(
                "citronella_postponed_total",
                "Log-ins refused for now because there was no time to compute their hash.",
                &self.postponed,
            ),
            gauge(
                "citronella_hash_queue",
                "Log-ins that wait for a hash to be computed.",
                vec![Sample::new(&[], self.queue.value().into())],
            ),
            counted(
                "citronella_audit_records_total",
                "Audit records: written, summed up because there were too many, or dropped.",
                "result",
                &[
                    ("written", &self.audit.written),
                    ("summed", &self.audit.summed),
                    ("dropped", &self.audit.dropped),
                ],
            ),
            counted(
                "citronella_internal_errors_total",
                "Requests refused, or work begun anew, because of a fault: the plugin's, or an event with something missing.",
                "kind",
                &[("panic", &self.internal_errors.panics), ("event", &self.internal_errors.events)],
            ),
        ];
        all.extend(self.snapshot());
        all
    }

    /// The same as retained messages: topic and payload. Nobody need watch the buckets of a histogram by hand.
    #[must_use]
    pub fn messages(&self, now: UnixSeconds) -> Vec<(String, String)> {
        let mut messages = Vec::new();
        for family in self.families() {
            let name = family.name.strip_prefix(PREFIX).unwrap_or(family.name);
            let name = name.strip_suffix("_total").unwrap_or(name);
            for sample in family.samples.iter().filter(|sample| sample.suffix != "_bucket") {
                let mut topic = format!("{TOPICS}/{name}{}", sample.suffix.replace('_', "/"));
                let mut payload = sample.value.to_string();
                for (label, value) in &sample.labels {
                    topic.push('/');
                    if name.ends_with("_info") {
                        topic.push_str(label);
                        payload.clone_from(value);
                    } else {
                        topic.push_str(value);
                    }
                }
                messages.push((topic, payload));
            }
        }
        if let Some(in_force) = &*locked(&self.in_force) {
            let age = now.0.saturating_sub(in_force.since.0).max(0);
            messages.push((format!("{TOPICS}/snapshot_age"), age.to_string()));
        }
        messages
    }

    fn log_ins(&self) -> Family {
        let by_credential = [
            ("certificate", &self.log_ins.certificate),
            ("password", &self.log_ins.password),
            ("both", &self.log_ins.both),
            ("none", &self.log_ins.neither),
        ];
        let samples = by_credential.into_iter().flat_map(|(credential, results)| {
            let Results { admitted, refused, postponed } = results;
            [("admitted", admitted), ("refused", refused), ("postponed", postponed)]
                .map(|(result, counter)| labelled(&[("credential", credential), ("result", result)], counter))
        });
        Family {
            name: "citronella_log_ins_total",
            help: "New clients, by what they showed and whether they were admitted.",
            kind: Kind::Counter,
            samples: samples.collect(),
        }
    }

    fn checks(&self) -> Family {
        let by_action = [
            ("publish", &self.checks.publish),
            ("deliver", &self.checks.deliver),
            ("subscribe", &self.checks.subscribe),
            ("unsubscribe", &self.checks.unsubscribe),
        ];
        let samples = by_action.into_iter().flat_map(|(action, answers)| {
            let Answers { allowed, allowed_in_loop, refused } = answers;
            let allowed = allowed.value() + allowed_in_loop.value();
            [("allowed", allowed), ("refused", refused.value())]
                .map(|(result, times)| Sample::new(&[("action", action), ("result", result)], times.into()))
        });
        Family {
            name: "citronella_checks_total",
            help: "Questions about topics, by what was asked and how they were answered.",
            kind: Kind::Counter,
            samples: samples.collect(),
        }
    }

    fn snapshot(&self) -> Vec<Family> {
        let in_force = locked(&self.in_force);
        let Some(in_force) = &*in_force else { return Vec::new() };
        let devices = in_force.devices.iter();
        let since = u64::try_from(in_force.since.0).unwrap_or_default();
        vec![
            gauge(
                "citronella_snapshot_info",
                "The revision of the files in force.",
                vec![Sample::new(&[("revision", &in_force.revision)], 1.into())],
            ),
            gauge(
                "citronella_snapshot_loaded_timestamp_seconds",
                "Since when it is in force.",
                vec![Sample::new(&[], since.into())],
            ),
            gauge(
                "citronella_devices",
                "Devices in the registry, by state.",
                devices
                    .map(|(state, number)| Sample::new(&[("state", &state.to_string())], (*number).into()))
                    .collect(),
            ),
        ]
    }
}

impl Durations {
    fn family(&self) -> Family {
        let mut count = 0;
        let mut samples = Vec::new();
        let bounds = Self::BOUNDS_MS.map(|bound| format!("{}.{:03}", bound / 1_000, bound % 1_000));
        let bounds = bounds.iter().map(|bound| bound.trim_end_matches('0').trim_end_matches('.'));
        for (bound, bucket) in bounds.chain(["+Inf"]).zip(&self.buckets) {
            count += bucket.value();
            samples.push(Sample::of("_bucket", &[("le", bound)], count.into()));
        }
        samples.push(Sample::of("_sum", &[], Duration::from_micros(self.total.value()).into()));
        samples.push(Sample::of("_count", &[], count.into()));
        Family {
            name: "citronella_hash_seconds",
            help: "How long computing the hash of a password took.",
            kind: Kind::Histogram,
            samples,
        }
    }
}

fn labelled(labels: &[(&'static str, &str)], counter: &Counter) -> Sample {
    Sample::new(labels, counter.value().into())
}

/// A family with one label.
fn counted(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    counters: &[(&str, &Counter)],
) -> Family {
    let samples = counters.iter().map(|(value, counter)| labelled(&[(label, value)], counter));
    Family { name, help, kind: Kind::Counter, samples: samples.collect() }
}

fn single(name: &'static str, help: &'static str, counter: &Counter) -> Family {
    Family { name, help, kind: Kind::Counter, samples: vec![labelled(&[], counter)] }
}

fn gauge(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family { name, help, kind: Kind::Gauge, samples }
}
