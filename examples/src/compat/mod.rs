//! What browsers support of the web, in three successive releases of browser-compat-data: real records to publish.
//!
//! A release is one producer cycle's input, and the three make a chain: most features stay as they are, some hundreds
//! are added, removed or changed. Supports repeat so much that storing each once pays (of 286,346 in the last release,
//! 11,980 differ). `examples/data/README.md` says where the data comes from and how the file is made.
//!
//! Rules: the structs keep everything that a release has; what may be one value or a list there is a list here.

use std::io::{BufRead, BufReader};

use cenote_consumer::{Key, Record};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Each line: the numbers of the releases that have the row, the row's kind, its JSON.
const FILE: &[u8] = include_bytes!("../../data/compat.jsonl.zst");

/// Their index is the number that the file uses.
const RELEASES: [&str; 3] = ["8.1.6", "8.1.7", "8.1.9"];

/// The releases, oldest first. There is no 8.1.8.
pub fn releases() -> Vec<&'static str> {
    RELEASES.to_vec()
}

/// The features of a release, sorted by path, decoded one by one.
///
/// ```
/// let last = cenote_examples::compat::features("8.1.9");
/// assert_eq!(last.count(), 20_968);
/// ```
///
/// # Panics
/// If `release` is none of [`releases`].
pub fn features(release: &str) -> impl Iterator<Item = Feature> + Send + use<> {
    rows(release, "feature")
}

/// The browsers of a release, sorted by id.
///
/// # Panics
/// If `release` is none of [`releases`].
pub fn browsers(release: &str) -> impl Iterator<Item = Browser> + Send + use<> {
    rows(release, "browser")
}

/// When a release was built, such as `2026-11-12T14:10:29.391Z`.
///
/// # Panics
/// If `release` is none of [`releases`].
pub fn built_at(release: &str) -> String {
    let header: Header = rows(release, "release").next().expect("each release has a header");
    header.timestamp
}

/// A feature of the web that a browser may support: an interface, a CSS property's value, an HTML attribute.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[record(key = "path")]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The key: its path in the tree, such as `css.properties.justify-content.space-evenly`. No name in it has a dot.
    pub path: String,
    /// A description as HTML, if the path is not clear enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its page in the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mdn_url: Option<String>,
    /// The parts of specifications that define it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spec_urls: Vec<String>,
    /// Such as `web-features:grid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How settled it is, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The file that defines it, in the project that keeps the data.
    #[record(dedup)]
    pub source_file: String,
    /// One for each browser with known support, sorted by browser.
    pub support: Vec<Support>,
}

/// How settled a feature is.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// It may still change, and mostly one browser has it.
    pub experimental: bool,
    /// A specification, or one on its way, has it.
    pub standard_track: bool,
    /// New pages should not use it.
    pub deprecated: bool,
}

/// One browser's support of one feature.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Support {
    /// Which browser.
    pub browser: Key<Browser>,
    /// Never empty; the most relevant comes first.
    pub statements: Vec<Statement>,
}

/// One way in which a browser supported a feature, over a span of its versions.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// A version such as `32`, `≤37` (that one or an earlier) or `preview`; `None`: not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_added: Option<String>,
    /// The first version without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_removed: Option<String>,
    /// The last version with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_last: Option<String>,
    /// The prefix its name had, such as `-webkit-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The other name that it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternative_name: Option<String>,
    /// The settings that a user must change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Issues that track the implementation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impl_urls: Vec<String>,
    /// Not all of it works as specified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial_implementation: bool,
    /// Notes as HTML.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A setting that switches a feature on.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Where it is set.
    pub kind: FlagKind,
    /// Its name.
    pub name: String,
    /// Such as `true` or `Enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_to_set: Option<String>,
}

/// Where a [`Flag`] is set.
#[derive(Record, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// On the browser's own page of settings.
    Preference,
    /// On the command line.
    RuntimeFlag,
}

/// A browser, or another program that runs web code.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[record(key = "id")]
#[serde(deny_unknown_fields)]
pub struct Browser {
    /// The key, such as `firefox_android`.
    pub id: String,
    /// For people: `Firefox for Android`.
    pub name: String,
    /// The devices it runs on.
    pub kind: BrowserKind,
    /// The browser that it is built on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Key<Browser>>,
    /// The name of its preview channel, such as `Nightly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_name: Option<String>,
    /// Its page of settings, such as `about:config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pref_url: Option<String>,
    /// Whether users can set flags.
    pub accepts_flags: bool,
    /// Whether it supports extensions.
    pub accepts_webextensions: bool,
    /// All releases, oldest version first.
    pub releases: Vec<BrowserRelease>,
}

/// The devices that a [`Browser`] runs on.
#[derive(Record, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowserKind {
    /// Desktop computers.
    Desktop,
    /// Telephones and tablets.
    Mobile,
    /// Headsets.
    Xr,
    /// Servers.
    Server,
}

/// A version of a browser.
#[derive(Record, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserRelease {
    /// The version as statements name it.
    pub version: String,
    /// `YYYY-MM-DD`; may be in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_date: Option<String>,
    /// The page that lists its changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_notes: Option<String>,
    /// Its stage of support.
    pub status: ReleaseStatus,
    /// Its browser engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// The engine's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
}

/// A [`BrowserRelease`]'s stage of support.
#[derive(Record, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseStatus {
    /// Not released yet.
    Planned,
    /// Built every night.
    Nightly,
    /// A preview for testers.
    Beta,
    /// The version in use.
    Current,
    /// Supported for longer than others.
    Esr,
    /// No longer supported.
    Retired,
}

/// A browser engine.
#[derive(Record, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "names of programs")]
pub enum Engine {
    Blink,
    #[serde(rename = "EdgeHTML")]
    EdgeHtml,
    Gecko,
    Presto,
    Trident,
    V8,
    WebKit,
}

#[derive(Deserialize)]
struct Header {
    timestamp: String,
}

/// The rows of one kind that a release has, in the file's order.
fn rows<T: DeserializeOwned>(release: &str, kind: &'static str) -> impl Iterator<Item = T> + Send + use<T> {
    let number = number(release);
    lines().filter_map(move |line| {
        let json = json(&line, number, kind)?;
        Some(serde_json::from_str(json).expect("the file's rows fit the structs"))
    })
}

fn number(release: &str) -> char {
    let number = RELEASES.iter().position(|known| *known == release);
    let number = number.unwrap_or_else(|| panic!("no release {release:?} here, only {RELEASES:?}"));
    char::from_digit(number as u32, 10).expect("fewer than ten releases")
}

fn lines() -> impl Iterator<Item = String> + Send {
    let plain = zstd::Decoder::new(FILE).expect("zstd can start");
    BufReader::new(plain).lines().map(|line| line.expect("the file is whole, and text"))
}

/// The JSON in this line, if the release has the row and it is of this kind.
fn json<'line>(line: &'line str, number: char, kind: &str) -> Option<&'line str> {
    let (numbers, row) = line.split_once(' ').expect("three words in a line");
    let (row_kind, json) = row.split_once(' ').expect("three words in a line");
    (row_kind == kind && numbers.contains(number)).then_some(json)
}

#[cfg(test)]
mod tests;
