//! Each release has what README.md says, and the structs lose none of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

const README: &str = include_str!("../../data/README.md");

fn by_path(release: &str) -> BTreeMap<String, Feature> {
    features(release).map(|feature| (feature.path.clone(), feature)).collect()
}

fn by_id(release: &str) -> BTreeMap<String, Browser> {
    browsers(release).map(|browser| (browser.id.clone(), browser)).collect()
}

fn check_documented(row: String) {
    assert!(README.contains(&row), "README.md lacks: {row}");
}

#[test]
fn each_release_has_as_much_as_the_readme_says() {
    for release in releases() {
        let (mut paths, mut supports, mut statements) = (0, 0, 0);
        for feature in features(release) {
            paths += 1;
            supports += feature.support.len();
            statements += feature.support.iter().map(|support| support.statements.len()).sum::<usize>();
        }
        let browser_releases: usize = browsers(release).map(|browser| browser.releases.len()).sum();
        let (built_at, browsers) = (built_at(release), browsers(release).count());
        check_documented(format!(
            "| {release} | {built_at} | {paths} | {supports} | {statements} | {browsers} | {browser_releases} |"
        ));
    }
}

/// (added, removed, changed)
fn difference<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> (usize, usize, usize) {
    let added = new.keys().filter(|key| !old.contains_key(*key)).count();
    let removed = old.keys().filter(|key| !new.contains_key(*key)).count();
    let changed = new.iter().filter(|(key, row)| old.get(*key).is_some_and(|before| before != *row)).count();
    (added, removed, changed)
}

#[test]
fn releases_differ_by_what_the_readme_says() {
    let [first, second, third] = RELEASES;
    for (old, new) in [(first, second), (second, third), (first, third)] {
        let (added, removed, changed) = difference(&by_path(old), &by_path(new));
        let (_, _, browsers_changed) = difference(&by_id(old), &by_id(new));
        check_documented(format!("| {old} → {new} | {added} | {removed} | {changed} | {browsers_changed} |"));
    }
}

#[test]
fn keys_are_sorted_and_unique_and_browsers_are_known() {
    for release in releases() {
        let browsers: Vec<Browser> = browsers(release).collect();
        assert!(browsers.is_sorted_by(|left, right| left.id < right.id));
        let ids: BTreeSet<&str> = browsers.iter().map(|browser| browser.id.as_str()).collect();
        assert!(
            browsers
                .iter()
                .filter_map(|browser| browser.upstream.as_ref()?.value())
                .all(|upstream| ids.contains(upstream))
        );

        let mut last = String::new();
        for feature in features(release) {
            assert!(last < feature.path, "{} comes after {last}", feature.path);
            assert!(feature.support.is_sorted_by(|left, right| left.browser < right.browser), "{}", feature.path);
            for support in &feature.support {
                let browser = support.browser.value().expect("a path is a string");
                assert!(ids.contains(browser), "{}: {browser}", feature.path);
                assert!(!support.statements.is_empty(), "{}: {browser}", feature.path);
            }
            last = feature.path;
        }
    }
}

/// What is read and written again must be what was in the file: no field forgotten, none made up.
fn check_kept<T: Serialize + DeserializeOwned>(json: &str) {
    let row: T = serde_json::from_str(json).expect("a row fits its struct");
    let (before, after): (Value, Value) = (serde_json::from_str(json).unwrap(), serde_json::to_value(&row).unwrap());
    assert_eq!(before, after);
}

#[test]
fn structs_keep_all_fields() {
    let newest = number("8.1.9");
    for line in lines() {
        if let Some(feature) = json(&line, newest, "feature") {
            check_kept::<Feature>(feature);
        }
        if let Some(browser) = json(&line, newest, "browser") {
            check_kept::<Browser>(browser);
        }
    }
}

fn safari_has_close_watcher_since(release: &str) -> Option<String> {
    let feature = features(release).find(|feature| feature.path == "api.CloseWatcher").expect("all releases have it");
    let support =
        feature.support.into_iter().find(|support| support.browser.value() == Some("safari")).expect("Safari is known");
    support.statements.into_iter().next().and_then(|statement| statement.version_added)
}

#[test]
fn a_preview_becomes_a_version() {
    assert_eq!(safari_has_close_watcher_since("8.1.7").as_deref(), Some("preview"));
    assert_eq!(safari_has_close_watcher_since("8.1.9").as_deref(), Some("27.3"));
}

#[test]
#[should_panic(expected = "no release \"8.1.8\" here")]
fn an_unknown_release_panics() {
    let _ = features("8.1.8");
}
