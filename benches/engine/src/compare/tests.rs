//! The comparison's own arithmetic, and one whole turn with a small catalog.

use super::figures::Samples;
use super::*;
use crate::peers;

fn apply_delta(changes: u64) -> Case {
    Case::from(Figure::ApplyDelta).changes(changes)
}

#[test]
fn rows_have_the_median_of_all_rounds() {
    let mut samples = Samples::default();
    for value in [3.0, 1.0, 2.0] {
        samples.push("map", 100, Sample::new(apply_delta(10), value));
    }
    samples.push("map", 100, Sample::new(apply_delta(1_000), 9.0));
    let rows = samples.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].min, rows[0].sample.value, rows[0].max, rows[0].runs), (1.0, 2.0, 3.0, 3));
    let json = serde_json::to_value(&rows[0]).expect("rows are JSON");
    let expected = serde_json::json!({"figure": "apply_delta", "system": "map", "records": 100, "changes": 10,
        "unit": "s", "value": 2.0, "min": 1.0, "max": 3.0, "runs": 3});
    assert_eq!(json, expected);
}

#[test]
fn every_case_reads_as_it_is_written() {
    let line =
        r#"{"figure":"lookup_3_fields","threads":1,"lookups_per_view":1,"one_by_one":true,"unit":"ns","value":42.0}"#;
    let sample: Sample = serde_json::from_str(line).expect("lines are JSON");
    assert_eq!(sample.case.to_string(), "lookup_3_fields 1 thread, a view each, one by one");
    assert_eq!((sample.case.figure, sample.unit), (Figure::Lookup3Fields, Figure::Lookup3Fields.unit()));
    assert_eq!(serde_json::to_string(&sample).expect("samples are JSON"), line);
    let line = r#"{"figure":"lookup_p999","refreshes":"1/s","unit":"ns","value":540.0}"#;
    let sample: Sample = serde_json::from_str(line).expect("lines are JSON");
    assert_eq!(sample.case.to_string(), "lookup_p999, refreshes 1/s");
    assert_eq!(serde_json::to_string(&sample).expect("samples are JSON"), line);
}

/// The lines that the two processes of a turn print.
fn turn(name: &str) -> Vec<Line> {
    let system = peers::all().into_iter().find(|system| system.name() == name).expect("the system is there");
    let folder = tempfile::tempdir().expect("a folder for the versions");
    let effort = Effort { repetitions: 2, passes: 1, seconds: 0.05, spare_versions: 4 };
    let meter = Meter { allocated: || 1, peak: || 1, reset_peak: || () };
    let mut lines = Vec::new();
    let done = produce(&*system, 2_000, folder.path(), effort, &mut Output(&mut lines))
        .and_then(|()| consume(&*system, 2_000, folder.path(), effort, meter, &mut Output(&mut lines)));
    done.expect("the turn ends well");
    let text = String::from_utf8(lines).expect("lines are text");
    text.lines().map(|line| serde_json::from_str(line).expect("lines are JSON")).collect()
}

#[test]
fn a_turn_gives_every_figure() {
    let lines = turn("map-cow");
    let has = |figure: &str| {
        lines.iter().any(|line| matches!(line, Line::Sample(sample) if sample.case.figure.to_string() == figure))
    };
    for figure in [
        "publish_full",
        "snapshot_bytes",
        "snapshot_bytes_compressed",
        "delta_bytes",
        "full_cycle_unchanged",
        "update_cycle",
        "load_cold",
        "load_warm",
        "bytes_per_record",
        "refresh_peak_ratio",
        "apply_delta",
        "lookup_hit",
        "lookup_miss",
        "lookup_3_fields",
        "cast_walk",
        "full_scan",
        "country_find",
        "country_iterate",
        "lookup_p50",
        "lookup_p99",
        "lookup_p999",
        "lookup_max",
    ] {
        assert!(has(figure), "{figure} is missing");
    }
}

#[test]
fn an_unsupported_figure_is_a_note() {
    let lines = turn("map-plain");
    assert!(lines.iter().any(|line| matches!(line, Line::Note { note } if note.starts_with("lookup_hit"))));
}

#[test]
fn a_system_that_fails_does_not_end_the_run() {
    use std::os::unix::fs::PermissionsExt;
    // A child that prints one figure in each part; the system `map` fails after it, in the second round.
    let folder = tempfile::tempdir().expect("a folder for the child");
    let binary = folder.path().join("child.sh");
    let script = r#"#!/bin/sh
echo '{"figure":"load_warm","unit":"s","value":1.0}'
[ "$4" != map ] && exit 0
echo turn >> "${0%/*}/turns"
[ $(wc -l < "${0%/*}/turns") -lt 3 ]
"#;
    std::fs::write(&binary, script).expect("the child is written");
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).expect("it may run");
    let systems = ["map", "map-cow"].map(str::to_owned).to_vec();
    let plan = Plan { records: vec![1_000], systems, rounds: 3, quick: true, hollow: None, binary };
    let Outcome { rows, failures } = run(&plan, &mut |_| ()).expect("the run goes on");
    // Two parts a round: one round of the system that fails, three of the other.
    let runs: Vec<_> = rows.iter().map(|row| (row.system.as_str(), row.runs)).collect();
    assert_eq!(runs, [("map", 2), ("map-cow", 6)]);
    assert!(matches!(&failures[..], [why] if why.starts_with("map, 1000 records, round 2: ")), "{failures:?}");
}

#[test]
fn the_report_is_complete_and_fetches_nothing() {
    let mut samples = Samples::default();
    for records in [100_000, 1_000_000] {
        for (system, factor) in [("map", 1.0), ("hollow", 3.0)] {
            let seconds = records as f64 * factor * 1e-6;
            samples.push(system, records, Sample::new(Figure::LoadWarm, seconds));
            for changes in [10, 1_000] {
                samples.push(system, records, Sample::new(apply_delta(changes), seconds));
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder for the report");
    write_report(&samples.rows(), folder.path()).expect("the report is written");
    let page = std::fs::read_to_string(folder.path().join("index.html")).expect("the report is there");
    // Two charts against records, one against changes, and a table per size.
    assert_eq!(page.matches("<svg").count(), 3);
    assert_eq!(page.matches("<table").count(), 2);
    assert!(!page.contains("src=") && !page.contains("href="), "nothing is fetched from elsewhere");
    assert!(!page.contains("NaN") && !page.contains("inf"), "every place is a number");
}

#[test]
fn the_table_shows_ratios_to_the_engine() {
    let mut samples = Samples::default();
    samples.push("cenote", 100_000, Sample::new(Figure::LoadWarm, 0.5));
    samples.push("map", 100_000, Sample::new(Figure::LoadWarm, 1.25));
    let mut table = Vec::new();
    write_table(&samples.rows(), &mut table).expect("a list takes all bytes");
    let table = String::from_utf8(table).expect("tables are text");
    assert!(table.contains("500 ms") && table.contains("1.25 s (2.50×)"), "{table}");
}

#[test]
fn the_results_page_has_ranges_and_conditions() {
    let mut samples = Samples::default();
    for value in [0.5, 0.4, 0.6] {
        samples.push("cenote", 100_000, Sample::new(Figure::LoadWarm, value));
    }
    let outcome = Outcome { rows: samples.rows(), failures: vec!["map, 1000 records, round 1: no".to_owned()] };
    let [command, commit, machine, date] =
        ["compare --quick", "0123456789", "two cores", "2026-01-31"].map(str::to_owned);
    let file = tempfile::NamedTempFile::new().expect("a file for the page");
    write_results(&outcome, &Conditions { command, commit, machine, date }, file.path()).expect("the page is written");
    let page = std::fs::read_to_string(file.path()).expect("the page exists");
    for part in [
        "compare --quick\n",
        "two cores; 2026-01-31; commit 0123456789.",
        "## 100,000 records",
        "| figure | cenote |\n| --- | ---: |\n| load_warm | 500 ms<br><sub>400 ms – 600 ms</sub> |",
        "- map, 1000 records, round 1: no",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
}
