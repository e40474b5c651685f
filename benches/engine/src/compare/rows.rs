//! Figures: a sample is one system's in one round, a row is what all rounds say together.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A figure in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it is called.
    pub figure: String,
    /// How many records changed, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// How many threads read, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// How often a refresh came in between: `none`, `1/s` or `continuous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshes: Option<String>,
    /// For how many look-ups a view was held, when not for the usual 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookups_per_view: Option<u32>,
    /// Set where keys were looked up one after another by a system that has a way for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_by_one: Option<bool>,
    /// Of the value: `s`, `ns`, `bytes` or `ratio`.
    pub unit: String,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A figure that depends on nothing else.
    #[must_use]
    pub fn new(figure: &str, unit: &str, value: f64) -> Self {
        Self { figure: figure.into(), unit: unit.into(), value, ..Self::default() }
    }

    /// The same with so many changes.
    #[must_use]
    pub fn changes(self, changes: u64) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// The same with so many threads.
    #[must_use]
    pub fn threads(self, threads: u32) -> Self {
        Self { threads: Some(threads), ..self }
    }
}

/// A figure over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Whose it is.
    pub system: String,
    /// The size of the catalog.
    pub records: u64,
    /// Which figure, with the median as its value.
    #[serde(flatten)]
    pub sample: Sample,
    /// The lowest of all rounds.
    pub min: f64,
    /// The highest of all rounds.
    pub max: f64,
    /// How many rounds there were.
    pub runs: usize,
}

impl Row {
    /// Whether two rows are of the same figure, whoever's they are.
    #[must_use]
    pub fn same_figure(&self, other: &Self) -> bool {
        self.records == other.records && self.sample.key() == other.sample.key()
    }
}

type Key<'a> = (&'a str, Option<u64>, Option<u32>, Option<&'a str>, Option<u32>, Option<bool>);

impl Sample {
    fn key(&self) -> Key<'_> {
        let Sample { changes, threads, lookups_per_view, one_by_one, .. } = self;
        (&self.figure, *changes, *threads, self.refreshes.as_deref(), *lookups_per_view, *one_by_one)
    }
}

/// The samples of all rounds, by system and size.
#[derive(Default)]
pub(super) struct Samples(Vec<(String, u64, Sample)>);

impl Samples {
    pub(super) fn push(&mut self, system: &str, records: u64, sample: Sample) {
        self.0.push((system.to_owned(), records, sample));
    }

    /// One row per figure, in the order in which figures first came.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut places = HashMap::new();
        let mut groups: Vec<Vec<&(String, u64, Sample)>> = Vec::new();
        for entry in &self.0 {
            let (system, records, sample) = entry;
            let place = *places.entry((system, records, sample.key())).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(entry);
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
        sample: Sample { value, ..sample.clone() },
        min: values[0],
        max: values[values.len() - 1],
        runs: values.len(),
    }
}

/// The middle value, or the mean of the two middle ones; sorts.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
