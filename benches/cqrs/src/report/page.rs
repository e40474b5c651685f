//! The report: one HTML page with the guide, charts, faults and figures. It fetches nothing from elsewhere.

use std::fs;
use std::io;
use std::path::Path;

use cenote_bench_support::chart::{Across, Chart, Curve};
use cenote_bench_support::numbers::{count, human};
use cenote_bench_support::page::{charts, page};
use maud::{Markup, html};

use super::bars::bars;
use super::tables::{describe, noticed, repaired, tables};
use super::{Report, advise, is_cenote};
use crate::faults::{Fault, Outcome, Repair, Verdict};
use crate::strategy::{Strategy, WriteKind};

/// Writes `index.html` into the folder, which is created if it does not exist.
pub fn write_page(report: &Report, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("index.html"), page("CQRS and Cenote, side by side", STYLE, &content(report)))
}

const STYLE: &str = "
dt { font-weight: 600; margin-top: 1rem; } dd { margin: 0; }
.faults { margin-bottom: 1.5rem; } .faults th { text-align: left; }
.faults td { text-align: left; white-space: normal; min-width: 5rem; padding: .25rem .4rem; border: 1px solid #fff; }
.faults td:first-child { min-width: 7rem; } .faults th:first-child { white-space: normal; }
.faults td:first-child, .faults th:first-child { position: sticky; left: 0; background: #fff; }
.right { background: #dff2e1; } .while { background: #fdf0cd; } .wrong { background: #f6c9c9; } .none { color: #9aa5b1; }
.cenote { color: #0b6e99; font-weight: 600; } small { color: #5a6878; }
";

fn content(report: &Report) -> Markup {
    html! {
        p {
            "One catalogue (" (count(report.products)) " products, " (count(report.pages)) " pages), the same commands and \
             queries, through event-driven read sides and through Cenote. Run as " code { "cqrs " (report.command) } ". Axes \
             are logarithmic."
            @if let Some(cost) = clock_cost(report) { " Each time of a read includes a look at the clock: " (cost) "." }
        }
        @if !report.failed.is_empty() {
            p.wrong { "This run has failed, and shows less than it should:" }
            ul { @for failed in &report.failed { li { (failed) } } }
        }
        (guide(report))
        (charts("How soon a change is visible, and what a command waits for", &lines(report)))
        (section("How long a read takes, and how many a core answers", &read_bars(report)))
        (section("What it takes", &cost_bars(report)))
        (faults(report))
        (figures(report))
    }
}

/// What a look at the clock costs: each time of a read includes one.
fn clock_cost(report: &Report) -> Option<String> {
    let costs = report.systems().into_iter().filter_map(|system| report.figure(system, "clock_cost"));
    let most = costs.fold(0.0, f64::max);
    (most > 0.0).then(|| human(most, "ns"))
}

fn guide(report: &Report) -> Markup {
    let advice = advise(report);
    html! {
        @if !advice.is_empty() {
            h2 { "Which one?" }
            dl {
                @for advice in &advice {
                    dt { (advice.question) }
                    @for answer in &advice.answers { dd { (answer) } }
                }
            }
        }
    }
}

fn section(heading: &str, figures: &[Option<Markup>]) -> Markup {
    let drawn: Vec<&Markup> = figures.iter().flatten().collect();
    html! {
        @if !drawn.is_empty() {
            h2 { (heading) }
            div.charts { @for figure in &drawn { (figure) } }
        }
    }
}

/// Blues for Cenote's strategies, other colors for the others.
fn color(system: &str, number: usize) -> &'static str {
    const OTHERS: [&str; 9] =
        ["#d1495b", "#3a7d44", "#b5651d", "#e0851b", "#c2185b", "#6c4ab6", "#5f6b2f", "#8d6e63", "#455a64"];
    const CENOTE: [&str; 5] = ["#0b6e99", "#3fa7d6", "#1f4e79", "#00897b", "#59b3c9"];
    if is_cenote(system) { CENOTE[number % CENOTE.len()] } else { OTHERS[number % OTHERS.len()] }
}

fn lines(report: &Report) -> Vec<Chart> {
    let chart = |figure: &str, caption: &str| {
        let (mut cenote, mut others) = (0, 0);
        let curves = report.systems().into_iter().map(|system| {
            let number = if is_cenote(system) { &mut cenote } else { &mut others };
            *number += 1;
            let at = |rate: &u32| Some((f64::from(*rate), report.at(system, figure, *rate)?));
            let points = report.rates().iter().filter_map(at).collect();
            Curve { name: system.to_owned(), color: color(system, *number - 1), points }
        });
        let across = Across::Counts("commands a second");
        Chart { caption: caption.to_owned(), across, unit: "s".to_owned(), curves: curves.collect() }
    };
    vec![
        chart("freshness_p50", "From acknowledgement to visible, half of all"),
        chart("freshness_p99", "From acknowledgement to visible, 99 of 100"),
        chart("ack_p50", "From a command's call to its acknowledgement, half of all"),
        chart("ack_p99", "From a command's call to its acknowledgement, 99 of 100"),
        chart("visible_p99", "From when a command was due to visible, 99 of 100"),
    ]
}

fn read_bars(report: &Report) -> Vec<Option<Markup>> {
    let of = |figure: &str, query: &str, loaded: bool, unit: &str, caption: String| {
        let value = |system| Some((system, report.query(system, figure, query, loaded)?));
        let values: Vec<_> = report.systems().into_iter().filter_map(value).collect();
        bars(&caption, unit, &values)
    };
    let mut charts = Vec::new();
    for (query, name) in [("product", "A product"), ("category", "A listing"), ("page", "A page with its products")] {
        charts.push(of("read_p50", query, false, "ns", format!("{name}, half of all")));
        charts.push(of("read_p99", query, true, "ns", format!("{name}, 99 of 100, while commands arrive")));
    }
    charts.push(of("reads_a_second", "product", false, "1/s", "Products a second, one core".to_owned()));
    charts.push(of("reads_a_second", "page", false, "1/s", "Pages a second, one core".to_owned()));
    charts
}

fn cost_bars(report: &Report) -> Vec<Option<Markup>> {
    let of = |figure: &str, unit: &str, caption: &str| {
        let value = |system| Some((system, report.figure(system, figure)?));
        let values: Vec<_> = report.systems().into_iter().filter_map(value).collect();
        bars(caption, unit, &values)
    };
    vec![
        of("bootstrap", "s", "The read side from nothing"),
        of("rebuild", "s", "A rebuild next to the live read side"),
        of("restart_to_first_answer", "s", "A reader from its start to the first right answer"),
        of("memory_reader", "bytes", "A reader's memory, everything read once"),
        of("disk_read_side", "bytes", "The read side on disk"),
    ]
}

fn faults(report: &Report) -> Markup {
    // Faults that only Cenote can have are in a second table: in the first they would be dashes for all others.
    let is_shared = |fault: &Fault| report.outcomes.iter().any(|one| one.fault == *fault && !is_cenote(&one.system));
    let (shared, cenote): (Vec<_>, Vec<_>) = Fault::ALL.into_iter().partition(is_shared);
    html! {
        @if !report.outcomes.is_empty() {
            h2 { "What was broken, and what came of it" }
            p {
                "Each cell is a run: commands, the script, quiet; then every possible answer is compared with the write \
                 side. " span.right { "Right" } ": never later than on a good day. " span.while { "For a while" } ": the \
                 longest time that anything was stale or wrong. " span.wrong { "Stays wrong" } ": still wrong when all queues \
                 are empty and an interval more has passed. A dash: the strategy can't have this fault."
            }
            (fault_table(report, &shared))
            (fault_table(report, &cenote))
        }
    }
}

fn fault_table(report: &Report, faults: &[Fault]) -> Markup {
    let find =
        |fault: Fault, system: &str| report.outcomes.iter().find(|one| one.fault == fault && one.system == system);
    let mut systems = report.systems();
    systems.retain(|system| faults.iter().any(|fault| find(*fault, system).is_some()));
    let tried = faults.iter().filter(|fault| systems.iter().any(|system| find(**fault, system).is_some()));
    html! {
        @if !systems.is_empty() {
            div.scroll {
                table.faults {
                    tr {
                        th { "fault" }
                        @for system in &systems { th.cenote[is_cenote(system)] { (system) } }
                    }
                    @for fault in tried {
                        tr {
                            td { (fault.name()) }
                            @for system in &systems { (cell(*fault, system, find(*fault, system))) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(fault: Fault, system: &str, outcome: Option<&Outcome>) -> Markup {
    let Some(outcome) = outcome else { return empty_cell(fault, system) };
    let (class, verdict) = match outcome.verdict {
        Verdict::Right => ("right", "right".to_owned()),
        Verdict::WrongForAWhile => ("while", format!("for {}", human(outcome.wrong_for_s, "s"))),
        Verdict::StaysWrong => ("wrong", "stays wrong".to_owned()),
    };
    let mut more = Vec::new();
    if outcome.verdict != Verdict::Right || !outcome.noticed.is_empty() {
        more.push(format!("noticed: {}", noticed(outcome)));
    }
    if outcome.repaired != Repair::NotNeeded {
        more.push(format!("repaired: {}", repaired(outcome)));
    }
    more.extend(outcome.note.clone());
    html! {
        td class=(class) title=(describe(outcome)) {
            b { (verdict) } br;
            small {
                @for (number, line) in more.iter().enumerate() { @if number > 0 { br; } (line) }
                @if let Some(row) = &outcome.row { details { summary { "a row" } (row) } }
            }
        }
    }
}

/// A dash if the strategy can't have this fault, an error if the run gave no outcome.
fn empty_cell(fault: Fault, system: &str) -> Markup {
    let applies = Strategy::find(system).is_some_and(|strategy| fault.applies_to(strategy, write_of(system)).is_ok());
    html! {
        @if applies { td.wrong { b { "the run failed" } } } @else { td.none { "–" } }
    }
}

/// The write side, as far as a title shows it: `cdc` is by replication, and on SQLite the title is `cdc-embedded`.
fn write_of(system: &str) -> WriteKind {
    if system == Strategy::Cdc.name() { WriteKind::Postgres } else { WriteKind::Sqlite }
}

fn figures(report: &Report) -> Markup {
    html! {
        @if !report.rows.is_empty() {
            h2 { "All figures" }
            @for (title, columns) in tables(report) {
                h3 { (title) }
                div.scroll {
                    table {
                        tr { th {} @for (name, _) in &columns { th { (name) } } }
                        @for system in report.systems() {
                            tr {
                                td.cenote[is_cenote(system)] { (system) }
                                @for (_, cell) in &columns { td { (cell(system).unwrap_or_default()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
