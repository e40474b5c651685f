//! Figures: a [`Sample`] is one system's value in one round, a [`Row`] combines the rounds.
//!
//! Both are JSON lines: children print samples, `--json` prints rows. Hollow's driver prints the same names.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is measured. Lower is better for every figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The producer's first publication of the whole dataset.
    PublishFull,
    /// The snapshot as the system stores it.
    SnapshotBytes,
    /// The snapshot compressed.
    SnapshotBytesCompressed,
    /// The change of one version, compressed.
    DeltaBytes,
    /// A producer's cycle over the whole dataset in which nothing changed.
    FullCycleUnchanged,
    /// A producer's publication of changed records.
    UpdateCycle,
    /// A consumer's first load, from files that are not in the page cache.
    LoadCold,
    /// A load from files in the page cache.
    LoadWarm,
    /// Memory after the first load.
    BytesPerRecord,
    /// A consumer's refresh to the next version.
    ApplyDelta,
    /// The most memory during a refresh, divided by the memory before it.
    RefreshPeakRatio,
    /// A look-up of a key that exists.
    LookupHit,
    /// A look-up of a key that does not exist.
    LookupMiss,
    /// A look-up that reads title, year and rating.
    #[serde(rename = "lookup_3_fields")]
    Lookup3Fields,
    /// A look-up that reads the names of the cast.
    CastWalk,
    /// The sum of all ratings, per record.
    FullScan,
    /// The number of movies of a country, by an index.
    CountryFind,
    /// All movies of all countries, by an index, per record.
    CountryIterate,
    /// The median of single look-ups.
    LookupP50,
    /// What 99 of 100 single look-ups do not exceed.
    LookupP99,
    /// What 999 of 1,000 single look-ups do not exceed.
    LookupP999,
    /// The slowest single look-up.
    LookupMax,
}

impl Figure {
    /// The unit of its values.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::PublishFull
            | Self::FullCycleUnchanged
            | Self::UpdateCycle
            | Self::LoadCold
            | Self::LoadWarm
            | Self::ApplyDelta => Unit::Seconds,
            Self::SnapshotBytes | Self::SnapshotBytesCompressed | Self::DeltaBytes | Self::BytesPerRecord => {
                Unit::Bytes
            }
            Self::RefreshPeakRatio => Unit::Ratio,
            Self::LookupHit
            | Self::LookupMiss
            | Self::Lookup3Fields
            | Self::CastWalk
            | Self::FullScan
            | Self::CountryFind
            | Self::CountryIterate
            | Self::LookupP50
            | Self::LookupP99
            | Self::LookupP999
            | Self::LookupMax => Unit::Nanoseconds,
        }
    }
}

/// The name in JSON.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// One value divided by another.
    #[serde(rename = "ratio")]
    Ratio,
}

impl Unit {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

/// How often a refresh runs while look-ups are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refreshes {
    /// Never.
    #[serde(rename = "none")]
    Never,
    /// Once a second.
    #[serde(rename = "1/s")]
    EverySecond,
    /// One after another without a pause.
    #[serde(rename = "continuous")]
    Continuous,
}

/// The name in JSON.
impl fmt::Display for Refreshes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A figure under its conditions: what makes values of different systems and sizes comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Case {
    /// What is measured.
    pub figure: Figure,
    /// The number of records that changed, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// The number of threads that read, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// How often a refresh ran meanwhile, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshes: Option<Refreshes>,
    /// The number of look-ups for which a view was held, if not the usual 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookups_per_view: Option<u32>,
    /// Whether a system that can look several keys up at once looked them up one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_by_one: bool,
}

impl From<Figure> for Case {
    fn from(figure: Figure) -> Self {
        Self { figure, changes: None, threads: None, refreshes: None, lookups_per_view: None, one_by_one: false }
    }
}

impl Case {
    /// The case with this number of changes.
    #[must_use]
    pub fn changes(self, changes: u64) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// The case with this number of threads.
    #[must_use]
    pub fn threads(self, threads: u32) -> Self {
        Self { threads: Some(threads), ..self }
    }
}

/// The figure with its conditions, for people.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.figure)?;
        if let Some(changes) = self.changes {
            write!(f, " K={changes}")?;
        }
        if let Some(threads) = self.threads {
            write!(f, " {threads} {}", if threads == 1 { "thread" } else { "threads" })?;
        }
        if let Some(refreshes) = self.refreshes {
            write!(f, ", refreshes {refreshes}")?;
        }
        if self.lookups_per_view.is_some() {
            f.write_str(", a view each")?;
        }
        if self.one_by_one {
            f.write_str(", one by one")?;
        }
        Ok(())
    }
}

/// A figure of one system in one round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What was measured.
    #[serde(flatten)]
    pub case: Case,
    /// The unit of the value: that of the figure.
    pub unit: Unit,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A value of this case, or of a figure without conditions.
    #[must_use]
    pub fn new(case: impl Into<Case>, value: f64) -> Self {
        let case = case.into();
        Self { case, unit: case.figure.unit(), value }
    }
}

/// A figure of one system over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The system.
    pub system: String,
    /// The size of the catalog.
    pub records: u64,
    /// What was measured, with the median as its value.
    #[serde(flatten)]
    pub sample: Sample,
    /// The lowest value of all rounds.
    pub min: f64,
    /// The highest value of all rounds.
    pub max: f64,
    /// The number of rounds.
    pub runs: usize,
}

/// The samples of all rounds, with system and number of records.
#[derive(Default)]
pub(super) struct Samples(Vec<(String, u64, Sample)>);

impl Samples {
    pub(super) fn push(&mut self, system: &str, records: u64, sample: Sample) {
        self.0.push((system.to_owned(), records, sample));
    }

    /// One row per system, size and case, in the order in which these first occur.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut numbers = HashMap::new();
        let mut groups: Vec<Vec<&(String, u64, Sample)>> = Vec::new();
        for entry in &self.0 {
            let (system, records, sample) = entry;
            let number = *numbers.entry((system, records, sample.case)).or_insert(groups.len());
            if number == groups.len() {
                groups.push(Vec::new());
            }
            groups[number].push(entry);
        }
        groups.into_iter().map(|group| row(&group)).collect()
    }
}

fn row(group: &[&(String, u64, Sample)]) -> Row {
    let (system, records, sample) = group[0];
    let mut values: Vec<_> = group.iter().map(|(_, _, sample)| sample.value).collect();
    let value = median(&mut values);
    Row {
        system: system.clone(),
        records: *records,
        sample: Sample { value, ..*sample },
        min: values[0],
        max: values[values.len() - 1],
        runs: values.len(),
    }
}

/// The middle value, or the mean of the two middle ones. Sorts the values.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
