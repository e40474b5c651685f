//! The report: one HTML page that reads well on its own, with nothing fetched from elsewhere.

use std::fs;
use std::io;
use std::path::Path;

use super::bars::bars;
use super::tables::{describe, noticed, repaired, tables};
use super::{Report, advise, is_ours};
use crate::faults::{Fault, Outcome, Repair, Verdict};
use crate::strategy::{Strategy, WriteKind};
use cenote_bench_support::chart::{Across, Chart, Curve};
use cenote_bench_support::numbers::human;

/// Writes `index.html` into the folder, which is made where there is none.
pub fn write_page(report: &Report, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("index.html"), page(report))
}

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; } dt { font-weight: 600; margin-top: 1rem; } dd { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .25rem; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: #4a5868; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .8rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e3e8ee; vertical-align: top; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; } .figures td { white-space: nowrap; }
.faults { margin-bottom: 1.5rem; } .faults th { text-align: left; }
.faults td { text-align: left; min-width: 5rem; padding: .25rem .4rem; border: 1px solid #fff; }
.faults td:first-child { min-width: 7rem; white-space: normal; } .faults th:first-child { white-space: normal; }
.faults td:first-child, .faults th:first-child { position: sticky; left: 0; background: #fff; }
.right { background: #dff2e1; } .while { background: #fdf0cd; } .ever { background: #f6c9c9; } .none { color: #9aa5b1; }
.ours { color: #0b6e99; font-weight: 600; } small { color: #5a6878; }
";

fn page(report: &Report) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page += "<meta name=\"viewport\" content=\"width=device-width\"><title>CQRS and Cenote, side by side</title>";
    page += &format!("<style>{STYLE}</style></head>\n<body>\n<h1>CQRS and Cenote, side by side</h1>\n");
    page += &format!(
        "<p>One catalogue ({} products, {} pages), the same commands and queries, through event-driven read sides and \
         through Cenote. Run as <code>cqrs {}</code>. Axes are logarithmic.{}</p>\n",
        report.products,
        report.pages,
        escape(&report.command),
        clock(report)
    );
    if !report.failed.is_empty() {
        let failed: String = report.failed.iter().map(|failed| format!("<li>{}</li>", escape(failed))).collect();
        page +=
            &format!("<p class=\"ever\">This run has failed, and shows less than it should:</p>\n<ul>{failed}</ul>\n");
    }
    guide(&mut page, report);
    section(&mut page, "How soon a change is seen, and what a command waits for", &lines(report));
    section(&mut page, "How long a read takes, and how many a core answers", &read_bars(report));
    section(&mut page, "What it takes", &cost_bars(report));
    faults(&mut page, report);
    figures(&mut page, report);
    page + "</body></html>\n"
}

/// What each time of a read has in it besides the read.
fn clock(report: &Report) -> String {
    let costs = report.systems().into_iter().filter_map(|system| report.figure(system, "clock_cost"));
    let most = costs.fold(0.0, f64::max);
    if most == 0.0 {
        String::new()
    } else {
        format!(" Each time of a read has a look at the clock in it: {most:.0} ns.")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn guide(page: &mut String, report: &Report) {
    let all = advise(report);
    if all.is_empty() {
        return;
    }
    *page += "<h2>Which one?</h2>\n<dl>\n";
    for advice in all {
        *page += &format!("<dt>{}</dt>", escape(&advice.question));
        advice.answers.iter().for_each(|answer| *page += &format!("<dd>{}</dd>\n", escape(answer)));
    }
    *page += "</dl>\n";
}

fn section(page: &mut String, heading: &str, charts: &[Option<String>]) {
    let drawn: String = charts.iter().flatten().map(String::as_str).collect();
    if !drawn.is_empty() {
        *page += &format!("<h2>{heading}</h2>\n<div class=\"charts\">\n{drawn}</div>\n");
    }
}

/// Blues for the engine's, others for the others.
fn color(system: &str, place: usize) -> &'static str {
    const OTHERS: [&str; 9] =
        ["#d1495b", "#3a7d44", "#b5651d", "#e0851b", "#c2185b", "#6c4ab6", "#5f6b2f", "#8d6e63", "#455a64"];
    const OURS: [&str; 5] = ["#0b6e99", "#3fa7d6", "#1f4e79", "#00897b", "#59b3c9"];
    if is_ours(system) { OURS[place % OURS.len()] } else { OTHERS[place % OTHERS.len()] }
}

fn lines(report: &Report) -> Vec<Option<String>> {
    let chart = |figure: &str, caption: &str| {
        let (mut ours, mut others) = (0, 0);
        let curves = report.systems().into_iter().map(|system| {
            let place = if is_ours(system) { &mut ours } else { &mut others };
            *place += 1;
            let at = |rate: &u32| Some((f64::from(*rate), report.at(system, figure, *rate)?));
            let points = report.rates().iter().filter_map(at).collect();
            Curve { name: system.to_owned(), color: color(system, *place - 1), points }
        });
        let across = Across::Counts("commands a second");
        Chart { caption: caption.to_owned(), across, unit: "s".to_owned(), curves: curves.collect() }.draw()
    };
    vec![
        chart("freshness_p50", "From acknowledgement to visible, half of all"),
        chart("freshness_p99", "From acknowledgement to visible, 99 of 100"),
        chart("ack_p50", "From a command's call to its acknowledgement, half of all"),
        chart("ack_p99", "From a command's call to its acknowledgement, 99 of 100"),
        chart("visible_p99", "From when a command was due to visible, 99 of 100"),
    ]
}

fn read_bars(report: &Report) -> Vec<Option<String>> {
    let of = |figure: &str, query: &str, loaded: bool, unit: &str, caption: String| {
        let values: Vec<_> = report
            .systems()
            .into_iter()
            .filter_map(|system| Some((system, report.query(system, figure, query, loaded)?)))
            .collect();
        bars(&caption, unit, &values)
    };
    let mut charts = Vec::new();
    for (query, name) in [("product", "A product"), ("category", "A listing"), ("page", "A page with its products")] {
        charts.push(of("read_p50", query, false, "ns", format!("{name}, half of all")));
        charts.push(of("read_p99", query, true, "ns", format!("{name}, 99 of 100, while commands go on")));
    }
    charts.push(of("reads_a_second", "product", false, "1/s", "Products a second, one core".to_owned()));
    charts.push(of("reads_a_second", "page", false, "1/s", "Pages a second, one core".to_owned()));
    charts
}

fn cost_bars(report: &Report) -> Vec<Option<String>> {
    let of = |figure: &str, unit: &str, caption: &str| {
        let values: Vec<_> =
            report.systems().into_iter().filter_map(|system| Some((system, report.figure(system, figure)?))).collect();
        bars(caption, unit, &values)
    };
    vec![
        of("bootstrap", "s", "The read side from nothing"),
        of("rebuild", "s", "A rebuild beside what runs"),
        of("restart_to_first_answer", "s", "A reader from its start to the first right answer"),
        of("memory_reader", "bytes", "A reader's memory, everything read once"),
        of("disk_read_side", "bytes", "The read side on disk"),
    ]
}

fn faults(page: &mut String, report: &Report) {
    if report.outcomes.is_empty() {
        return;
    }
    *page += "<h2>What was broken, and what came of it</h2>\n<p>Each cell is a run: commands, the script, quiet; then \
              everything that can be asked is compared with the write side. <span class=\"right\">Right</span>: never \
              later than on a good day. <span class=\"while\">For a while</span>: the longest that anything was stale or \
              wrong. <span class=\"ever\">For ever</span>: still wrong when all queues are empty and an interval more has \
              passed. A dash: it can't befall this one.</p>\n";
    // What is the engine's alone would be a table of dashes for all others.
    let shared = |fault: Fault| report.outcomes.iter().any(|own| own.fault == fault && !is_ours(&own.system));
    let (both, ours): (Vec<_>, Vec<_>) = Fault::ALL.into_iter().partition(|fault| shared(*fault));
    for faults in [both, ours] {
        fault_table(page, report, &faults);
    }
}

fn fault_table(page: &mut String, report: &Report, faults: &[Fault]) {
    let own =
        |fault: Fault, system: &str| report.outcomes.iter().find(|own| own.fault == fault && own.system == system);
    let mut systems = report.systems();
    systems.retain(|system| faults.iter().any(|fault| own(*fault, system).is_some()));
    if systems.is_empty() {
        return;
    }
    *page += "<div class=\"scroll\"><table class=\"faults\">\n<tr><th>fault</th>";
    for system in &systems {
        let class = if is_ours(system) { " class=\"ours\"" } else { "" };
        *page += &format!("<th{class}>{system}</th>");
    }
    *page += "</tr>\n";
    for fault in faults.iter().filter(|fault| systems.iter().any(|system| own(**fault, system).is_some())) {
        *page += &format!("<tr><td>{}</td>", fault.name());
        systems.iter().for_each(|system| *page += &cell(*fault, system, own(*fault, system)));
        *page += "</tr>\n";
    }
    *page += "</table></div>\n";
}

fn cell(fault: Fault, system: &str, outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else {
        let tried = Strategy::find(system).is_some_and(|strategy| fault.befalls(strategy, write_of(system)).is_ok());
        let (class, says) = if tried { ("ever", "<b>the run failed</b>") } else { ("none", "–") };
        return format!("<td class=\"{class}\">{says}</td>");
    };
    let (class, says) = match outcome.verdict {
        Verdict::Right => ("right", "right".to_owned()),
        Verdict::WrongForAWhile => ("while", format!("for {}", human(outcome.wrong_for_s, "s"))),
        Verdict::WrongForEver => ("ever", "for ever".to_owned()),
    };
    let mut more = Vec::new();
    if outcome.verdict != Verdict::Right || !outcome.noticed.is_empty() {
        more.push(format!("noticed: {}", noticed(outcome)));
    }
    if outcome.repaired != Repair::Nothing {
        more.push(format!("repaired: {}", repaired(outcome)));
    }
    more.extend(outcome.note.as_deref().map(escape));
    let mut more = more.join("<br>");
    if let Some(row) = &outcome.row {
        more += &format!("<details><summary>a row</summary>{}</details>", escape(row));
    }
    format!(
        "<td class=\"{class}\" title=\"{}\"><b>{says}</b><br><small>{more}</small></td>",
        escape(&describe(outcome))
    )
}

/// The write side, as far as a title tells it: `cdc` is by replication, and on SQLite `cdc-embedded`.
fn write_of(system: &str) -> WriteKind {
    if system == Strategy::Cdc.name() { WriteKind::Postgres } else { WriteKind::Sqlite }
}

fn figures(page: &mut String, report: &Report) {
    if report.rows.is_empty() {
        return;
    }
    *page += "<h2>All figures</h2>\n";
    for (title, columns) in tables(report) {
        *page += &format!("<h3>{title}</h3>\n<div class=\"scroll\"><table class=\"figures\">\n<tr><th></th>");
        columns.iter().for_each(|(name, _)| *page += &format!("<th>{name}</th>"));
        *page += "</tr>\n";
        for system in report.systems() {
            let class = if is_ours(system) { " class=\"ours\"" } else { "" };
            *page += &format!("<tr><td{class}>{system}</td>");
            columns.iter().for_each(|(_, cell)| *page += &format!("<td>{}</td>", cell(system).unwrap_or_default()));
            *page += "</tr>\n";
        }
        *page += "</table></div>\n";
    }
}
