//! Metrics, through the `metrics` crate: a program that installs a recorder gets them.
//!
//! Each has the label `dataset`, the dataset's URL, so that several producers in one process stay apart. The table of names
//! is in the crate's documentation.

use std::sync::Arc;

use crate::report::CommitReport;

/// Records the metrics of one dataset. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    dataset: Arc<str>,
}

impl Metrics {
    pub(crate) fn new(url: &str) -> Metrics {
        Metrics { dataset: url.into() }
    }

    pub(crate) fn committed(&self, report: &CommitReport) {
        metrics::counter!("cenote_producer_commits_total", "dataset" => self.dataset.clone()).increment(1);
        metrics::gauge!("cenote_producer_version", "dataset" => self.dataset.clone()).set(report.version.0 as f64);
        metrics::histogram!("cenote_producer_delta_bytes", "dataset" => self.dataset.clone())
            .record(report.delta_bytes as f64);
        metrics::histogram!("cenote_producer_cycle_seconds", "dataset" => self.dataset.clone())
            .record(report.took.as_secs_f64());
    }

    pub(crate) fn unchanged(&self) {
        metrics::counter!("cenote_producer_unchanged_total", "dataset" => self.dataset.clone()).increment(1);
    }

    pub(crate) fn failed(&self) {
        metrics::counter!("cenote_producer_failures_total", "dataset" => self.dataset.clone()).increment(1);
    }

    pub(crate) fn snapshot_made(&self, bytes: u64) {
        metrics::counter!("cenote_producer_snapshots_total", "dataset" => self.dataset.clone()).increment(1);
        metrics::gauge!("cenote_producer_snapshot_bytes", "dataset" => self.dataset.clone()).set(bytes as f64);
    }

    pub(crate) fn snapshot_failed(&self) {
        metrics::counter!("cenote_producer_snapshot_failures_total", "dataset" => self.dataset.clone()).increment(1);
    }
}
