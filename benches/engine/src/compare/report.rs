//! The report: one HTML page that reads well on its own, with charts as inline SVG and nothing fetched from elsewhere.

use std::fs;
use std::io;
use std::path::Path;

use cenote_bench_support::chart::{Across, Chart, Curve};
use cenote_bench_support::numbers::human;

use super::rows::Row;
use super::table::{figures, systems, title};

/// Writes `index.html` into the folder, which is made where there is none.
pub fn write_report(rows: &[Row], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("index.html"), page(rows))
}

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .25rem; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: #4a5868; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e3e8ee; }
th:first-child, td:first-child { text-align: left; } td small { color: #7b8794; }
";

fn page(rows: &[Row]) -> String {
    let all: Vec<_> = rows.iter().collect();
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page += "<meta name=\"viewport\" content=\"width=device-width\"><title>Cenote, side by side</title>";
    page += &format!("<style>{STYLE}</style></head>\n<body>\n<h1>Cenote, side by side</h1>\n");
    page += "<p>Every system did the same work on the <em>catalog</em> workload, one after another in processes of its \
             own. Points and cells are medians over the rounds; the range in small type is minimum to maximum. Axes are \
             logarithmic. Lower is better everywhere.</p>\n";
    section(&mut page, "Cost against the number of records", &by_records(&all));
    section(&mut page, "Cost against the number of changes", &by_changes(&all));
    section(&mut page, "How long a look-up takes, and the rare ones", &by_quantile(&all));
    for records in sizes(&all) {
        page += &format!("<h2>All figures, {records} records</h2>\n");
        let own: Vec<_> = all.iter().copied().filter(|row| row.records == records).collect();
        table(&mut page, &own);
    }
    page + "</body></html>\n"
}

fn section(page: &mut String, heading: &str, charts: &[Chart]) {
    let drawn: Vec<_> = charts.iter().filter_map(Chart::draw).collect();
    if drawn.is_empty() {
        return;
    }
    *page += &format!("<h2>{heading}</h2>\n<div class=\"charts\">\n{}</div>\n", drawn.concat());
}

fn sizes(rows: &[&Row]) -> Vec<u64> {
    let mut sizes: Vec<_> = rows.iter().map(|row| row.records).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// A chart with a curve per system; `point` says which rows are on it, and where.
fn chart(rows: &[&Row], caption: String, across: Across, point: impl Fn(&Row) -> Option<f64>) -> Chart {
    let on: Vec<_> = rows.iter().copied().filter(|row| point(row).is_some()).collect();
    let curve = |system: &str| {
        let own = on.iter().filter(|row| row.system == system);
        let mut points: Vec<_> = own.filter_map(|row| Some((point(row)?, row.sample.value))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve { name: system.to_owned(), color: color(&systems(rows), system), points }
    };
    let unit = on.first().map(|row| row.sample.unit.clone()).unwrap_or_default();
    Chart { caption, across, unit, curves: systems(&on).into_iter().map(curve).collect() }
}

/// The same color for a system in all charts; the engine comes first and gets the strongest.
fn color(systems: &[&str], system: &str) -> &'static str {
    const COLORS: [&str; 12] = [
        "#0b6e99", "#d1495b", "#3a7d44", "#b5651d", "#6c4ab6", "#c2185b", "#5f6b2f", "#00897b", "#8d6e63", "#455a64",
        "#e0851b", "#3949ab",
    ];
    let place = systems.iter().position(|&own| own == system).unwrap_or_default();
    COLORS[place % COLORS.len()]
}

fn by_records(rows: &[&Row]) -> Vec<Chart> {
    if sizes(rows).len() < 2 {
        return Vec::new();
    }
    let shown = |figure: &&&Row| {
        let sample = &figure.sample;
        sample.refreshes.is_none() && sample.threads != Some(2) && sample.changes.is_none_or(|changes| changes == 1_000)
    };
    let one_size: Vec<_> = figures(rows).iter().filter(shown).map(|row| &row.sample).collect();
    let mut seen: Vec<String> = Vec::new();
    let mut charts = Vec::new();
    for sample in one_size {
        let like = |row: &Row| {
            Row { records: 0, sample: sample.clone(), ..row.clone() }.same_figure(&Row { records: 0, ..row.clone() })
        };
        let caption = rows.iter().find(|row| like(row)).map(|row| title(row)).unwrap_or_default();
        if !seen.contains(&caption) {
            seen.push(caption.clone());
            charts.push(chart(rows, caption, Across::Counts("records"), |row| like(row).then_some(row.records as f64)));
        }
    }
    charts
}

fn by_changes(rows: &[&Row]) -> Vec<Chart> {
    let Some(&largest) = sizes(rows).last() else { return Vec::new() };
    ["apply_delta", "update_cycle", "delta_bytes", "refresh_peak_ratio"]
        .into_iter()
        .map(|figure| {
            chart(rows, format!("{figure}, {largest} records"), Across::Counts("changes"), |row| {
                let on = row.records == largest && row.sample.figure == figure;
                on.then_some(row.sample.changes? as f64)
            })
        })
        .collect()
}

fn by_quantile(rows: &[&Row]) -> Vec<Chart> {
    let Some(&largest) = sizes(rows).last() else { return Vec::new() };
    // Placed by how many look-ups there are per slower one; the slowest of all stands apart, at a million.
    let quantiles = [("lookup_p50", 2.0), ("lookup_p99", 1e2), ("lookup_p999", 1e3), ("lookup_max", 1e6)];
    ["none", "1/s", "continuous"]
        .into_iter()
        .map(|refreshes| {
            let caption = format!("refreshes: {refreshes}, {largest} records");
            chart(rows, caption, Across::Quantiles, |row| {
                let on = row.records == largest && row.sample.refreshes.as_deref() == Some(refreshes);
                let (_, share) = quantiles.iter().find(|(figure, _)| *figure == row.sample.figure)?;
                on.then_some(*share)
            })
        })
        .collect()
}

fn table(page: &mut String, rows: &[&Row]) {
    let systems = systems(rows);
    *page += "<div class=\"scroll\"><table>\n<tr><th>figure</th>";
    for system in &systems {
        *page += &format!("<th>{system}</th>");
    }
    *page += "</tr>\n";
    for figure in figures(rows) {
        *page += &format!("<tr><td>{}</td>", title(figure));
        for system in &systems {
            let row = rows.iter().find(|row| row.system == *system && row.same_figure(figure));
            *page += &row.map_or_else(|| "<td></td>".to_owned(), |row| cell(row));
        }
        *page += "</tr>\n";
    }
    *page += "</table></div>\n";
}

fn cell(row: &Row) -> String {
    let show = |value| human(value, &row.sample.unit);
    let range = format!("{} – {}", show(row.min), show(row.max));
    format!("<td>{}<br><small>{range}</small></td>", show(row.sample.value))
}
