//! What is counted, in Prometheus' words; and in those of the reference's own JSON.

mod summary;

use crate::app::Services;
use crate::audit_device::AuditDevice;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Labels of a request. Operations are those of the tables: a client cannot make new ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Log {
    log: &'static str,
}

/// Devices are named by whoever may enable them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Device {
    device: String,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Operation, Histogram>,
    in_flight: Gauge,
    unsealed: Gauge,
    workers: Family<Lane, Gauge>,
    workers_ready: Family<Lane, Gauge>,
    worker_restarts: Counter,
    hsm_in_flight: Gauge,
    alarms: Counter,
    doomed: Counter,
    login_alerts: Counter,
    orphans: Gauge,
    audit_waiting: Family<Log, Gauge>,
    audit_dropped: Family<Device, Counter>,
}

/// 0.25 ms to 8 s.
fn histogram() -> Histogram {
    Histogram::new((0..16).map(|step| 0.000_25 * f64::from(1 << step)))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("clm");
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            unsealed: Gauge::default(),
            workers: Family::default(),
            workers_ready: Family::default(),
            worker_restarts: Counter::default(),
            hsm_in_flight: Gauge::default(),
            alarms: Counter::default(),
            doomed: Counter::default(),
            login_alerts: Counter::default(),
            orphans: Gauge::default(),
            audit_waiting: Family::default(),
            audit_dropped: Family::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From the head of a request to its answer",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register("http_requests_in_flight", "Requests under way", metrics.in_flight.clone());
        registry.register("unsealed", "1 while the service works", metrics.unsealed.clone());
        registry.register("hsm_workers", "Places for HSM workers", metrics.workers.clone());
        registry.register("hsm_workers_ready", "HSM workers that are logged in", metrics.workers_ready.clone());
        registry.register("hsm_worker_restarts", "HSM workers started anew", metrics.worker_restarts.clone());
        registry.register("hsm_requests_in_flight", "Requests that HSM workers have", metrics.hsm_in_flight.clone());
        registry.register(
            "integrity_alarms",
            "Rows refused because they were changed behind the service's back",
            metrics.alarms.clone(),
        );
        registry.register(
            "doomed_key_uses",
            "Refused uses of keys that are to be destroyed: somebody still needs one",
            metrics.doomed.clone(),
        );
        registry.register(
            "login_alerts",
            "Times that more than five logins failed within five minutes, from one address or for one name",
            metrics.login_alerts.clone(),
        );
        registry.register(
            "integrity_orphans",
            "What did not fit together, databases and token, when this server looked last; -1: it has not looked",
            metrics.orphans.clone(),
        );
        registry.register("audit_waiting", "Records that wait for the database", metrics.audit_waiting.clone());
        registry.register(
            "audit_device_dropped",
            "Entries that an audit device did not take",
            metrics.audit_dropped.clone(),
        );
        Self { registry, ..metrics }
    }

    /// Counts a request under way until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn answered(&self, operation: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { operation, status }).inc();
        self.durations.get_or_create(&Operation { operation }).observe(took.as_secs_f64());
    }

    /// What audit devices did not take so far.
    pub(crate) fn observe_devices(&self, devices: &[Arc<AuditDevice>]) {
        for device in devices {
            let counter = self.audit_dropped.get_or_create(&Device { device: device.path.clone() });
            counter.inner().store(device.dropped(), Ordering::Relaxed);
        }
    }

    /// Everything as text, with the state of the HSM as it is now.
    pub(crate) fn text(&self, services: Option<&Services>, unsealed: bool) -> String {
        self.unsealed.set(unsealed.into());
        let alarms =
            services.map_or(0, |services| services.vault.integrity_alarms() + services.core.integrity_alarms());
        self.alarms.inner().store(alarms, Ordering::Relaxed);
        self.doomed.inner().store(services.map_or(0, |services| services.vault.doomed_key_uses()), Ordering::Relaxed);
        let login_alerts = services.map_or(0, |services| services.core.login_alerts());
        self.login_alerts.inner().store(login_alerts, Ordering::Relaxed);
        self.orphans.set(services.map_or(-1, Services::orphans));
        if let Some(services) = services {
            self.observe_hsm(&services.vault.bridge().status());
            for (log, audit) in [("secure_audit_log", services.vault.audit()), ("audit_log", services.core.audit())] {
                self.audit_waiting.get_or_create(&Log { log }).set(i64::try_from(audit.waiting()).unwrap_or(i64::MAX));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }

    /// The same in JSON: what there is since the process began, `running` ago.
    pub(crate) fn summary(&self, services: &Services, running: Duration) -> serde_json::Value {
        summary::of_text(&self.text(Some(services), true), services.now(), running)
    }

    fn observe_hsm(&self, status: &keyvault::HsmStatus) {
        for (lane, slow) in [("ordinary", false), ("slow", true)] {
            let of_lane = || status.workers.iter().filter(|worker| worker.slow == slow);
            let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            self.workers.get_or_create(&Lane { lane }).set(count(of_lane().count()));
            self.workers_ready
                .get_or_create(&Lane { lane })
                .set(count(of_lane().filter(|worker| worker.ready).count()));
        }
        self.hsm_in_flight.set(status.workers.iter().map(|worker| i64::from(worker.in_flight)).sum());
        let restarts = status.workers.iter().map(|worker| worker.restarts).sum();
        self.worker_restarts.inner().store(restarts, Ordering::Relaxed);
    }
}

/// A request under way.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
