//! A recorder for tests of metrics: it keeps their names, types and labels, and no values.

use std::collections::BTreeSet;
use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// The metrics that were recorded while this was the thread's recorder (`metrics::set_default_local_recorder`).
#[derive(Debug, Default)]
pub struct RecordedMetrics {
    seen: Mutex<BTreeSet<RecordedMetric>>,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedMetric {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels: name and value.
    pub labels: Vec<(String, String)>,
}

impl RecordedMetrics {
    /// Asserts that exactly the metrics of the table in a crate's documentation were recorded, each with the label
    /// `dataset`.
    ///
    /// # Panics
    /// If they were not.
    pub fn check(&self, documentation: &str, dataset: &str) {
        let rows = documentation.lines().filter_map(|line| line.strip_prefix("//! | `cenote_"));
        let documented = rows.map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let name = format!("cenote_{}", cells.next().expect("a name").trim_matches('`'));
            (name, cells.next().expect("a type").to_owned())
        });
        let seen = self.seen.lock().expect("a recorder does not panic");
        let recorded = seen.iter().map(|metric| (metric.name.clone(), metric.kind.to_owned()));
        assert_eq!(recorded.collect::<BTreeSet<_>>(), documented.collect::<BTreeSet<_>>());
        for metric in seen.iter() {
            assert_eq!(metric.labels, [("dataset".to_owned(), dataset.to_owned())], "{}", metric.name);
        }
    }

    fn record(&self, kind: &'static str, key: &Key) {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        let metric = RecordedMetric { name: key.name().to_owned(), kind, labels };
        self.seen.lock().expect("a recorder does not panic").insert(metric);
    }
}

impl Recorder for RecordedMetrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.record("counter", key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.record("gauge", key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.record("histogram", key);
        Histogram::noop()
    }
}
