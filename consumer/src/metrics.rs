//! Metrics, through the `metrics` crate: a program that installs a recorder gets them.
//!
//! Each has the label `dataset`, the dataset's URL, so that several consumers in one process stay apart. The table of names
//! is in the crate's documentation.

use std::sync::Arc;

use crate::report::RefreshReport;
use crate::retire::OldViews;

/// Records the metrics of one dataset.
pub(crate) struct Metrics {
    dataset: Arc<str>,
}

impl Metrics {
    pub(crate) fn new(url: &str) -> Metrics {
        Metrics { dataset: url.into() }
    }

    pub(crate) fn refreshed(&self, report: &RefreshReport) {
        metrics::gauge!("cenote_consumer_version", "dataset" => self.dataset.clone()).set(report.to.0 as f64);
        metrics::histogram!("cenote_consumer_refresh_seconds", "dataset" => self.dataset.clone())
            .record(report.steps.total.as_secs_f64());
        metrics::counter!("cenote_consumer_bytes_total", "dataset" => self.dataset.clone()).increment(report.bytes);
    }

    pub(crate) fn old_views(&self, old_views: &OldViews) {
        metrics::gauge!("cenote_consumer_old_views", "dataset" => self.dataset.clone()).set(old_views.held as f64);
        metrics::gauge!("cenote_consumer_old_views_bytes", "dataset" => self.dataset.clone())
            .set(old_views.bytes as f64);
        metrics::gauge!("cenote_consumer_old_views_seconds", "dataset" => self.dataset.clone())
            .set(old_views.oldest.as_secs_f64());
    }
}
