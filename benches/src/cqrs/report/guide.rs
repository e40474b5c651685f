//! The decision guide: questions that a team asks itself, answered from the figures of this run.
//!
//! The rules are here, the numbers are the run's: another machine, another catalogue, another answer. What can't be
//! measured (history, reactions, search) is said as it is.

use std::fmt::Write as _;

use super::{Report, is_ours};
use crate::compare::human;
use crate::cqrs::faults::Verdict;

/// One question, and what follows from the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What a team asks itself.
    pub question: String,
    /// Which one, and why.
    pub answer: String,
}

/// What the figures say; nothing where they are missing.
#[must_use]
pub fn advise(report: &Report) -> Vec<Advice> {
    let rules = [staleness, writes, reads, memory, running, wrong, not_cenote];
    rules.iter().filter_map(|rule| rule(report)).collect()
}

fn advice(question: &str, answer: String) -> Option<Advice> {
    (!answer.is_empty()).then(|| Advice { question: question.to_owned(), answer })
}

/// The rate at which strategies are held against each other: the middle one.
fn rate(report: &Report) -> Option<u32> {
    let rates = report.rates();
    rates.get(rates.len() / 2).copied()
}

fn time(seconds: f64) -> String {
    human(seconds, "s")
}

fn staleness(report: &Report) -> Option<Advice> {
    let rate = rate(report)?;
    let mut left: Vec<(&str, f64)> = report
        .systems()
        .into_iter()
        .filter_map(|system| Some((system, report.at(system, "freshness_p99", rate)?)))
        .collect();
    left.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut answer = String::new();
    let mut low = 0.0;
    for (bound, name) in [(0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (5.0, "5 s"), (f64::MAX, "longer")] {
        let fit: Vec<_> = left.iter().filter(|(_, fresh)| *fresh > low && *fresh <= bound).collect();
        low = bound;
        if !fit.is_empty() {
            let names: Vec<_> = fit.iter().map(|(system, fresh)| format!("{system} ({})", time(*fresh))).collect();
            let _ = write!(answer, "{name}: {}. ", names.join(", "));
        }
    }
    advice(
        &format!("How stale may a read be? (99 of 100 changes visible within, at {rate} commands a second)"),
        answer.trim_end().to_owned(),
    )
}

fn writes(report: &Report) -> Option<Advice> {
    let rates = report.rates();
    let (first, last) = (*rates.first()?, *rates.last()?);
    let mut answer = String::new();
    for system in report.systems() {
        let (Some(low), Some(high)) =
            (report.at(system, "freshness_p99", first), report.at(system, "freshness_p99", last))
        else {
            continue;
        };
        let burst =
            report.burst(system, "burst_visible").map(|burst| format!(", a burst visible after {}", time(burst)));
        let _ = write!(answer, "{system}: {} → {}{}; ", time(low), time(high), burst.unwrap_or_default());
    }
    let question = format!("How many writes are there? (freshness p99 at {first} → {last} commands a second)");
    advice(&question, answer.trim_end_matches("; ").to_owned())
}

fn reads(report: &Report) -> Option<Advice> {
    let best = |ours: bool, query: &str| {
        let all = report.systems().into_iter().filter(|system| is_ours(system) == ours);
        let timed = all.filter_map(|system| Some((system, report.query(system, "read_p50", query, false)?)));
        timed.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let mut answer = String::new();
    for query in ["product", "category", "page"] {
        let (Some((other, theirs)), Some((own, ours))) = (best(false, query), best(true, query)) else { continue };
        let (faster, ratio) = if ours < theirs { (own, theirs / ours) } else { (other, ours / theirs) };
        let _ = write!(
            answer,
            "{query}: {own} {}, {other} {}: {faster} is {ratio:.1} times as fast. ",
            human(ours, "ns"),
            human(theirs, "ns")
        );
    }
    advice(
        "How many reads are there, and how fast must they be? (the fastest of each side, p50)",
        answer.trim_end().to_owned(),
    )
}

fn memory(report: &Report) -> Option<Advice> {
    let systems = report.systems();
    let own = systems.iter().filter(|system| is_ours(system));
    let memory = own.filter_map(|system| report.figure(system, "memory_reader")).fold(f64::MAX, f64::min);
    if memory == f64::MAX || report.products == 0 {
        return None;
    }
    let each = memory / report.products as f64;
    let fit = |gigabytes: f64| gigabytes * 1e9 / each / 1e6;
    advice(
        "Does the data fit in the memory of each reader?",
        format!(
            "A reader that holds everything took {} for {} products, {each:.0} B each (pages and the process's own \
             included): about {:.0} million in 1 GB and {:.0} million in 16 GB. Beyond that, or if each reader needs a \
             small share: a read store.",
            human(memory, "bytes"),
            report.products,
            fit(1.0),
            fit(16.0)
        ),
    )
}

fn running(report: &Report) -> Option<Advice> {
    let mut answer = String::new();
    for system in report.systems() {
        let (Some(processes), Some(lines)) = (report.figure(system, "processes"), report.figure(system, "glue_lines"))
        else {
            continue;
        };
        let _ = write!(answer, "{system}: {processes:.0} and {lines:.0}; ");
    }
    advice(
        "What must run besides the services, and how many lines are your own?",
        answer.trim_end_matches("; ").to_owned(),
    )
}

fn wrong(report: &Report) -> Option<Advice> {
    let ever: Vec<_> = report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::WrongForEver).collect();
    if report.outcomes.is_empty() {
        return None;
    }
    let mut answer = String::new();
    for system in report.systems() {
        let own = ever.iter().filter(|outcome| outcome.system == system).map(|outcome| {
            let seen = if outcome.noticed.is_empty() { ", unnoticed" } else { "" };
            format!("{}{seen}", outcome.fault.name())
        });
        let own: Vec<_> = own.collect();
        if !own.is_empty() {
            let _ = write!(answer, "{system}: {}; ", own.join(", "));
        }
    }
    if answer.is_empty() {
        answer = "nothing that was tried".to_owned();
    }
    advice("What leaves the read side wrong until a person steps in?", answer.trim_end_matches("; ").to_owned())
}

fn not_cenote(report: &Report) -> Option<Advice> {
    let rate = rate(report)?;
    let fresh = |system| report.at(system, "freshness_p99", rate).map(time);
    let (files, s3) = (fresh("cenote-update"), fresh("cenote-update-s3"));
    let sync = fresh("sync");
    let mut answer = String::from("When a read must see the write before it");
    if let Some(sync) = sync {
        let _ = write!(answer, " (sync: {sync})");
    }
    answer += "; when changes must be seen sooner than";
    let _ = match (files, s3) {
        (Some(files), Some(s3)) => write!(answer, " {files} on a shared disk or {s3} by way of S3"),
        (Some(only), None) | (None, Some(only)) => write!(answer, " {only}"),
        (None, None) => write!(answer, " a poll"),
    };
    answer += "; when the data does not fit in memory; when somebody has to react to each change, or needs to know what \
               was before (outbox with a broker, event-sourced); when several writers change the same records; when \
               queries are more than keys and declared indexes (a database, a search engine).";
    advice("When not Cenote?", answer)
}
