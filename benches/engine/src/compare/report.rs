//! The report: one HTML page with charts and tables.

use std::fs;
use std::io;
use std::path::Path;

use cenote_bench_support::chart::{Across, Chart, Curve};
use cenote_bench_support::numbers::count;
use cenote_bench_support::page::{charts, page};
use maud::{Markup, html};

use super::figures::{Case, Figure, Refreshes, Row};
use super::table::{Table, cases, range, sizes, systems, value};

/// Writes `index.html` into the folder, which is created if it does not exist.
pub fn write_report(rows: &[Row], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("index.html"), page("Cenote, side by side", "", &content(rows)))
}

fn content(rows: &[Row]) -> Markup {
    html! {
        p {
            "Every system did the same work on the " em { "catalog" } " workload, one after another in separate processes. "
            "Points and cells are medians over the rounds; the range in small type is minimum to maximum. Axes are "
            "logarithmic. Lower is better everywhere."
        }
        (charts("Cost against the number of records", &by_records(rows)))
        (charts("Cost against the number of changes", &by_changes(rows)))
        (charts("How long a look-up takes, and the rare ones", &by_quantile(rows)))
        @for table in Table::of_each_size(rows) {
            h2 { "All figures, " (count(table.records)) " records" }
            (all_figures(&table))
        }
    }
}

fn all_figures(table: &Table<'_>) -> Markup {
    let systems = systems(&table.rows);
    html! {
        div.scroll {
            table {
                tr { th { "figure" } @for system in &systems { th { (system) } } }
                @for case in cases(&table.rows) {
                    tr {
                        td { (case) }
                        @for system in &systems {
                            td { @if let Some(row) = table.find(system, case) { (value(row)) br; small { (range(row)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// A chart with a curve per system; `across` is a row's value on the horizontal axis, `None` for rows that are not on it.
fn chart(rows: &[Row], caption: String, axis: Across, across: impl Fn(&Row) -> Option<f64>) -> Chart {
    let every_system = systems(&rows.iter().collect::<Vec<_>>());
    let on_it: Vec<_> = rows.iter().filter(|row| across(row).is_some()).collect();
    let curve = |system: &str| {
        let own = on_it.iter().filter(|row| row.system == system);
        let mut points: Vec<_> = own.filter_map(|row| Some((across(row)?, row.sample.value))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve { name: system.to_owned(), color: color(&every_system, system), points }
    };
    let unit = on_it.first().map_or("", |row| row.sample.unit.name()).to_owned();
    Chart { caption, across: axis, unit, curves: systems(&on_it).into_iter().map(curve).collect() }
}

/// The same color for a system in all charts; the engine comes first and gets the strongest.
fn color(systems: &[&str], system: &str) -> &'static str {
    const COLORS: [&str; 12] = [
        "#0b6e99", "#d1495b", "#3a7d44", "#b5651d", "#6c4ab6", "#c2185b", "#5f6b2f", "#00897b", "#8d6e63", "#455a64",
        "#e0851b", "#3949ab",
    ];
    let number = systems.iter().position(|other| *other == system).unwrap_or_default();
    COLORS[number % COLORS.len()]
}

/// A chart per case, for cases with at most one thread and 1,000 changes; none if there is only one size.
fn by_records(rows: &[Row]) -> Vec<Chart> {
    if sizes(rows).len() < 2 {
        return Vec::new();
    }
    let shown = |case: &Case| {
        case.refreshes.is_none() && case.threads != Some(2) && case.changes.is_none_or(|changes| changes == 1_000)
    };
    let cases = cases(&rows.iter().collect::<Vec<_>>()).into_iter().filter(shown);
    let of = |case: Case| {
        let across = |row: &Row| (row.sample.case == case).then_some(row.records as f64);
        chart(rows, case.to_string(), Across::Counts("records"), across)
    };
    cases.map(of).collect()
}

fn by_changes(rows: &[Row]) -> Vec<Chart> {
    let Some(&largest) = sizes(rows).last() else { return Vec::new() };
    let of = |figure: Figure| {
        let caption = format!("{figure}, {} records", count(largest));
        chart(rows, caption, Across::Counts("changes"), |row| {
            let on_it = row.records == largest && row.sample.case.figure == figure;
            on_it.then_some(row.sample.case.changes? as f64)
        })
    };
    [Figure::ApplyDelta, Figure::UpdateCycle, Figure::DeltaBytes, Figure::RefreshPeakRatio].map(of).into()
}

fn by_quantile(rows: &[Row]) -> Vec<Chart> {
    let Some(&largest) = sizes(rows).last() else { return Vec::new() };
    // The number of look-ups per slower one; the slowest of all is drawn apart, at a million.
    let across = |figure| match figure {
        Figure::LookupP50 => Some(2.0),
        Figure::LookupP99 => Some(1e2),
        Figure::LookupP999 => Some(1e3),
        Figure::LookupMax => Some(1e6),
        _ => None,
    };
    let of = |refreshes: Refreshes| {
        let caption = format!("refreshes: {refreshes}, {} records", count(largest));
        chart(rows, caption, Across::Quantiles, |row| {
            let on_it = row.records == largest && row.sample.case.refreshes == Some(refreshes);
            across(row.sample.case.figure).filter(|_| on_it)
        })
    };
    [Refreshes::Never, Refreshes::EverySecond, Refreshes::Continuous].map(of).into()
}
